"""How fast the flow is: ``python benchmarks/flow.py``.

One training step's use of the operator (parameters to propagators to trajectories, and back) is timed in closed form,
as Kinema does it, and one matrix product after the other, as a recurrence does it. The two take turns, so that whatever
else the machine is doing slows both, and medians are compared.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from kinema.nn.operators import Definite

COUNT, D, STEPS, REPETITIONS = 3, 6, 512, 15
BARS = {8: 10.0, 256: 2.0}
"""Batch, and how many times faster than the loop the closed form must be."""


def closed_form(operator: Definite, state: Tensor, steps: int) -> Tensor:
    return operator.flow(state, torch.arange(steps, dtype=torch.float64))


def step_by_step(operator: Definite, state: Tensor, steps: int) -> Tensor:
    """The recurrence s' = exp(H) s, one step a frame."""
    step = operator.propagator(torch.ones(1, dtype=torch.float64))[0].mT  # (K, n, n)
    state = state.transpose(0, 1)  # (K, B, n), so that a step is one batched matrix product
    trajectory = [state]
    for _ in range(steps - 1):
        trajectory.append(trajectory[-1] @ step)
    return torch.stack(trajectory).permute(2, 0, 1, 3)


def forward_backward(flow: Callable[[Definite, Tensor, int], Tensor], operator: Definite, batch: int) -> float:
    """Seconds that a trajectory and its gradients take."""
    state = torch.randn(batch, COUNT, 2 * D, requires_grad=True)
    began = time.perf_counter()
    flow(operator, state, STEPS).square().mean().backward()
    return time.perf_counter() - began


def one_state(operator: Definite, t: float) -> float:
    """Seconds that the state at time `t` of one clip takes."""
    state, times = torch.randn(1, COUNT, 2 * D), torch.tensor([t], dtype=torch.float64)
    began = time.perf_counter()
    with torch.no_grad():
        operator.flow(state, times)
    return time.perf_counter() - began


def turns(*tasks: Callable[[], float], repetitions: int) -> list[float]:
    """The median seconds of each task, run A, B, A, B, ... after a round that is not counted."""
    rounds = [[task() for task in tasks] for _ in range(repetitions + 1)]
    return [median(times) for times in zip(*rounds[1:], strict=True)]


def main() -> None:
    torch.manual_seed(0)
    operator = Definite(COUNT, D, period=8.0)
    state = torch.randn(4, COUNT, 2 * D)
    torch.testing.assert_close(closed_form(operator, state, 64), step_by_step(operator, state, 64), atol=1e-3, rtol=0)
    print(f"torch {torch.__version__}, CPU, {torch.get_num_threads()} threads; {COUNT} operators of d = {D}, float32")
    print(f"{STEPS} steps, forward + backward, median of {REPETITIONS}:")
    print(f"{'batch':>6} {'closed form, ms':>16} {'loop, ms':>10} {'ratio':>7} {'bar':>5}")
    for batch, bar in BARS.items():
        tasks = [lambda f=f, b=batch: forward_backward(f, operator, b) for f in (closed_form, step_by_step)]
        closed, loop = turns(*tasks, repetitions=REPETITIONS)
        print(f"{batch:>6} {1e3 * closed:>16.2f} {1e3 * loop:>10.2f} {loop / closed:>7.1f} {bar:>5.0f}")
    near, far = turns(
        lambda: one_state(operator, 1.0), lambda: one_state(operator, 100_000.0), repetitions=20 * REPETITIONS
    )
    print(f"one state at t = 1: {1e6 * near:.0f} us, at t = 100,000: {1e6 * far:.0f} us, ratio {far / near:.2f}")


if __name__ == "__main__":
    main()
