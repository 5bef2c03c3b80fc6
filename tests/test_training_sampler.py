import subprocess
import sys

import pytest
import torch

from kinema.training.sampler import StepSampler, fold


def stream(count, batch, seed, world, steps):
    """All clips of the first steps in their global order."""
    samplers = [StepSampler(count, batch, seed, rank, world) for rank in range(world)]
    return torch.cat([sampler.clips(step) for step in range(steps) for sampler in samplers])


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (13, 4), (5, 16), (1, 3), (7, 7)])
def test_each_epoch_is_a_permutation(count, batch):
    clips = stream(count, batch, seed=3, world=1, steps=40)
    epochs = clips[: len(clips) // count * count].view(-1, count)
    assert len(epochs) >= 5
    assert torch.equal(epochs.sort(1).values, torch.arange(count).expand(len(epochs), -1))


def test_epochs_and_seeds_differ_in_their_order():
    epochs = stream(30, 30, seed=3, world=1, steps=4)
    assert len({tuple(epoch.tolist()) for epoch in epochs.view(4, 30)}) == 4
    assert not torch.equal(epochs, stream(30, 30, seed=4, world=1, steps=4))


@pytest.mark.parametrize("count", [100, 13, 3])
def test_any_number_of_processes_sees_one_order(count):
    alone = stream(count, 8, seed=1, world=1, steps=20)
    assert torch.equal(stream(count, 4, seed=1, world=2, steps=20), alone)
    assert torch.equal(stream(count, 2, seed=1, world=4, steps=20), alone)


def test_random_access_equals_sequence():
    sequence = [StepSampler(17, 5, 9, 1, 2).clips(step) for step in range(50)]
    sampler = StepSampler(17, 5, 9, 1, 2)
    for step in (49, 3, 30, 3, 0, 48):
        assert torch.equal(sampler.clips(step), sequence[step])


def test_a_batch_may_be_written_to():
    sampler = StepSampler(4, 4, 0)
    first = sampler.clips(0).clone()
    sampler.clips(0).zero_()
    assert torch.equal(sampler.clips(0), first)


def test_draws_are_uniform_below_their_bounds():
    high = torch.tensor([1, 2, 5, 8]).repeat(50)
    draws = torch.stack([StepSampler(9, 200, 0).draw(step, high) for step in range(200)]).view(200, 50, 4)
    for column, bound in enumerate((1, 2, 5, 8)):
        share = torch.bincount(draws[..., column].flatten(), minlength=bound) / 10_000
        assert len(share) == bound
        assert (share - 1 / bound).abs().max() < 0.02  # four standard deviations of a share of 10,000 draws


def test_draws_depend_on_seed_step_and_rank_only():
    draws = {
        tuple(StepSampler(9, 16, seed, rank, 2).draw(step, 1000).tolist())
        for seed in (0, 1)
        for rank in (0, 1)
        for step in (0, 1)
    }
    assert len(draws) == 8
    torch.rand(3)  # the global generator has no say
    assert tuple(StepSampler(9, 16, 0, 0, 2).draw(1, 1000).tolist()) in draws


def test_fold_is_stable_between_processes_and_tells_parts_apart():
    code = "from kinema.training.sampler import fold; print(fold(5, 'epoch', 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == fold(5, "epoch", 3) == 122567423980409784
    seeds = [fold(1, 23), fold(12, 3), fold(123), fold(1, 2, 3), fold(1, "23"), fold(1, "2", 3), fold(1, "2, 3")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_fold_spreads_over_all_63_bits():
    bits = torch.tensor([[fold(0, i) >> bit & 1 for bit in range(63)] for i in range(2000)]).double()
    assert (bits.mean(0) - 0.5).abs().max() < 0.06
