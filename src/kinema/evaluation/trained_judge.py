"""Judges that have learned from real clips: what they read, how they are fitted, and when they may judge."""

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import safetensors.torch
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.source import Source, TruthSource
from kinema.errors import FileError, RunError
from kinema.evaluation.judge import Judge, audit
from kinema.evaluation.table import write_whole
from kinema.evaluation.windows import BATCH, batched, draw_windows, floats

WIDTH = 32
"""Channels of the first convolution; later ones have up to four times as many."""
SEEN = 32
"""Side that larger frames are pooled to, by whole factors."""
GRID = 4
"""Rows and columns that a frame is pooled to before it becomes one vector."""
MOTION = "motion"
"""The joint head: action x direction where the direction belongs to the content, the action alone elsewhere."""
THRESHOLD = 0.9995
"""The least accuracy of a judge that may judge a model."""


@runtime_checkable
class OpinionJudge(Protocol):
    """A judge that says how sure it is."""

    def probabilities(self, frames: UInt8[Tensor, "B T C H W"]) -> Mapping[str, Float[Tensor, "B _"]]:
        """For each factor, and for `MOTION`, the probability of each value, on the CPU."""
        ...


def motion_names(source: Source) -> tuple[str, ...]:
    """The classes of the joint head, the direction varying fastest; the actions where they are directed already."""
    if "direction" not in source.content:
        return source.actions
    return tuple(f"{action} {way}" for action in source.actions for way in source.factors["direction"])


