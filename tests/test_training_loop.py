"""The loop: its learning rate, what it tells, what it refuses, and that the same is done twice."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError, KinemaError
from kinema.training.config import TrainingConfig
from kinema.training.loop import Progress, learning_rate, train
from kinema.training.metrics_log import read_metrics
from toy import Toy


class Walker(nn.Module):
    """One number whose gradient is always 1, so that Adam moves it by exactly the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, frames: Tensor, times: Tensor, factors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": 1.0 * self.place, "mse": self.place.detach() ** 2}


class Noisy(nn.Module):
    """A linear map of the frames, of their times and labels, and of noise: it sees all that a step draws."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3 * 16 * 16 + 1, 4)

    def forward(self, frames: Tensor, times: Tensor, factors: dict[str, Tensor]) -> dict[str, Tensor]:
        x = torch.cat([frames.float().flatten(2) / 255, times[..., None].float()], -1).mean(1)
        y = self.line(x + 0.1 * torch.randn_like(x))
        return {"loss": nn.functional.cross_entropy(y, factors["action"])}


class Falling(Noisy):
    """Its loss is finite, but from its fourth step on its weights are not."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, frames: Tensor, times: Tensor, factors: dict[str, Tensor]) -> dict[str, Tensor]:
        self.calls += 1
        loss = super().forward(frames, times, factors)["loss"]
        return {"loss": loss + (self.line.weight * math.nan).sum() if self.calls > 3 else loss}


def settings(**values: object) -> TrainingConfig:
    return TrainingConfig(
        **{"steps": 12, "batch": 4, "log_every": 3, "checkpoint_every": 5, "picture_every": 0} | values
    )


def noisy() -> Noisy:
    torch.manual_seed(5)
    return Noisy()


def test_learning_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    config = settings(steps=1000, warmup=9, learning_rate=0.5)
    rates = [learning_rate(config, step) for step in range(1000)]
    for step in range(9):
        fall = (1 + math.cos(math.pi * step / 1000)) / 2
        assert rates[step] == pytest.approx(0.5 * fall * (step + 1) / 10, rel=1e-12)
    assert all(later < earlier for earlier, later in pairwise(rates[9:]))
    assert rates[500] == pytest.approx(0.25)
    assert 0 < rates[-1] < 0.5 * 1e-5
    constant = settings(steps=1000, warmup=0, learning_rate=0.5, cosine=False)
    assert {learning_rate(constant, step) for step in range(1000)} == {0.5}


@pytest.mark.parametrize("cosine", [True, False])
def test_the_optimizer_takes_that_rate(tmp_path: Path, cosine: bool) -> None:
    config = settings(warmup=4, learning_rate=0.1, cosine=cosine)
    moved = -train(Walker(), Toy(), config, tmp_path).get_parameter("place").item()
    assert moved == pytest.approx(sum(learning_rate(config, step) for step in range(12)), rel=1e-6)


def test_what_is_logged_and_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(Walker(), Toy(), settings(steps=8), tmp_path, (lambda progress, model: told.append(progress),))
    assert [progress.step for progress in told] == [3, 6, 8]
    assert {progress.steps for progress in told} == {8}
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": progress.step, **progress.terms} for progress in told]
    assert all(line["mse"] == pytest.approx(line["loss"] ** 2) for line in lines)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000008"]


def test_twice_is_the_same_and_another_seed_is_not(tmp_path: Path) -> None:
    weights = [
        train(noisy(), Toy(), settings(seed=seed), tmp_path / name).get_parameter("line.weight")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_global_generator_and_callbacks_have_no_say(tmp_path: Path) -> None:
    plain = train(noisy(), Toy(), settings(), tmp_path / "a")
    torch.rand(17)
    drawing = train(noisy(), Toy(), settings(log_every=1), tmp_path / "b", (lambda *_: torch.rand(3),))
    assert torch.equal(plain.get_parameter("line.weight"), drawing.get_parameter("line.weight"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = train(noisy(), Toy(), settings(), tmp_path)
    told: list[Progress] = []
    again = train(Noisy(), Toy(), settings(), tmp_path, (lambda progress, model: told.append(progress),))
    assert not told
    assert torch.equal(first.get_parameter("line.weight"), again.get_parameter("line.weight"))
    assert not again.training
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [3, 6, 9, 12]


def test_lost_weights_never_replace_a_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(KinemaError, match=r"step 4: .*learning_rate") as error:
        train(Falling(), Toy(), settings(checkpoint_every=2, log_every=100), tmp_path)
    assert len(str(error.value).splitlines()) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000002"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(KinemaError, match="step 6: the loss is not finite"):
        train(Falling(), Toy(), settings(checkpoint_every=100), tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0), ("batch", 0), ("log_every", 0), ("checkpoint_every", -1), ("picture_every", -1), ("warmup", -1),
        ("learning_rate", 0.0), ("learning_rate", math.nan), ("learning_rate", math.inf), ("beta1", 1.0),
        ("beta2", -0.1), ("gradient_norm", -1.0), ("gradient_norm", math.nan), ("precision", "17-mixed"),
    ],
)  # fmt: skip
def test_impossible_settings_are_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"training.{name} is") as error:
        settings(**{name: value})
    assert len(str(error.value).splitlines()) == 1
