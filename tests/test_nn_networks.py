"""Every set of networks builds a HALO that makes pictures of the right size and learns with all of its parameters."""

import pytest
import torch
from torch import nn

from kinema.clip import ClipBatch
from kinema.errors import ConfigError
from kinema.models.base import Domain
from kinema.models.halo import Halo, HaloConfig
from kinema.nn.bilinear import Moved
from kinema.nn.heads import ActionHead, GaussianHead
from kinema.nn.networks import NETWORKS
from kinema.training.finetune import adopt, is_per_action

ACTIONS = ("walk", "slash", "cast")
SIZES = [(16, 16), (24, 24), (32, 32), (48, 48), (64, 64), (32, 48)]
SMALL = {"width": 4, "features": 16, "content": 5, "d": 2, "paints": 4, "blocks": 2, "window": 3}
NEEDED = {
    "bilinear": {"content": 12, "rank": 6},
    "posed": {"components": 7, "content": 14, "views": 2, "content_noise": 0.1},
}
"""Settings that a set of networks asks for beside these."""
LABELLED = ("posed",)
"""Sets of networks that only move one operator at a time."""

networks = pytest.mark.parametrize("network", NETWORKS)
both = pytest.mark.parametrize(
    ("network", "conditional"),
    [
        (network, conditional)
        for network in NETWORKS
        for conditional in (True, False)
        if conditional or network not in LABELLED
    ],
    ids=lambda value: {True: "conditional", False: "unconditional"}.get(value, value),
)


def model(network, size=(16, 16), actions=ACTIONS, seed=0, channels=3, **options):
    torch.manual_seed(seed)
    config = HaloConfig(network=network, **{**SMALL, **NEEDED.get(network, {}), **options})
    return Halo(config, Domain(actions, channels, size, 8, 10.0))


def shake(halo):
    """Weights large enough for everything to depend on what it may depend on, all the way through the layers."""
    for p in halo.parameters():
        if p.dim() > 1 and p.numel():
            nn.init.normal_(p, std=2 / p[0].numel() ** 0.5)


def batch(size=(16, 16), count=4, channels=3):
    frames = torch.randint(256, (count, 8, channels, *size), dtype=torch.uint8)
    times = torch.arange(8, dtype=torch.float64).expand(count, -1)
    return ClipBatch(frames, times, {"action": torch.arange(count) % len(ACTIONS)})


@both
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_frames_of_the_right_size_in_0_to_1(network, conditional, size):
    halo = model(network, size, conditional=conditional).eval()
    frames, times = torch.rand(2, 4, 3, *size), torch.arange(6, dtype=torch.float64).expand(2, -1)
    with torch.no_grad():
        made = halo.transfer(frames, torch.rand(2, 6, 3, *size), times, torch.tensor([0, 2]))
    assert made.shape == (2, 6, 3, *size)
    assert 0 <= float(made.min()) < float(made.max()) <= 1


@networks
def test_opacity_is_a_channel_like_the_others(network):
    halo = model(network, channels=4).eval()
    with torch.no_grad():
        made = halo.animate_images(
            torch.rand(2, 4, 16, 16), torch.tensor([0, 1]), torch.tensor([[0.0, 0.5]] * 2).double()
        )
    assert made.shape == (2, 2, 4, 16, 16)


@both
def test_clips_and_frames_do_not_meet(network, conditional):
    """A batch gives what its clips give one by one, and each frame what it gives alone."""
    halo = model(network, conditional=conditional).eval()
    shake(halo)
    frames, times = torch.rand(3, 8, 3, 16, 16), torch.rand(3, 5, dtype=torch.float64) * 8
    action = torch.tensor([0, 1, 2])
    with torch.no_grad():
        together = halo.transfer(frames, frames[:, :5], times, action)
        assert float((together[0] - together[1]).abs().max()) > 1e-3
        for b in range(3):
            one = slice(b, b + 1)
            alone = halo.transfer(frames[one], frames[one, :5], times[one], action[one])
            torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=0)
        z, states = torch.randn(3, halo.config.content), torch.randn(3, 4, halo.count, 4)
        every = halo.decode(z, states)
        for t in range(4):
            torch.testing.assert_close(every[:, t], halo.decode(z, states[:, t : t + 1])[:, 0], atol=1e-5, rtol=0)


@both
def test_every_parameter_learns(network, conditional):
    """A bias before a batch norm cannot matter, so only weights must have a gradient that is not zero."""
    halo = model(network, conditional=conditional).train()
    for module in halo.modules():  # what is zero at first holds the gradient of the layer before it back once
        if isinstance(module, ActionHead):
            nn.init.normal_(module.per_action)
        if isinstance(module, GaussianHead):
            nn.init.normal_(module.logvar.weight, std=0.1)
        if isinstance(module, Moved):
            nn.init.normal_(module.wide.weight)
    halo.losses(batch()).total.backward()
    for name, p in halo.named_parameters():
        if p.numel():
            assert p.grad is not None, name
            assert bool(torch.isfinite(p.grad).all()), name
            assert p.dim() == 1 or float(p.grad.abs().max()) > 0, name