def motion_index(source: Source, action: Int[Tensor, " B"], content: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The joint class of an action done by the clips `content`, whose direction it takes where that is content."""
    if "direction" not in source.content:
        return action
    return action * len(source.factors["direction"]) + source.labels["direction"].cpu()[content]


def attributes(source: Source) -> tuple[str, ...]:
    """The factors that together are an identity: the content without the direction."""
    return tuple(name for name in source.content if name != "direction")


class JudgeNetwork(nn.Module):
    """What every learned judge shares: one head per factor and the joint one, opinions, and a file."""

    def __init__(self, factors: Mapping[str, tuple[str, ...]], size: tuple[int, int], **settings: Any) -> None:
        super().__init__()
        self.factors, self.size, self.settings = dict(factors), size, settings
        self.classes = [len(names) for names in self.factors.values()]

    @abstractmethod
    def logits(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B S"]:
        """Logits of all values of all factors, one factor after another."""

    def forward(self, frames: Float[Tensor, "B T C H W"]) -> dict[str, Float[Tensor, "B _"]]:
        """Logits of each factor's values."""
        return dict(zip(self.factors, self.logits(frames).split(self.classes, 1), strict=True))

    @torch.no_grad()
    def probabilities(self, frames: UInt8[Tensor, "B T C H W"]) -> dict[str, Float[Tensor, "B _"]]:
        """As `OpinionJudge.probabilities`: the softmax of each head."""
        self.eval()
        device = next(self.parameters()).device
        logits = batched(lambda part: self.logits(floats(part.to(device))), frames)
        return {n: part.softmax(1) for n, part in zip(self.factors, logits.split(self.classes, 1), strict=True)}

    def read(self, frames: UInt8[Tensor, "B T C H W"], times: Float[Tensor, "B T"]) -> dict[str, Int[Tensor, " B"]]:
        """As `Judge.read`; the times are not looked at."""
        del times
        return {name: opinion.argmax(1) for name, opinion in self.probabilities(frames).items()}

    def save(self, path: Path) -> None:
        """Writes weights, factors and settings as one safetensors file."""
        about = json.dumps({"factors": self.factors, "size": self.size, "settings": self.settings})
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        write_whole(path, safetensors.torch.save(weights, {"judge": about}))

    @classmethod
    def load(cls, path: Path) -> "JudgeNetwork":
        """Reads what `save` wrote. Raises FileError for a missing, damaged or different file."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["judge"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            factors = {name: tuple(values) for name, values in about["factors"].items()}
            judge = cls(factors, tuple(about["size"]), **about.get("settings", {}))
            judge.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileError(
                f"{path}: no judge can be read from it; a file written by {cls.__name__}.save is"
            ) from error
        return judge.eval()


class TrainedJudge(JudgeNetwork):
    """Convolutions per frame, a convolution over time, mean and maximum over the frames, one classifier per factor."""

    def __init__(self, factors: Mapping[str, tuple[str, ...]], size: tuple[int, int]) -> None:
        super().__init__(factors, size)
        # Frames of 64 pixels and more are halved: what a figure wears and does is plain at 32, four times as fast.
        shrink = max(1, min(size) // SEEN)
        layers, channels, side = [nn.AvgPool2d(shrink)], 3, min(size) // shrink
        while side > GRID:
            wider = min(4 * WIDTH, 2 * channels if channels >= WIDTH else WIDTH)
            layers += [nn.Conv2d(channels, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            channels, side = wider, (side + 1) // 2
        features = 8 * WIDTH
        self.frame = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(GRID), nn.Flatten(), nn.Linear(channels * GRID**2, features), nn.ReLU()
        )
        self.time = nn.Sequential(nn.Conv1d(features, features, 3, padding=1), nn.ReLU())
        self.heads = nn.Linear(4 * features, sum(self.classes))

    def logits(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B S"]:
        batch = frames.shape[0]
        still = self.frame(frames[:, :, :3].flatten(0, 1)).unflatten(0, (batch, -1)).transpose(1, 2)
        both = torch.cat([still, self.time(still)], 1)
        return self.heads(torch.cat([both.mean(2), both.amax(2)], 1))


def fit_judge(
    source: Source,
    steps: int,
    seed: int,
    device: torch.device,
    batch: int = BATCH,
    rate: float = 2e-3,
    make: Callable[[Mapping[str, tuple[str, ...]], tuple[int, int]], JudgeNetwork] = TrainedJudge,
) -> JudgeNetwork:
    """A judge trained on windows of real clips: `source` is the training split, `make` the kind of network.

    `steps` batches of `batch` windows, AdamW at `rate` under one cosine cycle; windows begin where `draw_windows` may.
    It learns every factor of the source and the joint `MOTION`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = make({**source.factors, MOTION: motion_names(source)}, source.size).to(device).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(judge.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        windows = draw_windows(source, torch.randint(len(source), (batch,), generator=generator), generator)
        labels = {name: windows.labels(name) for name in source.factors}
        labels[MOTION] = motion_index(source, labels["action"], windows.clips)
        logits = judge(floats(windows.frames().to(device)))
        losses = [functional.cross_entropy(logits[name], labels[name].to(device)) for name in judge.factors]
        optimiser.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


def audited(
    judge: Judge, source: TruthSource, clips: int, seed: int, threshold: float = THRESHOLD, refuse: bool = True
) -> dict[str, float | bool]:
    """The figures of `audit` with two more, the joint `MOTION` (where the judge has it) and ``identity``.

    An identity is right where all attributes are right together. These two are measured on as many other clips. Raises
    RunError, which names the worst figure, for a judge that is not fit, unless `refuse` is off; quick tables and the
    paper's judge print their figures instead.
    """
    report = audit(judge, source, clips, seed, threshold) | _joint_accuracies(judge, source, clips, seed + 1)
    figures = {name: float(value) for name, value in report.items() if name != "fit"}
    worst = min(figures, key=figures.__getitem__)
    report["fit"] = figures[worst] >= threshold
    if refuse and not report["fit"]:
        where, factor = worst.split("/")
        shown = {"real": "held-out real clips", "swap": "true swaps"}[where]
        raise RunError(
            f"judge: {factor} is read rightly off {figures[worst]:.4f} of {clips} {shown}; "
            f"a judge of models needs {threshold}: train it longer"
        )
    return report


def _joint_accuracies(judge: Judge, source: TruthSource, clips: int, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(len(source), (clips,), generator=generator) for _ in range(2))
    windows, labels = draw_windows(source, b, generator), {n: v.cpu() for n, v in source.labels.items()}
    shown = {"real": (b, windows.frames()), "swap": (a, batched(source.truth, a, b, windows.times()))}
    figures = {}
    for where, (content, frames) in shown.items():
        read = judge.read(frames, windows.times())
        right = torch.stack([read[name] == labels[name][content] for name in attributes(source)])
        figures[f"{where}/identity"] = right.all(0).double().mean().item()
        if MOTION in read:
            joint = motion_index(source, labels["action"][b], content)
            figures[f"{where}/{MOTION}"] = (read[MOTION] == joint).double().mean().item()
    return figures
