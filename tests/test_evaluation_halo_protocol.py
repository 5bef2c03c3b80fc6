"""One image, told any action: an oracle does it, a still picture and noise do it by chance."""

import pytest
import torch

from factored_doubles import ExactJudge, FactoredNoise, FactoredOracle
from kinema.evaluation.halo_protocol import image_to_sequence
from toy import Toy

SOURCE = Toy("test")
JUDGE = ExactJudge(SOURCE)
CPU = torch.device("cpu")


class Still(FactoredOracle):
    def animate_images(self, images, action, times):
        return images[:, None].expand(-1, times.shape[1], -1, -1, -1)


class Deaf(FactoredOracle):
    """Moves, always in the same way."""

    def animate_images(self, images, action, times):
        return super().animate_images(images, torch.zeros_like(action), times)


class Noisy(FactoredNoise):
    def animate_images(self, images, action, times):
        seed = int(1e3 * times.sum()) % 2**31
        return torch.rand(*times.shape, *images.shape[1:], generator=torch.Generator().manual_seed(seed))


def test_an_oracle_does_what_it_is_told():
    results = image_to_sequence(FactoredOracle(SOURCE), SOURCE, JUDGE, 24, 0, CPU)
    assert results == dict.fromkeys(results, 1.0)


@pytest.mark.parametrize("double", [Still, Deaf, Noisy])
def test_who_does_not_listen_is_right_by_chance(double):
    results = image_to_sequence(double(SOURCE), SOURCE, JUDGE, 24, 0, CPU)
    chance = 1 / len(SOURCE.actions)
    name = "image to sequence/action"
    assert results[name] == pytest.approx(chance, abs=0.25)
    assert results[f"{name}_low"] <= results[name] <= results[f"{name}_high"] < 1
