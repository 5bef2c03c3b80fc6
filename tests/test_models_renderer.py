"""The renderer: its formula by hand, its beginnings, what every option changes, and that it learns."""

import pytest
import torch

from kinema.data.pairs import PairBatch
from kinema.errors import ConfigError
from kinema.maths import affine
from kinema.models.renderer import PairDomain, Renderer, RendererConfig

SIZE = (16, 16)
SMALL = {"width": 8, "features": 8, "hidden": 16}


def made(**options):
    torch.manual_seed(0)
    return Renderer(RendererConfig(**{**SMALL, **options}), PairDomain(SIZE, 5.0)).eval()


def pictures(count, seed=0):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def squares(count, seed):
    """Pairs in which a dark square of 5 pixels moves by up to 5 pixels on a plain canvas of a random colour."""
    generator = torch.Generator().manual_seed(seed)
    canvas = torch.randint(60, 256, (count, 3, 1, 1), generator=generator)
    places = torch.randint(1, 10, (2, 2, count), generator=generator)
    row, column = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    frames = []
    for top, left in places:
        inside = (row >= top[:, None, None]) & (row < top[:, None, None] + 5)
        inside &= (column >= left[:, None, None]) & (column < left[:, None, None] + 5)
        frames.append(torch.where(inside[:, None], 0, canvas.expand(-1, -1, *SIZE)).to(torch.uint8))
    return PairBatch(*frames)


def test_compose_is_the_formula_of_the_paper():
    model = made()
    torch.nn.init.normal_(model.head.head.last.weight, std=0.05)
    c, first, second, b = (pictures(3, seed) for seed in range(4))
    f_c, f_b = model.character_encoder, model.background_encoder
    z1, z2 = f_c(first - 0.5), f_c(second - 0.5)
    theta = model.head.head(z1, z2)[:, 0]
    grid = torch.nn.functional.affine_grid(theta, [3, 8, 4, 4], align_corners=False)
    moved = torch.nn.functional.grid_sample(f_c(c - 0.5), grid, align_corners=False)
    torch.testing.assert_close(model.compose(c, first, second, b), model.decoder(moved + f_b(b - 0.5)))
    assert not torch.allclose(theta, affine.identity(3)), "the case moves something"


@pytest.mark.parametrize("options", [{}, {"parts": 3}, {"compositing": "over"}, {"transformation": "frames"}])
def test_it_begins_with_the_identity(options):
    model = made(**options)
    first, second = pictures(2), pictures(2, 1)
    theta = model.transformation(first, second)
    torch.testing.assert_close(theta, affine.identity(2, options.get("parts", 1)))
    z = model.encode_character(first)
    torch.testing.assert_close(model.move(z, theta), z, atol=1e-5, rtol=1e-5)


def test_the_order_of_a_pair_counts():
    model = made()
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    first, second = pictures(2), pictures(2, 1)
    assert not torch.allclose(model.transformation(first, second), model.transformation(second, first), atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"transformation": "frames"}, {"character": "rest"}])
def test_one_first_frame_may_serve_all_seconds(options):
    model = made(**options)
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    first, second = pictures(1), pictures(3, 1)
    torch.testing.assert_close(
        model.transformation(first, second), model.transformation(first.expand_as(second), second)
    )


def test_the_background_alone_is_held_against_the_other_frame():
    model, batch = made(solo=0.5, character="rest"), squares(4, 0)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    losses = model.losses(batch)
    torch.testing.assert_close(losses.terms["solo"], (model.solo_background(first) - second).abs().mean())
    z = model.encode_character(first)
    torch.testing.assert_close(z[:, 0], model.character_encoder(first - model.solo_background(first)))
    moved = model.move(z, model.transformation(first, second))
    scene = (model.render(moved, model.encode_background(first)) - second).square().mean()
    torch.testing.assert_close(losses.terms["scene"], scene)


def test_losses_are_means_of_squares():
    model, batch = made(equivariance=0.3, invariance=0.7), squares(4, 0)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    z1, z2 = model.encode_character(first), model.encode_character(second)
    moved = model.move(z1, model.transformation(first, second))
    b1, b2 = model.encode_background(first), model.encode_background(second)
    losses = model.losses(batch)
    expected = {
        "scene": torch.nn.functional.mse_loss(model.render(moved, b1), second),
        "equivariance": torch.nn.functional.mse_loss(moved, z2),
        "invariance": torch.nn.functional.mse_loss(b1, b2),
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses.terms[name], value)
    total = expected["scene"] + 0.3 * expected["equivariance"] + 0.7 * expected["invariance"]
    torch.testing.assert_close(losses.total, total)


