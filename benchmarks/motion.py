"""How fast motion is made: our model and the paper's on the same control, live control, and a training epoch.

`python benchmarks/motion.py [--threads N] [--run RUN]` prints the best and the median of several rounds, in which the
candidates take turns. Without RUN the weights are new ones of the shipped sizes, which costs the same.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from kinema.data.gaits import Gaits, GaitsConfig
from kinema.models.live import Live
from kinema.models.locomotion import Locomotion, LocomotionConfig
from kinema.models.motion_base import domain_of
from kinema.models.vae_lstm import VaeLstm, VaeLstmConfig
from kinema.training.config import TrainingConfig
from kinema.training.loop import draw_batch
from kinema.training.run import load_run
from kinema.training.sampler import StepSampler

FRAMES, BATCH, WINDOWS = 240, 40, 1800


def rounds(candidates: dict[str, Callable[[], object]], count: int) -> dict[str, tuple[float, float]]:
    """Best and median seconds of each candidate, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(count + 1):
        for name, call in candidates.items():
            begun = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - begun)
    return {name: (min(times[1:]), sorted(times[1:])[count // 2]) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", help="a run of the family locomotion, not causal")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = Gaits(GaitsConfig(train=60, test=1, pad="first"), "train")
    domain = domain_of(source)
    made = load_run(options.run).model if options.run else Locomotion(LocomotionConfig(), domain)
    ours, paper = made.eval(), VaeLstm(VaeLstmConfig(), domain).eval()
    causal = Locomotion(replace(LocomotionConfig(), causal=True), domain).eval()
    for model in (paper, causal, *([] if options.run else [ours])):
        model.fit(source)
    control = source.openings(FRAMES).motion.control[:BATCH]
    generator = torch.Generator().manual_seed(0)
    live = Live(causal, 1, None, {}, generator)

    def generate(model: Locomotion | VaeLstm, count: int) -> Callable[[], object]:
        return lambda: model.generate(FRAMES, control[:count], None, {}, generator)

    def step() -> None:
        for at in range(0, FRAMES, 4):
            live.step(control[:1, at : at + 4])

    times = rounds(
        {
            "ours, 240 frames": generate(ours, 1),
            "paper, 240 frames": generate(paper, 1),
            "ours, 40 x 240 frames": generate(ours, BATCH),
            "paper, 40 x 240 frames": generate(paper, BATCH),
            "ours, live, 240 frames": step,
        },
        15,
    )
    for name, (best, median) in times.items():
        frames = FRAMES * (BATCH if "40 x" in name else 1)
        print(f"{name:24} best {1e3 * best:7.2f} ms, median {1e3 * median:7.2f} ms: {frames / median:9.0f} frames/s")
    sampler = StepSampler(len(source), BATCH, 0)
    steps = WINDOWS // BATCH
    for name, model in (("ours", ours), ("paper", paper)):
        optimizer = torch.optim.Adam(model.parameters(), lr=TrainingConfig().learning_rate, fused=True)
        model.train()
        begun = time.perf_counter()
        for number in range(steps):
            losses = model.losses(draw_batch(source, sampler, number, True, torch.device("cpu")))
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
        print(f"{name}, an epoch of {WINDOWS} windows: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
