"""What a renderer may be made of, by name: networks, what each code is read from, and how both codes meet."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import ConfigError
from kinema.maths import affine
from kinema.nn.registration import about, centre, crop, displacement, whole_middle
from kinema.nn.scene import AffineHead, SceneDecoder, SceneEncoder
from kinema.nn.scene_filling import FillingEncoder
from kinema.nn.scene_pixels import COLOURS, PixelDecoder, PixelEncoder

CROP = 16
"""Side of the crops in which a centred T_Z compares two characters, in places."""
FINE = 4
"""A T_Z of poses sees crops so many times as fine along each side."""


@dataclass(frozen=True, eq=False)
class Views:
    """A pair of frames as the network of the transformation may see it."""

    frames: tuple[Tensor, Tensor]
    """(B, 3, H, W) each."""
    characters: tuple[Tensor, Tensor]
    """Codes, (B, K, C, h, w) each."""
    outlines: tuple[Tensor, Tensor]
    """How much of each part of the character is where, (B, K, h, w) each."""
    given: Tensor | None
    """The true transformation, where it is told."""


@dataclass(frozen=True)
class Reading:
    """What a network of the transformation is made for."""

    channels: int
    """Of a code."""
    hidden: int
    parts: int
    size: tuple[int, int]
    """Of a frame, in pixels."""
    stride: int
    """Pixels from one place of a code to the next."""
    field: float
    """Share of the canvas that a centred crop spans."""
    looks: int
    """How often a centred reading looks."""
    freedom: Callable[[Tensor], Tensor]
    """From any matrices to those that are allowed."""


class Transformation(nn.Module, ABC):
    """T_Z, which takes a pair in order."""

    @abstractmethod
    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]: ...

    def readings(self, pair: Views) -> list[Float[Tensor, "B K 2 3"]]:
        """What was read at every look, the last of which counts."""
        return [self(pair)]


class FromFeatures(Transformation):
    """T_Z of (f_c(x1), f_c(x2)): the paper's."""

    def __init__(self, made_for: Reading) -> None:
        super().__init__()
        m, side = made_for, min(made_for.size) // made_for.stride
        self.head = AffineHead(m.channels * m.parts, m.hidden, m.parts, side, m.freedom)

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        first, second = pair.characters
        return self.head(first.flatten(1, 2), second.flatten(1, 2))


class FromFrames(Transformation):
    """T_Z of (x1, x2): the second variant of the authors' note."""

    def __init__(self, made_for: Reading) -> None:
        super().__init__()
        self.head = AffineHead(3, made_for.hidden, made_for.parts, min(made_for.size), made_for.freedom)

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        return self.head(*pair.frames)


