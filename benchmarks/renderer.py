"""How fast scenes are encoded, transformed and rendered, and how fast a step of training is.

`python benchmarks/renderer.py [--threads N] [--size PIXELS]` prints the best and the median of several rounds, in which
the widths take turns. Weights are new ones, which cost what trained ones do.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch

from kinema.data.pairs import PairBatch
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig
from kinema.training.recipe import build_recipe, read_recipe

WIDTHS = (32, 64)
ROUNDS, BATCH = 20, 64


def configs(width: int) -> dict[str, RendererConfig]:
    """The paper's form, and the recipe's, of this width."""
    ours = build_recipe(read_recipe("renderer-digits"), "renderer-digits").model
    return {"paper's form": RendererConfig(width=width, features=width), "ours": replace(ours, width=width)}


def rounds(candidates: dict[str, Callable[[], object]], device: torch.device) -> dict[str, list[float]]:
    """Seconds of each candidate, taking turns; the first round only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS + 1):
        for name, call in candidates.items():
            begun = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken[name].append(time.perf_counter() - begun)
    return {name: times[1:] for name, times in taken.items()}


def calls(
    config: RendererConfig, size: int, count: int, device: torch.device, train: bool
) -> dict[str, Callable[[], object]]:
    """What is timed of a model of these settings."""
    model = Renderer(config, PairDomain((size, size), 5.0)).to(device).eval()
    x = torch.rand(count, 3, size, size, device=device)
    with torch.inference_mode():
        z, b = model.encode_character(x), model.encode_background(x)

    @torch.inference_mode()
    def encode() -> object:
        return model.encode_character(x), model.encode_background(x)

    @torch.inference_mode()
    def frame() -> object:
        return model.render(model.move(z, model.read(x, x, z, z)), b)

    frames = torch.randint(256, (BATCH, 3, size, size), dtype=torch.uint8, device=device)
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            losses = model.losses(PairBatch(frames, frames.flip(0)))
        adam.zero_grad()
        losses.total.backward()
        adam.step()

    made: dict[str, Callable[[], object]] = {
        f"encode both, frames at once: {count}": encode,
        f"T_Z, warp and g, frames at once: {count}": frame,
    }
    return made | ({f"a step of {BATCH} pairs": step} if train else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=1, help="frames at once")
    parser.add_argument("--train", action="store_true", help="time training as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    candidates = {
        f"{form}, width {width}: {name}": call
        for width in WIDTHS
        for form, config in configs(width).items()
        for name, call in calls(config, options.size, options.frames, device, options.train).items()
    }
    for name, times in rounds(candidates, device).items():
        print(f"{name:62} best {1e3 * min(times):8.2f} ms, median {1e3 * median(times):8.2f} ms")


if __name__ == "__main__":
    main()