@both
def test_parameters_per_action_have_it_first(network, conditional):
    sizes = {name: tuple(p.shape) for name, p in model(network, conditional=conditional).named_parameters()}
    fewer = {
        name: tuple(p.shape)
        for name, p in model(network, conditional=conditional, actions=ACTIONS[:2]).named_parameters()
    }
    mine = {name for name in sizes if is_per_action(name, conditional)}
    assert {name for name in sizes if sizes[name] != fewer[name]} == mine, (
        "nothing else depends on the number of actions"
    )
    assert all((sizes[name][0], fewer[name][0]) == (3, 2) for name in mine)
    parts = ("operator", "position", "momentum", "decoder", "action_head") if conditional else ("action_head",)
    assert {name.split(".")[0] for name in mine} == set(parts)


@networks
def test_an_action_moves_alike_wherever_it_is_listed(network):
    """A run that knows the actions in another order, and one more, gives the old actions as they were."""
    base = model(network, seed=1).eval()
    shake(base)
    mine = ("cast", "jump", "walk", "slash")
    tuned = model(network, actions=mine, seed=2).eval()
    adopt(tuned, base, mine, ACTIONS)
    frames, times = torch.rand(2, 8, 3, 16, 16), torch.arange(8, dtype=torch.float64).expand(2, -1)
    with torch.no_grad():
        for name in ("walk", "cast"):
            old, new = (torch.full((2,), names.index(name)) for names in (ACTIONS, mine))
            torch.testing.assert_close(
                tuned.reconstruct(frames, times, new), base.reconstruct(frames, times, old), atol=1e-6, rtol=0
            )
            other = base.reconstruct(frames, times, (old + 1) % 3)
            assert float((base.reconstruct(frames, times, old) - other).abs().max()) > 1e-3
        logits, known = tuned.recognise(frames), base.recognise(frames)
        torch.testing.assert_close(logits[:, [2, 0]], known[:, [0, 2]])
        torch.testing.assert_close(logits[:, 1], known[:, 0], msg="an action that is new starts as the first one")


@pytest.mark.parametrize(
    ("network", "size"), [("paper", (20, 16)), ("paper", (16, 28)), ("paper-mnist", (8, 16)), ("paper-mnist", (18, 16))]
)
def test_sizes_that_the_papers_networks_cannot_take(network, size):
    with pytest.raises(ConfigError, match=rf"{network} takes .* multiples of \d.* not {size[0]}x{size[1]}"):
        model(network, size)


def test_the_papers_digits_are_28_pixels():
    halo = model("paper-mnist", (28, 28), channels=1, conditional=False).eval()
    assert halo.encoder[:3](torch.zeros(1, 1, 28, 28)).shape == (1, 16, 4, 4)
    frames, times = torch.rand(1, 4, 1, 28, 28), torch.arange(4, dtype=torch.float64)[None]
    assert halo.reconstruct(frames, times, torch.tensor([0])).shape == (1, 4, 1, 28, 28)


def test_the_papers_layers_are_those_of_the_tables():
    """Kernels, strides and widths of tables 3-5 at the sizes the docstring names, built without memory."""
    with torch.device("meta"):
        halo = model("paper", (64, 64), width=256, features=2048, content=256, d=6)
    convolutions = [
        (m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0]) for m in modules(halo.encoder, nn.Conv2d)
    ]
    assert convolutions == [(256, 5, s, 2) for s in (1, 2, 2, 2, 1)]
    linears = [(m.in_features, m.out_features) for m in modules(halo.encoder, nn.Linear)]
    assert linears == [(256 * 8 * 8, 4096), (4096, 2048), (2048, 2048)]
    transposed = [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in modules(halo.decoder, nn.ConvTranspose2d)]
    assert transposed == [(256, 5, 2)] * 3 + [(3, 5, 1)]
    assert [m.hidden_size for m in modules(halo.content, nn.LSTM)] == [256]
    assert [m.kernel_size[0] for m in modules(halo.momentum, nn.Conv1d)] == [3]


def test_the_papers_digit_layers_are_those_of_the_tables():
    with torch.device("meta"):
        halo = model(
            "paper-mnist", (28, 28), channels=1, width=32, features=256, window=4, d=20, blocks=1, conditional=False
        )
    assert [m.out_channels for m in modules(halo.encoder, nn.Conv2d)] == [32, 64, 128]
    assert [m.out_features for m in modules(halo.encoder, nn.Linear)] == [4096, 256]
    transposed = [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in modules(halo.decoder, nn.ConvTranspose2d)]
    assert transposed == [(128, 3, 1), (64, 5, 2), (32, 5, 2), (1, 5, 1)]
    assert [m.out_features for m in modules(halo.position, nn.Linear)] == [320, 20, 20, 20]
    assert [m.kernel_size[0] for m in modules(halo.momentum, nn.Conv1d)] == [4]


def modules(part, kind):
    return [m for m in part.modules() if isinstance(m, kind)]