class Centred(Transformation):
    """T_Z of both outlines, each cropped about its own middle: ours.

    The way from one middle to the other is then known, and what is left for the network is to turn and to correct.
    It looks again at the first outline as it was moved, and corrects what it read (as in the inverse compositional
    transformer networks of Lin and Lucey, 2017). The codes do not learn from being read.
    """

    def __init__(self, made_for: Reading) -> None:
        super().__init__()
        self.head = AffineHead(1, made_for.hidden, made_for.parts, CROP, made_for.freedom)
        self.field, self.looks = made_for.field, made_for.looks

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        return self.readings(pair)[-1]

    def readings(self, pair: Views) -> list[Float[Tensor, "B K 2 3"]]:
        first, second = (outline.detach() for outline in pair.outlines)
        found = [self.look(first, second)]
        for _ in range(self.looks - 1):
            known = found[-1].detach()
            moved = affine.warp(first.flatten(0, 1)[:, None], known.flatten(0, 1)).view_as(first)
            found.append(affine.compose(known, self.look(moved, second)))
        return found

    def look(self, first: Float[Tensor, "B K h w"], second: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 2 3"]:
        """What leads from one outline to the other at one look."""
        whole = [part.sum(1, keepdim=True) for part in (first, second)]
        middles = [centre(part) for part in whole]
        crops = (crop(part, at, self.field, CROP) for part, at in zip(whole, middles, strict=True))
        return about(self.head(*crops), *middles)


class Posed(Transformation):
    """T_Z of both codes, colours and all, cropped about the same place of the body: ours.

    An arm before a body is in no outline. The body goes where the first code meets the second best, by whole places.
    Of several parts the first is the body, and the network reads what the others do; of one part, what that does
    besides. The codes do not learn from being read.
    """

    def __init__(self, made_for: Reading) -> None:
        super().__init__()
        m = made_for
        self.bodies = int(m.parts > 1)
        self.head = AffineHead(m.channels * FINE**2, m.hidden, m.parts - self.bodies, CROP, m.freedom)
        self.field = m.field

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        codes = [code.detach().sum(1) for code in pair.characters]
        first = whole_middle(pair.outlines[0].sum(1, keepdim=True))
        middles = first, first + displacement(*codes)
        crops = (
            functional.pixel_unshuffle(crop(code, at, self.field, FINE * CROP), FINE)
            for code, at in zip(codes, middles, strict=True)
        )
        found = self.head(*crops)
        body = affine.identity(len(found), self.bodies, device=found.device)
        return about(torch.cat([body, found], 1), *middles)


class Given(Transformation):
    """T_Z = T_X, the true transformation: the first variant of the note, and figure 18 of the paper."""

    def __init__(self, made_for: Reading) -> None:
        super().__init__()
        self.parts = made_for.parts

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        if pair.given is None:
            raise ConfigError("model.transformation: given: this data does not know it; set it to features")
        return pair.given[:, None].to(pair.characters[0].dtype).expand(-1, self.parts, -1, -1)


TRANSFORMATIONS: dict[str, Callable[[Reading], Transformation]] = {
    "features": FromFeatures,
    "frames": FromFrames,
    "centred": Centred,
    "posed": Posed,
    "given": Given,
}
"""What the transformation may be read from."""


def affine_freedom(theta: Tensor) -> Tensor:
    """Any affine matrix (paper)."""
    return theta


FREEDOMS: dict[str, Callable[[Tensor], Tensor]] = {
    "affine": affine_freedom,
    "similarity": affine.similarity,
    "rigid": affine.rigid,
}
"""Which matrices T_Z may be."""


def add(character: Tensor, background: Tensor) -> Tensor:
    """The sum of both feature maps (paper, figure 1)."""
    return character + background


def over(character: Tensor, background: Tensor) -> Tensor:
    """The character's features, premultiplied by their cover, which is the last channel, over the background's."""
    return character[:, :-1] + (1 - character[:, -1:]) * background


COMPOSITING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": add, "over": over}
"""How features of character and background meet."""


@dataclass(frozen=True)
class Networks:
    """Encoder (channels of its input, width, features, padding) and decoder (width, features, padding)."""

    encoder: Callable[..., nn.Module]
    decoder: Callable[..., nn.Module]
    stride: int
    """Pixels of a frame from one place of the feature maps to the next."""
    multiple: int
    """What a frame's sides must be multiples of."""
    least: int = 1
    """Features that are needed at least."""
    filling: Callable[..., nn.Module] | None = None
    """What makes an encoder fill in (the encoder, width, padding, heads), where there is such a thing."""


def residual(patch: int) -> Networks:
    """Codes of a quarter of the frame's sides."""
    del patch
    return Networks(SceneEncoder, SceneDecoder, 4, 4)


def pixels(patch: int) -> Networks:
    """Codes as large as the frame."""
    encoder, decoder = partial(PixelEncoder, patch=patch), partial(PixelDecoder, patch=patch)
    return Networks(encoder, decoder, 1, patch, COLOURS, FillingEncoder)


NETWORKS: dict[str, Callable[[int], Networks]] = {
    "residual": residual,
    "pixels": pixels,
}
"""Encoders and decoders, made for patches of a side, where they work on patches."""

DIFFERENT, STEEP = 0.1, 40.0
"""A pixel begins as the character's where it differs from the background by more than the first, in [0, 1] and the
mean over the channels; the second is how sharply, in units of the cover's logit."""


@dataclass(frozen=True)
class Sight:
    """What the character's encoder sees, of so many channels."""

    channels: int
    see: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]
    """Of a frame and what renders its background alone."""
    differs: Callable[[Tensor, int], Tensor]
    """Of what is seen, and pixels to a place of the code: the logit of its cover, to which the network adds."""


def whole(x: Tensor, background: Callable[[Tensor], Tensor]) -> Tensor:
    """The frame itself (paper)."""
    del background
    return x - 0.5


def rest(x: Tensor, background: Callable[[Tensor], Tensor]) -> Tensor:
    """The frame, and what its background, rendered alone, lacks of it. The background does not learn from it."""
    return torch.cat([x - 0.5, x - background(x).detach().clamp(0, 1)], 1)


def unknown(seen: Tensor, stride: int) -> Tensor:
    """Nothing is known of the cover."""
    del stride
    return seen.new_zeros(1)


def difference(seen: Tensor, stride: int) -> Tensor:
    """The character is where the frame is not its background."""
    much = functional.avg_pool2d(seen[:, 3:].abs().mean(1, keepdim=True), stride)
    return STEEP * (much - DIFFERENT)


CHARACTERS: dict[str, Sight] = {"frame": Sight(3, whole, unknown), "rest": Sight(6, rest, difference)}
"""What the character's encoder sees."""
CHOICES: Mapping[str, Mapping[str, object]] = {
    "character": CHARACTERS,
    "networks": NETWORKS,
    "transformation": TRANSFORMATIONS,
    "compositing": COMPOSITING,
    "freedom": FREEDOMS,
}
"""What each setting that is a name may be."""