def test_parts_share_the_features_and_one_part_is_the_paper():
    model = made(parts=4)
    z = model.encode_character(pictures(2))
    assert z.shape == (2, 4, 8, 4, 4)
    raw = model.character_encoder(pictures(2) - 0.5)
    torch.testing.assert_close(z.sum(1), raw[:, :8])
    one = made()
    torch.testing.assert_close(one.encode_character(pictures(2))[:, 0], one.character_encoder(pictures(2) - 0.5))


def test_over_hides_the_background_where_the_character_covers():
    model = made(compositing="over")
    z = model.encode_character(pictures(2))
    z = torch.cat([z[:, :, :-1], torch.ones_like(z[:, :, -1:])], 2)
    b1, b2 = model.encode_background(pictures(2)), model.encode_background(pictures(2, 5))
    torch.testing.assert_close(model.render(z, b1), model.render(z, b2))
    nobody = torch.zeros_like(z)
    torch.testing.assert_close(model.render(nobody, b1), model.decoder(b1))
    torch.testing.assert_close(model.solo_background(pictures(2)), model.decoder(b1))


def test_the_inverse_loss_vanishes_for_inverses():
    model = made(inverse=1.0)
    assert model.losses(squares(4, 0)).terms["inverse"].item() < 1e-10
    torch.nn.init.normal_(model.head.head.last.weight, std=0.3)
    assert model.losses(squares(4, 0)).terms["inverse"].item() > 1e-4


def test_given_transformations_are_used():
    model = made(transformation="given")
    batch = squares(2, 0)
    theta = affine.from_parts(torch.zeros(2), torch.tensor([[0.5, 0.0], [0.0, -0.25]]))
    losses = model.losses(PairBatch(batch.first, batch.second, theta))
    assert (
        losses.terms["equivariance"]
        != model.losses(PairBatch(batch.first, batch.second, affine.identity(2).clone())).terms["equivariance"]
    )
    with pytest.raises(ConfigError, match="given"):
        model.losses(batch)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transformation": "pixels"}, "transformation: 'pixels' is unknown; known: features, frames, given"),
        ({"compositing": "under"}, "known: add, over"),
        ({"parts": 0}, "model.parts is 0"),
        ({"cover": 1.0}, "set model.compositing to over"),
        ({"inverse": 1.0, "transformation": "given"}, "model.inverse"),
        ({"jitter": -1.0}, "model.jitter is -1.0"),
    ],
)
def test_settings_that_cannot_be(options, said):
    with pytest.raises(ConfigError, match=said):
        RendererConfig(**options)


def test_sizes_that_cannot_be():
    with pytest.raises(ConfigError, match="multiples of 4"):
        Renderer(RendererConfig(**SMALL), PairDomain((18, 16), 5.0))


def blobs(count, seed):
    """Pairs in which a light spot moves by up to 6 pixels on a plain gray canvas."""
    places = torch.randint(2, 9, (2, 2, count), generator=torch.Generator().manual_seed(seed)) + 2.5
    row, column = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    frames = []
    for top, left in places:
        distance = (row - top[:, None, None]) ** 2 + (column - left[:, None, None]) ** 2
        light = (60 + 140 * torch.exp(-distance / 10)).to(torch.uint8)
        frames.append(light[:, None].expand(-1, 3, -1, -1).contiguous())
    return PairBatch(*frames)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"networks": "patches", "character": "rest", "solo": 0.5}])
def test_it_learns(options):
    """In some hundred steps it is better than the first frame shown again; to find the movement takes far more."""
    model = made(**options).train()
    adam = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.99))
    for step in range(400):
        torch.manual_seed(step)
        losses = model.losses(blobs(16, step))
        adam.zero_grad()
        losses.total.backward()
        adam.step()
    model.eval()
    batch = blobs(64, 10_000)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    with torch.no_grad():
        error = (model.compose(first, first, second, first) - second).square().mean()
    assert error.item() < 0.6 * (first - second).square().mean().item()
