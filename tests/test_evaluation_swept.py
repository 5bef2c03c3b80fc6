"""Swept pixels: found where they are known, whatever the noise; not taken from a trunk, or a still film."""

import pytest
import torch

from kinema.errors import ClipError
from kinema.evaluation.swept import moving, presence, swept, temporal_median


def wall(seed: int = 0, side: int = 32) -> torch.Tensor:
    """A wall of a few colours in small bricks, which are seen at its rim too."""
    rng = torch.Generator().manual_seed(seed)
    colours = torch.tensor([[170, 150, 140], [150, 140, 150], [190, 180, 170]], dtype=torch.uint8)
    bricks = torch.randint(3, (side // 4, side // 4), generator=rng).repeat_interleave(4, 0).repeat_interleave(4, 1)
    return colours[bricks].permute(2, 0, 1)


def film(frames: int = 20, side: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A square of 6 pixels that runs along the row 8, over a wall: the film, the wall, where the square is."""
    behind, there = wall(side=side), torch.zeros(frames, side, side, dtype=torch.bool)
    for t in range(frames):
        there[t, 8:14, 3 + t : 9 + t] = True
    ink = torch.tensor([20, 30, 90], dtype=torch.uint8)[:, None, None]
    return torch.where(there[:, None], ink, behind), behind, there


def test_oracle_the_pixels_and_the_wall_of_a_running_square():
    frames, behind, there = film()
    median, mask = swept(frames)
    passed = there.float().mean(0)
    assert torch.equal(mask, (passed > 0) & (passed < 0.4))
    assert torch.equal(median[:, mask], behind[:, mask])
    assert torch.equal(presence(frames, median)[:, mask], there[:, mask])


def test_noise_moves_few_pixels():
    frames, behind, there = film(40, 48)
    noise = 4 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(1))
    median, mask = swept((frames + noise).round().clamp(0, 255).byte())
    passed = there.float().mean(0)
    assert float((mask == ((passed > 0) & (passed < 0.4))).float().mean()) > 0.99
    assert float((median[:, mask].float() - behind[:, mask].float()).abs().mean()) < 1.5


def test_cheats_a_still_film_and_one_that_flickers_within_the_range_sweep_nothing():
    still = wall().expand(10, -1, -1, -1)
    assert not bool(swept(still)[1].any())
    seldom = (torch.arange(12) % 4 == 0).int()[:, None, None, None]
    for jump in (30, 31):  # 30 is not above 30
        flicker = wall().int().repeat(12, 1, 1, 1)
        flicker[:, :, 8:24, 8:24] += jump * seldom
        assert int(swept(flicker.byte())[1].sum()) == (256 if jump > 30 else 0)


def test_a_trunk_that_leaves_its_place_is_not_taken_for_the_wall():
    behind = wall()
    there = torch.zeros(20, 32, 32, dtype=torch.bool)
    there[:14, 10:, 10:16] = True  # 70 % of the film here,
    there[14:, 10:, 20:26] = True  # 30 % there
    frames = torch.where(there[:, None], torch.tensor([20, 30, 90], dtype=torch.uint8)[:, None, None], behind)
    median, mask = swept(frames)
    assert torch.equal(mask, there[-1])
    assert torch.equal(median[:, mask], behind[:, mask])
    assert bool(moving(frames)[there[0]].all())  # it would pass by its range and by the distance from its median
    assert float(presence(frames, median).float().mean(0)[there[0]].max()) < 0.4


@pytest.mark.parametrize(("frames_there", "counts"), [(7, True), (8, False), (11, False)])
def test_the_share_of_frames_decides(frames_there, counts):
    frames = wall().expand(20, -1, -1, -1).clone()
    frames[:frames_there, :, 12:16, 12:16] = 0
    assert bool(swept(frames)[1][12:16, 12:16].all()) == counts


def test_a_background_that_the_rim_does_not_know_is_left_out():
    frames, _, _ = film()
    frames[:, :, :, 16:] = torch.where(frames[:, :, :, 16:] > 140, 255 - frames[:, :, :, 16:], frames[:, :, :, 16:])
    frames[:, :, :, 28:], frames[:, :, :2, 16:] = wall()[:, :, 28:], wall()[:, :2, 16:]
    mask = swept(frames)[1]
    assert bool(mask[8:14, 4:8].all())
    assert not bool(mask[:, 17:27].any())


def test_what_everybody_is_before_does_not_depend_on_the_order_of_frames():
    frames, _, _ = film()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    for ours, theirs in zip(swept(frames), swept(frames[order]), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(temporal_median(frames), temporal_median(frames.flip(0)))


def test_two_frames_are_refused():
    with pytest.raises(ClipError, match="2 frames: the median over time needs 3 or more"):
        swept(film()[0][:2])
