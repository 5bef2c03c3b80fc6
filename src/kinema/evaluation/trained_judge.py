"""A judge that has learned from real clips, for sources whose every rendering is too much to compare with."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.source import Source
from kinema.errors import FileError
from kinema.evaluation.table import write_whole
from kinema.evaluation.windows import batched, draw_windows, floats

WIDTH = 32
"""Channels of the first convolution; later ones have up to four times as many."""
GRID = 4
"""Rows and columns that a frame is pooled to before it becomes one vector."""


class TrainedJudge(nn.Module):
    """Convolutions per frame, a convolution over time, mean and maximum over the frames, one classifier per factor."""

    def __init__(self, factors: Mapping[str, tuple[str, ...]], size: tuple[int, int]) -> None:
        super().__init__()
        self.factors, self.size = dict(factors), size
        layers, channels, side = [], 3, min(size)
        while side > GRID:
            wider = min(4 * WIDTH, 2 * channels if channels >= WIDTH else WIDTH)
            layers += [nn.Conv2d(channels, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            channels, side = wider, (side + 1) // 2
        features = 8 * WIDTH
        self.frame = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(GRID), nn.Flatten(), nn.Linear(channels * GRID**2, features), nn.ReLU()
        )
        self.time = nn.Sequential(nn.Conv1d(features, features, 3, padding=1), nn.ReLU())
        self.heads = nn.Linear(4 * features, sum(len(names) for names in self.factors.values()))

    def forward(self, frames: Float[Tensor, "B T C H W"]) -> dict[str, Float[Tensor, "B _"]]:
        """Logits of each factor's values."""
        batch = frames.shape[0]
        still = self.frame(frames[:, :, :3].flatten(0, 1)).unflatten(0, (batch, -1)).transpose(1, 2)
        both = torch.cat([still, self.time(still)], 1)
        logits = self.heads(torch.cat([both.mean(2), both.amax(2)], 1))
        sizes = [len(names) for names in self.factors.values()]
        return dict(zip(self.factors, logits.split(sizes, 1), strict=True))

    @torch.no_grad()
    def read(self, frames: UInt8[Tensor, "B T C H W"], times: Float[Tensor, "B T"]) -> dict[str, Int[Tensor, " B"]]:
        """As `Judge.read`; the times are not looked at."""
        del times
        self.eval()
        device = self.heads.weight.device
        choices = batched(
            lambda part: torch.stack([logits.argmax(1) for logits in self(floats(part.to(device))).values()], 1), frames
        )
        return dict(zip(self.factors, choices.unbind(1), strict=True))

    def save(self, path: Path) -> None:
        """Writes weights and factors as one safetensors file."""
        about = json.dumps({"factors": self.factors, "size": self.size})
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        write_whole(path, safetensors.torch.save(weights, {"judge": about}))

    @classmethod
    def load(cls, path: Path) -> "TrainedJudge":
        """Reads what `save` wrote. Raises FileError for a missing, damaged or different file."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["judge"])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            judge = cls({name: tuple(values) for name, values in about["factors"].items()}, tuple(about["size"]))
            judge.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise FileError(f"{path}: no judge can be read from it; a file written by TrainedJudge.save is") from error
        return judge.eval()


def fit_judge(
    source: Source, steps: int, seed: int, device: torch.device, batch: int = 64, rate: float = 2e-3
) -> TrainedJudge:
    """A judge trained on windows of real clips: `source` is the training split.

    `steps` batches of `batch` windows, AdamW at `rate` under one cosine cycle; windows begin where `draw_windows` may.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = TrainedJudge(source.factors, source.size).to(device).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(judge.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        windows = draw_windows(source, torch.randint(len(source), (batch,), generator=generator), generator)
        logits = judge(floats(windows.frames().to(device)))
        losses = [functional.cross_entropy(logits[name], windows.labels(name).to(device)) for name in source.factors]
        optimiser.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        optimiser.step()
        schedule.step()
    return judge.eval()
