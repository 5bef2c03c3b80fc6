import torch
from torch.testing import assert_close

from kinema.data.coordinates import CoordinateSource
from kinema.models.base import domain_of
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig
from kinema.nn.coordinates import Coordinates
from toy import Toy

SHAPE = (3, 6, 5)


def frames(count=200, rank=7, seed=0):
    """Frames in [0, 1] that span few dimensions."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(count, rank, generator=generator) @ torch.rand(rank, 90, generator=generator)
    return (made / made.max()).unflatten(1, SHAPE)


def fitted(count=7):
    coordinates = Coordinates(SHAPE, count)
    coordinates.fit(frames())
    return coordinates


def test_components_are_those_of_torch():
    x = frames().flatten(1)
    _, singular, vectors = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    for few in (x[:60].unflatten(1, SHAPE), frames()):  # the two ways to the same eigenvalues
        coordinates = Coordinates(SHAPE, 4)
        coordinates.fit(few)
        assert_close(coordinates.components @ coordinates.components.T, torch.eye(4), atol=1e-5, rtol=0)
    same = (coordinates.components @ vectors[:4].T).abs()
    assert_close(same, torch.eye(4), atol=1e-4, rtol=0)
    assert_close(coordinates.spread, singular[:4] / len(x) ** 0.5, atol=1e-5, rtol=1e-4)


def test_what_is_in_the_span_comes_back():
    coordinates, x = fitted(), frames(seed=0)
    entered = coordinates.enter(x)
    assert entered[:, -1].max() < 1e-3
    assert_close(coordinates.leave(entered), x, atol=1e-4, rtol=0)


def test_distances_are_those_of_pixels_even_outside_the_span():
    coordinates = fitted(3)
    x, made = torch.rand(20, *SHAPE), 0.05 * torch.randn(20, 3)
    prediction = torch.cat([made, torch.zeros(20, 1)], dim=1)
    pixels = coordinates.mean + made @ coordinates.components
    expected = (x.flatten(1) - pixels).square().sum(1)
    assert_close((coordinates.enter(x) - prediction).square().sum(1), expected, rtol=1e-4, atol=1e-4)


def test_fewer_frames_than_components_leave_zeros():
    coordinates = Coordinates(SHAPE, 20)
    coordinates.fit(frames(5, 3))
    known = coordinates.components.norm(dim=1)
    assert_close(known, (torch.arange(20) < 4).float() * (known > 0), atol=1e-4, rtol=0)
    assert 2 <= int((known > 0.5).sum()) <= 4
    assert coordinates.spread.min() > 0


def test_the_objective_is_the_same_with_and_without_pictures():
    source = Toy()
    torch.manual_seed(0)
    config = HaloConfig(network="basis", features=12, content=5, d=2, components=30, decoded_frames=3)
    halo = Halo(config, domain_of(source)).eval()
    halo.fit(source)
    clips, start = torch.tensor([0, 7, 30]), torch.tensor([0, 3, 5])
    prepared = halo.prepared(source)
    assert isinstance(prepared, CoordinateSource)
    losses = []
    for windows in (source, prepared):
        torch.manual_seed(1)
        losses.append(halo.losses(windows.window(clips, start)))
    assert losses[0].terms.keys() == losses[1].terms.keys()
    for name, value in losses[0].terms.items():
        assert_close(value, losses[1].terms[name], rtol=1e-3, atol=1e-5)
    assert_close(prepared.window(clips, start).times, source.window(clips, start).times)


def test_what_is_nearer_to_black_than_to_the_darkest_pixel_is_black():
    place = torch.arange(200) % 3  # a figure in the upper, middle or lower third
    black = (torch.arange(6) // 2 != place[:, None])[:, None, :, None].expand(-1, 3, -1, 5)
    x = torch.where(black, 0.0, 0.4 + 0.6 * frames())
    coordinates = Coordinates(SHAPE, 20)
    coordinates.fit(x)
    least = x.amax(1)[x.amax(1) > 0].min()
    assert_close(coordinates.least, least)
    entered = coordinates.enter(x)
    noisy = entered + 0.02 * torch.randn_like(entered)
    plain = (coordinates.mean + noisy[:, :-1] @ coordinates.components).clamp(0, 1).unflatten(1, SHAPE)
    shown = coordinates.leave(noisy)
    assert plain[black].max() > 0.02
    assert not shown[black].any()
    assert_close(shown[~black], plain[~black])


def test_frames_that_are_never_black_are_left_as_they_are():
    coordinates = Coordinates(SHAPE, 7)
    coordinates.fit(0.5 + 0.5 * frames())
    coordinates.mean.fill_(0.1)
    assert_close(coordinates.leave(torch.zeros(1, 8)), torch.full((1, *SHAPE), 0.1))
