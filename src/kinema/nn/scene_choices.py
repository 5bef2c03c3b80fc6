"""What a renderer may be made of, by name: networks, what each code is read from, and how both codes meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.nn.scene import AffineHead, PatchDecoder, PatchEncoder, SceneDecoder, SceneEncoder


@dataclass(frozen=True, eq=False)
class Views:
    """A pair of frames as the network of the transformation may see it."""

    frames: tuple[Tensor, Tensor]
    characters: tuple[Tensor, Tensor]
    given: Tensor | None


class Transformation(Protocol):
    """T_Z, which takes a pair in order."""

    def __call__(self, pair: Views) -> Float[Tensor, "B K 2 3"]: ...


class FromFeatures(nn.Module):
    """T_Z of (f_c(x1), f_c(x2)): the paper's."""

    def __init__(self, channels: int, hidden: int, parts: int, size: tuple[int, int], stride: int) -> None:
        super().__init__()
        self.head = AffineHead(channels, hidden, parts, min(size) // stride)

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        first, second = pair.characters
        return self.head(first.flatten(1, 2), second.flatten(1, 2))


class FromFrames(nn.Module):
    """T_Z of (x1, x2): the second variant of the authors' note."""

    def __init__(self, channels: int, hidden: int, parts: int, size: tuple[int, int], stride: int) -> None:
        super().__init__()
        del channels, stride
        self.head = AffineHead(3, hidden, parts, min(size))

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        return self.head(*pair.frames)


class Given(nn.Module):
    """T_Z = T_X, the true transformation: the first variant of the note, and figure 18 of the paper."""

    def __init__(self, channels: int, hidden: int, parts: int, size: tuple[int, int], stride: int) -> None:
        super().__init__()
        self.parts = parts
        del channels, hidden, size, stride

    def forward(self, pair: Views) -> Float[Tensor, "B K 2 3"]:
        if pair.given is None:
            raise ConfigError("model.transformation: given: this data does not know it; set it to features")
        return pair.given[:, None].to(pair.characters[0].dtype).expand(-1, self.parts, -1, -1)


TRANSFORMATIONS: dict[str, Callable[[int, int, int, tuple[int, int], int], nn.Module]] = {
    "features": FromFeatures,
    "frames": FromFrames,
    "given": Given,
}
"""What the transformation may be read from; made of channels, hidden channels, parts, a frame's size and the stride."""


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
    """Encoder and decoder, made for so many channels, features and a padding."""

    encoder: Callable[..., nn.Module]
    decoder: Callable[..., nn.Module]
    stride: int
    """Pixels of a frame from one place of the feature maps to the next."""


NETWORKS: dict[str, Networks] = {
    "residual": Networks(SceneEncoder, SceneDecoder, 4),
    "patches": Networks(PatchEncoder, PatchDecoder, 2),
}
"""Encoders and decoders."""


def whole(x: Tensor, background: Callable[[Tensor], Tensor]) -> Tensor:
    """The frame itself (paper)."""
    del background
    return x - 0.5


def rest(x: Tensor, background: Callable[[Tensor], Tensor]) -> Tensor:
    """What the frame has that its background, rendered alone, has not. The background does not learn from it."""
    return x - background(x).detach()


CHARACTERS: dict[str, Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]] = {"frame": whole, "rest": rest}
"""What the character's encoder sees."""
CHOICES: Mapping[str, Mapping[str, object]] = {
    "character": CHARACTERS,
    "networks": NETWORKS,
    "transformation": TRANSFORMATIONS,
    "compositing": COMPOSITING,
}
"""What each setting that is a name may be."""
