"""The sets of networks that a HALO can be built from, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from kinema.errors import ConfigError
from kinema.nn import basis, bilinear, compact, dense, paper, posed
from kinema.nn.coordinates import Coordinates, Plain
from kinema.nn.heads import ActionHead
from kinema.nn.poses import Poses


@dataclass(frozen=True)
class Shape:
    """Every size that a set of networks depends on."""

    channels: int
    size: tuple[int, int]
    content: int
    operators: int
    d: int
    actions: int
    conditional: bool
    window: int
    width: int
    features: int
    paints: int
    components: int = 0
    rank: int = 0
    asked: int = 0
    views: int = 1
    period: float = 0.0
    noise: float = 0.0

    @property
    def state(self) -> int:
        """Positions that a posterior speaks of: one subspace, or all of them."""
        return self.d if self.conditional else self.d * self.operators

    @property
    def conditions(self) -> int:
        """Actions that the position and the momentum are conditioned on."""
        return self.actions if self.conditional else 0


@dataclass(frozen=True)
class Networks:
    """frame -> features; features -> q(z), q(q), q(p) and the action; content and positions -> frames."""

    encoder: nn.Module
    content: nn.Module
    position: nn.Module
    momentum: nn.Module
    decoder: nn.Module
    action: nn.Module
    coordinates: Coordinates | Plain = field(default_factory=Plain)
    """What encoder and decoder know of a frame: its pixels, or its principal components."""


def build_compact(s: Shape) -> Networks:
    h = s.features
    return Networks(
        encoder=compact.Encoder(s.channels, s.size, s.width, h),
        content=compact.Content(h, s.content),
        position=compact.Position(h, s.state, s.conditions),
        momentum=compact.Momentum(h, s.state, s.conditions, s.window),
        decoder=compact.Decoder(s.channels, s.size, s.width, h, s.content, (s.operators, s.d), s.paints),
        action=ActionHead(h, h, s.actions),
    )


def build_dense(s: Shape) -> Networks:
    h = s.features
    return Networks(
        encoder=dense.Encoder(s.channels, s.size, 2 * h, h),
        content=compact.Content(h, s.content),
        position=compact.Position(h, s.state, s.conditions),
        momentum=compact.Momentum(h, s.state, s.conditions, s.window),
        decoder=dense.Decoder(s.channels, s.size, 2 * h, s.content, (s.operators, s.d)),
        action=ActionHead(h, h, s.actions),
    )


def build_basis(s: Shape) -> Networks:
    h, coordinates = s.features, Coordinates((s.channels, *s.size), s.components)
    return Networks(
        encoder=basis.Encoder(coordinates, 2 * h, h),
        content=compact.Content(h, s.content),
        position=compact.Position(h, s.state, s.conditions),
        momentum=compact.Momentum(h, s.state, s.conditions, s.window),
        decoder=basis.Decoder(coordinates, 2 * h, s.content, (s.operators, s.d)),
        action=ActionHead(h, h, s.actions),
        coordinates=coordinates,
    )


def build_bilinear(s: Shape) -> Networks:
    """Raises ConfigError where the content is not so many components of every channel."""
    components, left = divmod(s.content, s.channels)
    if left:
        told = f"model.content {s.content} is no multiple of the pictures' {s.channels} channels"
        raise ConfigError(f"{told}; network bilinear carries as many components of each")
    h, coordinates = s.features, Coordinates((s.channels, *s.size), components, apart=True)
    return Networks(
        encoder=bilinear.Encoder(coordinates, 2 * h, h),
        content=bilinear.Content(coordinates, h, s.rank, s.asked),
        position=bilinear.Beside(h, compact.Position(h, s.state, s.conditions)),
        momentum=bilinear.Beside(h, compact.Momentum(h, s.state, s.conditions, s.window)),
        decoder=bilinear.Decoder(coordinates, h, s.rank, s.asked, (s.operators, s.d)),
        action=bilinear.Beside(h, ActionHead(h, h, s.actions)),
        coordinates=coordinates,
    )


def build_posed(s: Shape) -> Networks:
    """Raises ConfigError where poses cannot be told apart by an action and a step of its cycle."""
    sides = s.views if s.views > 1 else 0
    factors, left = divmod(s.content - sides, s.channels)
    needs = {
        "one action at a time (model.conditional, or model.found_actions that every content does)": s.conditional,
        f"model.period in whole frames, not {s.period}": s.period >= 1 and s.period == int(s.period),
        f"model.content {sides} (views) more than a multiple of {s.channels} (channels), not {s.content}": (
            factors >= 1 and left == 0
        ),
        "model.content_noise above 0, the noise that its maps are fitted with": s.noise > 0,
    }
    for need, met in needs.items():
        if not met:
            raise ConfigError(f"model.network posed needs {need}")
    h, coordinates = s.features, Coordinates((s.channels, *s.size), s.components, apart=True)
    poses = Poses(s.components, s.operators, s.views, int(s.period), factors, s.noise)
    return Networks(
        encoder=posed.Encoder(coordinates, 2 * h, h),
        content=posed.Content(poses, h),
        position=bilinear.Beside(h, compact.Position(h, s.state, s.conditions)),
        momentum=bilinear.Beside(h, compact.Momentum(h, s.state, s.conditions, s.window)),
        decoder=posed.Decoder(poses, h, (s.operators, s.d)),
        action=bilinear.Beside(h, ActionHead(h, h, s.actions)),
        coordinates=coordinates,
    )


def build_paper(s: Shape) -> Networks:
    h, v = s.features, s.features // 4
    return Networks(
        encoder=paper.encoder(s.channels, s.size, s.width, h),
        content=paper.Content(h, s.content),
        position=paper.Position(h, v, v, s.state, s.conditions),
        momentum=paper.Momentum(h, v, v, s.state, s.conditions, s.window),
        decoder=paper.decoder(s.channels, s.size, s.width, h, s.content, (s.operators, s.d)),
        action=ActionHead(h, v, s.actions),
    )


def build_paper_mnist(s: Shape) -> Networks:
    h, hidden, v = s.features, 320, s.state
    return Networks(
        encoder=paper.digit_encoder(s.channels, s.size, s.width, h),
        content=paper.Content(h, s.content),
        position=paper.Position(h, hidden, v, s.state, s.conditions),
        momentum=paper.Momentum(h, hidden, v, s.state, s.conditions, s.window),
        decoder=paper.digit_decoder(s.channels, s.size, s.width, h, s.content, (s.operators, s.d)),
        action=ActionHead(h, h, s.actions),
    )


NETWORKS: dict[str, Callable[[Shape], Networks]] = {
    "compact": build_compact,
    "dense": build_dense,
    "basis": build_basis,
    "bilinear": build_bilinear,
    "posed": build_posed,
    "paper": build_paper,
    "paper-mnist": build_paper_mnist,
}
