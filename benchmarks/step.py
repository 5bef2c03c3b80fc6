"""How long a training step takes: `python benchmarks/step.py [RECIPE] [--batch N]`, on a GPU where there is one.

Frames are random, of the size that the recipe has, so no data is needed; the step is the whole of it (draw, forward,
backward, Adam) and is timed over many steps with one synchronisation at the end.
"""

import argparse
import time

import torch

from kinema.clip import ClipBatch
from kinema.models.base import Domain
from kinema.models.registry import FAMILIES
from kinema.training.loop import make_fabric, prepare_device
from kinema.training.recipe import build_recipe, override, read_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="halo-sprites-paper")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    recipe = build_recipe(override(read_recipe(options.recipe), {"data.source": "sprites"}), options.recipe)
    fabric = make_fabric(recipe.training)
    domain = Domain(("walk", "spellcast", "slash"), 3, (options.size, options.size), 8, 10.0)
    model = FAMILIES[recipe.family].build(recipe.model, domain)
    prepare_device(model, fabric, recipe.training)
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    wrapped, optimizer = fabric.setup(model, adam)
    shape = (options.batch, domain.length, 3, *domain.size)
    batch = ClipBatch(
        torch.randint(256, shape, dtype=torch.uint8),
        torch.arange(domain.length).double().expand(options.batch, -1),
        {"action": torch.randint(3, (options.batch,))},
    ).to(fabric.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(wrapped(batch.frames, batch.times, dict(batch.factors))["loss"])
        optimizer.step()

    def synchronise() -> None:
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(5):
        step()
    synchronise()
    began = time.perf_counter()
    for _ in range(options.steps):
        step()
    synchronise()
    seconds = (time.perf_counter() - began) / options.steps
    million = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{options.recipe} on {fabric.device}: {million:.1f} M parameters, batch {options.batch} x {domain.length}")
    print(f"{1000 * seconds:.1f} ms a step, {options.batch / seconds:.0f} sequences/s")


if __name__ == "__main__":
    main()
