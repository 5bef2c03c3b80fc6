"""The progress bar of a training run: how far, how long still, and the losses as they fall."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from kinema.training.loop import Progress as Step

SHOWN = ("loss", "mse", "kl_content")


class ProgressBar:
    """A context in which `update` is the training callback that moves the bar."""

    def __init__(self, steps: int, quiet: bool) -> None:
        columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"))
        self.bar = Progress(*columns, *times, disable=quiet, console=Console(stderr=True))
        self.task = self.bar.add_task("training", total=steps, losses="")

    def __enter__(self) -> "ProgressBar":
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def update(self, step: Step, model: nn.Module) -> None:
        del model
        losses = "  ".join(f"{name} {step.terms[name]:.4g}" for name in SHOWN if name in step.terms)
        self.bar.update(self.task, completed=step.step, losses=losses)
