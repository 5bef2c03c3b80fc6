"""The equivariant renderer (Resnick et al. 2020): background, character and transformation of a scene, from pairs.

``x2 = g(T_Z(f_c(x1), f_c(x2)) o f_c(x1) + f_b(x1))``: the character's features are warped by an affine matrix that is
read from the features of two frames, the background's are added, and the sum is decoded. Any of the three may come from
another scene. The default settings are the paper's form; what is not the paper's is named so in the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.data.pairs import PairBatch, PairSource
from kinema.errors import ConfigError
from kinema.maths import affine
from kinema.models.base import Losses
from kinema.nn.scene import Padding
from kinema.nn.scene_choices import (
    CHARACTERS,
    CHOICES,
    COMPOSITING,
    NETWORKS,
    TRANSFORMATIONS,
    Given,
    Views,
    add,
    over,
    rest,
)


@dataclass(frozen=True)
class PairDomain:
    """What a renderer must know of its data. It is saved with the model."""

    size: tuple[int, int]
    """Height and width of a frame, in pixels; each a multiple of 4."""
    fps: float
    """Frames per second of the training clips."""

    @property
    def actions(self) -> tuple[str, ...]:
        """None: a movement is read from frames, not named."""
        return ()

    def describe(self) -> dict[str, str]:
        """What a person must know of it, by name."""
        return {"Frames": f"{self.size[1]} x {self.size[0]} pixels, RGB"}

    def misfit(self, other: "PairDomain", actions: bool = True) -> str | None:
        """What of `other` a model made for this cannot take, in words; None where it fits."""
        del actions
        (h, w), (height, width) = self.size, other.size
        return None if self.size == other.size else f"made for {w} x {h} pixels; the clips have {width} x {height}"

    def data_settings(self) -> dict[str, Any]:
        """Settings of a source whose clips are to fit."""
        return {"length": 2, "size": self.size[0]}


def domain_of(source: PairSource) -> PairDomain:
    """What a renderer must know of a source."""
    return PairDomain(source.size, source.fps)


@dataclass(frozen=True)
class RendererConfig:
    """Sizes, weights of the objective, and what is not the paper's."""

    networks: str = "residual"
    """Encoders and decoder: residual, or patches (of 2 x 2 pixels), which are ours, for small budgets."""
    width: int = 32
    """Channels of the first layer; later ones have 2 and 4 times as many."""
    features: int = 32
    """Channels of the feature maps, c' in the paper."""
    hidden: int = 128
    """Channels of the network that gives the transformation."""
    padding: Padding = "zeros"
    """What convolutions see beyond the edges: zeros, replicate or reflect."""
    character: str = "frame"
    """What f_c sees: frame, as in the paper, or rest, the frame less its background rendered alone, which is ours."""
    transformation: str = "features"
    """What T_Z is read from: features, as in the paper, frames, or given, which is the true one of the source."""
    equivariance: float = 0.1
    """Weight of the equivariance loss."""
    invariance: float = 0.1
    """Weight of the invariance loss."""
    inverse: float = 0.0
    """Weight of the loss on T(1, 2) being the inverse of T(2, 1), which the paper names and does not use."""
    parts: int = 1
    """Affine parts with soft masks. 1 is the paper's; more are ours."""
    compositing: str = "add"
    """How character and background meet: add, as in the paper, or over, which is ours: the character covers."""
    cover: float = 0.0
    """Weight of the square of what the character covers beyond its room, with over. Ours: no canvas fits into it."""
    room: float = 0.1
    """Share of the picture that a character may cover at no cost."""
    solo: float = 0.0
    """Weight of the mean absolute error of the background rendered alone against the other frame of the pair. Ours: a
    character is elsewhere there, and the median of what may be seen is the background."""
    jitter: float = 0.0
    """Share of a random colour that is mixed into both frames of a pair, at most. Ours."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"model.{name}: {getattr(self, name)!r} is unknown; known: {', '.join(known)}")
        for name in ("width", "features", "hidden", "parts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("equivariance", "invariance", "inverse", "cover", "room", "solo", "jitter"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; 0 or more is needed")
        if self.inverse and TRANSFORMATIONS[self.transformation] is Given:
            raise ConfigError("model.inverse: a transformation that is given is not learned; set model.inverse to 0")
        if self.cover and COMPOSITING[self.compositing] is add:
            raise ConfigError("model.cover: only a character that covers has a share; set model.compositing to over")


class Renderer(nn.Module):
    """f_c, f_b, T_Z and g. Pictures are float in [0, 1]; character features are (B, K, C, h, w), one map a part."""

    def __init__(self, config: RendererConfig, domain: PairDomain) -> None:
        """Raises ConfigError for pictures whose sides are no multiples of 4."""
        if any(side % 4 for side in domain.size):
            raise ConfigError(
                f"renderer: pictures of {domain.size[1]} x {domain.size[0]}; sides must be multiples of 4"
            )
        super().__init__()
        self.config, self.domain = config, domain
        self.covers = COMPOSITING[config.compositing] is over
        self.masks = config.parts if config.parts > 1 else 0
        channels = config.features + self.covers
        nets = NETWORKS[config.networks]
        self.character_encoder = nets.encoder(config.width, channels + self.masks, config.padding)
        self.background_encoder = nets.encoder(config.width, config.features, config.padding)
        self.decoder = nets.decoder(config.width, config.features, config.padding)
        self.head = TRANSFORMATIONS[config.transformation](
            channels * config.parts, config.hidden, config.parts, domain.size, nets.stride
        )

    # --- from pictures -----------------------------------------------------------------------------------------------

    def encode_character(
        self, x: Float[Tensor, "B 3 H W"], alone: Float[Tensor, "B 3 H W"] | None = None
    ) -> Float[Tensor, "B K C h w"]:
        """f_c: the character as feature maps, one for each part; with `over` the last channel is its cover.

        `alone` is `solo_background` of x, for who has it already.
        """
        shown = self.solo_background if alone is None else lambda _: alone
        h = self.character_encoder(CHARACTERS[self.config.character](x, shown))
        h, masks = h[:, : h.shape[1] - self.masks], h[:, h.shape[1] - self.masks :]
        if self.covers:
            cover = h[:, -1:].sigmoid()
            h = torch.cat([h[:, :-1] * cover, cover], 1)
        return h[:, None] * masks.softmax(1)[:, :, None] if self.masks else h[:, None]

    def encode_background(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """f_b."""
        return self.background_encoder(x - 0.5)

    def transformation(
        self, first: Float[Tensor, "#B 3 H W"], second: Float[Tensor, "B 3 H W"], given: Tensor | None = None
    ) -> Float[Tensor, "B K 2 3"]:
        """T_Z of two frames of one clip, in the convention of `maths.affine`; one first frame may serve all seconds."""
        z1, z2 = self.encode_character(first), self.encode_character(second)
        return self.head(Views((first.expand_as(second), second), (z1.expand_as(z2), z2), given))

    # --- to pictures -------------------------------------------------------------------------------------------------

    def move(
        self, character: Float[Tensor, "B K C h w"], theta: Float[Tensor, "B K 2 3"]
    ) -> Float[Tensor, "B K C h w"]:
        """T o z: every part's map, warped by its matrix; where nothing comes from, there is no character."""
        with torch.autocast(theta.device.type, enabled=False):
            return affine.warp(character.flatten(0, 1).float(), theta.flatten(0, 1).float()).view_as(character)

    def render(
        self, character: Float[Tensor, "B K C h w"], background: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B 3 H W"]:
        """g of both."""
        return self.decoder(COMPOSITING[self.config.compositing](character.sum(1), background))

    def compose(
        self,
        character: Float[Tensor, "B 3 H W"],
        first: Float[Tensor, "B 3 H W"],
        second: Float[Tensor, "B 3 H W"],
        background: Float[Tensor, "B 3 H W"],
        given: Tensor | None = None,
    ) -> Float[Tensor, "B 3 H W"]:
        """h(x_c, x_t1, x_t2, x_b): this character, moved as from `first` to `second`, on that background."""
        theta = self.transformation(first, second, given)
        return self.render(self.move(self.encode_character(character), theta), self.encode_background(background))

    def alone(self, background: Float[Tensor, "B c h w"]) -> Float[Tensor, "B 3 H W"]:
        """g of the background's features alone (figure 10)."""
        nobody = background.new_zeros(len(background), 1, self.config.features + self.covers, *background.shape[-2:])
        return self.render(nobody, background)

    def solo_background(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """The background of a frame, rendered alone."""
        return self.alone(self.encode_background(x))

    def solo_character(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """g of the character's features alone."""
        character = self.encode_character(x)
        return self.render(character, torch.zeros_like(character[:, 0, : self.config.features]))

    # --- learning ----------------------------------------------------------------------------------------------------

    def losses(self, batch: PairBatch) -> Losses:
        """The paper's eq. 4 with every norm a mean of squares, and the terms that are not the paper's."""
        c = self.config
        first, second = (x.float() / 255 for x in (batch.first, batch.second))
        if c.jitter:
            mixed = c.jitter * torch.rand(len(first), 1, 1, 1, device=first.device)
            colour = torch.rand(len(first), 3, 1, 1, device=first.device)
            first, second = (x + mixed * (colour - x) for x in (first, second))
        frames = torch.cat([first, second])
        backgrounds = self.encode_background(frames)
        b1, b2 = backgrounds.chunk(2)
        sees_rest = CHARACTERS[c.character] is rest
        alone = self.alone(backgrounds if sees_rest else b1) if sees_rest or c.solo else None
        both = self.encode_character(frames, alone if sees_rest else None)
        z1, z2 = both.chunk(2)
        theta = self.head(Views((first, second), (z1, z2), batch.given))
        moved = self.move(z1, theta)
        terms: dict[str, Tensor] = {
            "scene": (self.render(moved, b1).float() - second).square().mean(),
            "equivariance": (moved - z2).float().square().mean(),
            "invariance": (b1 - b2).float().square().mean(),
        }
        weights: dict[str, float] = {"scene": 1.0, "equivariance": c.equivariance, "invariance": c.invariance}
        if c.inverse:
            back = self.head(Views((second, first), (z2, z1), None))
            there = affine.compose(theta.float(), back.float())
            terms["inverse"] = (there - affine.identity(1, 1, device=there.device)).square().mean()
            weights["inverse"] = c.inverse
        if c.solo and alone is not None:
            terms["solo"] = (alone[: len(second)].float() - second).abs().mean()
            weights["solo"] = c.solo
        if c.cover:
            share = both[:, :, -1].float().sum(1).mean((1, 2))
            terms["cover"] = (share - c.room).relu().square().mean()
            weights["cover"] = c.cover
        total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
        terms["character code"] = z1.float().square().mean()
        terms["background code"] = b1.float().square().mean()
        return Losses(total, terms)

    def forward(
        self, first: UInt8[Tensor, "B 3 H W"], second: UInt8[Tensor, "B 3 H W"], given: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        losses = self.losses(PairBatch(first, second, given))
        return {"loss": losses.total, **losses.terms}
