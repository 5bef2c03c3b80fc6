"""The equivariant renderer (Resnick et al. 2020): background, character and transformation of a scene, from pairs.

``x2 = g(T_Z(f_c(x1), f_c(x2)) o f_c(x1) + f_b(x1))``: the character's features are warped by an affine matrix that is
read from the features of two frames, the background's are added, and the sum is decoded. Any of the three may come from
another scene. The default settings are the paper's form; what is not the paper's is named so in the settings.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.pairs import PairBatch, PairSource
from kinema.errors import ConfigError
from kinema.maths import affine
from kinema.models.base import Losses
from kinema.models.renderer_config import PairDomain, RendererConfig
from kinema.nn.movements import Movements
from kinema.nn.registration import landing_error, practice, pyramid_error
from kinema.nn.scene_choices import CHARACTERS, COMPOSITING, FREEDOMS, NETWORKS, TRANSFORMATIONS, Reading, Views, over
from kinema.nn.scene_filling import FillingEncoder
from kinema.nn.scene_repaint import Repaint

ROUND = 0.3
"""An error of the background alone counts squared below this, in [0, 1], and in proportion above it, until backgrounds
are filled in."""

LONGEST = 64
"""Frames of a clip, its first ones, whose movement is learned."""
REHEARSALS = 500
"""How often, in the course of training, f_b is left to learn alone for some steps."""

DUE = 3
"""In units of `settle`: when codes are nearly what they will be, `repaint` gets to know characters, and backgrounds are
filled in."""


def parted(whole: Float[Tensor, "B C h w"], shares: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K C h w"]:
    """A code in parts."""
    return whole[:, None] * shares[:, :, None]


def cleared(code: Float[Tensor, "B K C h w"], least: float) -> Float[Tensor, "B K C h w"]:
    """A code, its last channel a cover; where all parts together cover less than `least` there is none, and the rest is
    spread over [0, 1]. The other channels, which are times the cover, keep their share of it."""
    cover = code[:, :, -1:].sum(1, keepdim=True)
    return code * (((cover - least) / (1 - least)).clamp_min(0) / cover.clamp_min(least))


class Renderer(nn.Module):
    """f_c, f_b, T_Z and g. Pictures are float in [0, 1]; character features are (B, K, C, h, w), one map a part."""

    def __init__(self, config: RendererConfig, domain: PairDomain) -> None:
        """Raises ConfigError for pictures whose sides are no multiples of what the networks need."""
        nets = NETWORKS[config.networks](config.patch)
        if any(side % nets.multiple for side in domain.size):
            raise ConfigError(
                f"renderer: pictures of {domain.size[1]} x {domain.size[0]}; sides must be multiples of {nets.multiple}"
            )
        super().__init__()
        self.config, self.domain = config, domain
        self.covers = COMPOSITING[config.compositing] is over
        self.masks = config.parts if config.parts > 1 else 0
        self.sight = CHARACTERS[config.character]
        channels = config.features + self.covers
        self.character_encoder = nets.encoder(
            self.sight.channels, config.width, channels, config.padding, masks=self.masks
        )
        self.background_encoder = nets.encoder(3, config.width, config.features, config.padding)
        self.decoder = nets.decoder(config.width, config.features, config.padding)
        self.stride = nets.stride
        c = config
        freedom = FREEDOMS[c.freedom]
        reading = Reading(channels, c.hidden, c.parts, domain.size, nets.stride, c.field, c.looks, freedom)
        self.head = TRANSFORMATIONS[c.transformation](reading)
        side = (domain.size[0] // nets.stride, domain.size[1] // nets.stride)
        self.repaint = Repaint(channels, c.parts, c.repaint, c.components, side) if c.repaint else None
        self.movements = Movements(c.movements, c.parts) if c.movements else None
        if config.filling and nets.filling:  # last, so that all else begins as without it
            self.background_encoder = nets.filling(
                self.background_encoder, config.width, config.padding, config.filling
            )
        self.settled, self.due, self.rehearses = 1.0, True, False
        self.strangers = self.repaint is not None  # asked once a step, so not of the device

    # --- from pictures -----------------------------------------------------------------------------------------------

    def encode_character(
        self, x: Float[Tensor, "B 3 H W"], alone: Float[Tensor, "B 3 H W"] | None = None
    ) -> Float[Tensor, "B K C h w"]:
        """f_c: the character as feature maps, one for each part; with `over` the last channel is its cover.

        `alone` is `solo_background` of x, for who has it already.
        """
        return parted(*self._whole(x, alone))

    def _whole(self, x: Tensor, alone: Tensor | None) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B K h w"]]:
        """The code of the whole character, and each part's share of it."""
        seen = self.sight.see(x, self.solo_background if alone is None else lambda _: alone)
        h = self.character_encoder(seen)
        h, masks = h[:, : h.shape[1] - self.masks], h[:, h.shape[1] - self.masks :]
        if self.covers:
            cover = (h[:, -1:] + self.sight.differs(seen, self.stride)).sigmoid()
            h = torch.cat([h[:, :-1] * cover, cover], 1)
        return h, masks.softmax(1) if self.masks else torch.ones_like(h[:, :1])

    def encode_background(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """f_b."""
        return self.background_encoder(x - 0.5)

    def codes(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B K C h w"], Float[Tensor, "B c h w"]]:
        """f_c and f_b of the same frames, which share what they need."""
        background = self.encode_background(x)
        alone = self.alone(background) if self.sight.channels > 3 else None
        return self.encode_character(x, alone), background

    def outlines(self, character: Float[Tensor, "B K C h w"]) -> Float[Tensor, "B K h w"]:
        """Where each part of a character is: its cover, or else how long its features are."""
        return character[:, :, -1] if self.covers else character.norm(dim=2)

    def outline(self, character: Float[Tensor, "B K C h w"]) -> Float[Tensor, "B 1 h w"]:
        """Where a character is: the sum of its parts'."""
        return self.outlines(character).sum(1, keepdim=True)

    def transformation(
        self, first: Float[Tensor, "#B 3 H W"], second: Float[Tensor, "B 3 H W"], given: Tensor | None = None
    ) -> Float[Tensor, "B K 2 3"]:
        """T_Z of two frames of one clip, in the convention of `maths.affine`; one first frame may serve all seconds."""
        z1, z2 = self.encode_character(first), self.encode_character(second)
        return self.read(first.expand_as(second), second, z1.expand_as(z2), z2, given)

    def read(
        self, first: Tensor, second: Tensor, z1: Tensor, z2: Tensor, given: Tensor | None = None
    ) -> Float[Tensor, "B K 2 3"]:
        """T_Z of two frames whose codes are known."""
        return self._readings(first, second, z1, z2, given)[-1]

    def _readings(
        self, first: Tensor, second: Tensor, z1: Tensor, z2: Tensor, given: Tensor | None = None
    ) -> list[Float[Tensor, "B K 2 3"]]:
        with torch.autocast(z1.device.type, enabled=False):
            outlines = self.outlines(z1).float(), self.outlines(z2).float()
            return self.head.readings(Views((first, second), (z1.float(), z2.float()), outlines, given))

    # --- to pictures -------------------------------------------------------------------------------------------------

    def warp(
        self, character: Float[Tensor, "B K C h w"], theta: Float[Tensor, "B K 2 3"]
    ) -> Float[Tensor, "B K C h w"]:
        """T o z: every part's map, warped by its matrix; where nothing comes from, there is no character."""
        with torch.autocast(theta.device.type, enabled=False):
            return affine.warp(character.flatten(0, 1).float(), theta.flatten(0, 1).float()).view_as(character)

    def move(
        self, character: Float[Tensor, "B K C h w"], theta: Float[Tensor, "B K 2 3"]
    ) -> Float[Tensor, "B P C h w"]:
        """T o z, and what is repainted of it; P is K, or 1 where something is. Once trained, clears faint cover."""
        moved = self.warp(character, theta)
        if self.repaint is not None:
            moved = self.repaint(character.sum(1), moved.sum(1), theta.float())[:, None]
        return moved if self.training or not self.config.cleared else cleared(moved, self.config.cleared)

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
        moved = self.move(self.encode_character(character), theta)
        return self.render(moved, self.encode_background(background)).clamp(0, 1)

    def alone(self, background: Float[Tensor, "B c h w"]) -> Float[Tensor, "B 3 H W"]:
        """g of the background's features alone (figure 10)."""
        nobody = background.new_zeros(len(background), 1, self.config.features + self.covers, *background.shape[-2:])
        return self.render(nobody, background)

    def solo_background(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """The background of a frame, rendered alone."""
        return self.alone(self.encode_background(x)).clamp(0, 1)

    def solo_character(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """g of the character's features alone."""
        character = self.encode_character(x)
        return self.render(character, torch.zeros_like(character[:, 0, : self.config.features])).clamp(0, 1)

    # --- after learning ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def finish(self, source: PairSource, seed: int, clips: int = 800) -> None:
        """Learn what movements there are from some training clips, their first frames, where that is asked for."""
        if self.movements is None:
            return
        source, generator = source.steady(), torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(source), generator=generator)[:clips]
        grounds = torch.randint(source.backgrounds, (len(chosen),), generator=generator)
        self.eval()
        read = [self._movement(source, *one) for one in zip(chosen.split(1), grounds.split(1), strict=True)]
        self.movements.fit(read, seed)

    def _movement(self, source: PairSource, clip: Tensor, ground: Tensor) -> Float[Tensor, "T K 2 3"]:
        """T_Z from a clip's first frame to each."""
        count, where = min(int(source.frame_counts()[clip]), LONGEST), next(self.parameters()).device
        steps, which = torch.arange(count), clip.expand(count)
        frames = source.frames(which, steps, ground.expand(count)).to(where).float() / 255
        given = source.given(which, torch.zeros_like(steps), steps)
        return self.transformation(frames[:1], frames, None if given is None else given.to(where))

    # --- learning ----------------------------------------------------------------------------------------------------

    def anneal(self, share: float) -> None:
        """Of a moment of training, of which `share` is done: how far the scene loss and the price of cover count, and
        whether `repaint` may get to know characters, backgrounds are filled in, and f_b learns alone."""
        settle = self.config.settle
        self.due = share >= DUE * settle
        self.rehearses = self.due and share * REHEARSALS % 1 < self.config.rehearsal
        if isinstance(self.background_encoder, FillingEncoder):
            self.background_encoder.fills = self.due
        self.settled = min(1.0, max(0.0, share / settle - 1)) if settle else 1.0

    def losses(self, batch: PairBatch) -> Losses:
        """The paper's eq. 4 with every norm a mean of squares, and the terms that are not the paper's."""
        c = self.config
        first, second = self._jittered(*(x.float() / 255 for x in (batch.first, batch.second)))
        if self.rehearses:
            return self._rehearsed(torch.cat([first, second]))
        second, given = self._stilled(first, second, batch.given)
        frames = torch.cat([first, second])
        backgrounds = self.encode_background(frames)
        b1, b2 = backgrounds.chunk(2)
        alone = self.alone(backgrounds) if self.sight.channels > 3 or c.solo else None
        whole, shares = self._whole(frames, alone)
        both = parted(whole, shares)
        seen, behind = (parted(whole.detach(), shares), backgrounds.detach()) if c.apart else (both, backgrounds)
        if self.repaint is not None and self.due and self.strangers:
            self.strangers = not self.repaint.meet(whole.detach().float(), self.outline(both).detach().float())
        terms = self._scene(frames, seen, behind, given)
        terms["invariance"] = (b1 - b2).float().square().mean()
        if c.solo and alone is not None:
            terms["solo"] = self._solo(alone.float(), frames.roll(len(first), 0), both.roll(len(first), 0))
        if c.itself:
            terms["itself"] = (self.render(both, backgrounds.detach()).float() - frames).square().mean()
        if c.practice:
            terms["practice"] = self._practised(first, both[: len(first)].detach())
        if c.cover:
            terms["cover"] = self.outline(both).float().mean()
        weights = vars(c) | {"scene": 1.0 if c.apart else self.settled, "cover": c.cover * self.settled}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        terms["character code"] = both[: len(first)].float().square().mean()
        terms["background code"] = b1.float().square().mean()
        return Losses(total, terms)

    def _rehearsed(self, frames: Float[Tensor, "N 3 H W"]) -> Losses:
        """What f_b alone learns from, in any order of colour channels and half of the time in a mirror: backgrounds of
        which there are no more. Where somebody is, f_c tells it and does not learn."""
        frames = frames[:, torch.randperm(3, device=frames.device)]
        if torch.rand(()) < 0.5:
            frames = frames.flip(-1)
        backgrounds = self.encode_background(frames)
        alone = self.alone(backgrounds)
        with torch.no_grad():
            seen = parted(*self._whole(frames, alone.detach()))
        b1, b2 = backgrounds.float().chunk(2)
        half = len(b1)
        terms = {
            "invariance": (b1 - b2).square().mean(),
            "solo": self._solo(alone.float(), frames.roll(half, 0), seen.roll(half, 0)),
        }
        return Losses(self.config.invariance * terms["invariance"] + self.config.solo * terms["solo"], terms)

    def _jittered(self, *frames: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B 3 H W"]]:
        """The frames with a share of a random colour, the same in all."""
        if not self.config.jitter:
            return list(frames)
        count, device = len(frames[0]), frames[0].device
        mixed = self.config.jitter * torch.rand(count, 1, 1, 1, device=device)
        colour = torch.rand(count, 3, 1, 1, device=device)
        return [x + mixed * (colour - x) for x in frames]

    def _stilled(self, first: Tensor, second: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The second frames and the true movements, in some pairs the first frame again and none."""
        if not self.config.still:
            return second, given
        stays = torch.rand(len(first), 1, 1, 1, device=first.device) < self.config.still
        given = None if given is None else torch.where(stays[..., 0], affine.identity(1).to(given), given)
        return torch.where(stays, first, second), given

    def _scene(
        self, frames: Float[Tensor, "N 3 H W"], z: Tensor, b: Tensor, given: Tensor | None
    ) -> dict[str, Float[Tensor, ""]]:
        """What T_Z makes of pairs, of which `frames` holds the firsts and then the seconds, as do their codes."""
        c, count = self.config, len(frames) // 2
        orders = 2 * count if c.backwards else count
        if given is not None and c.backwards:
            given = torch.cat([given, affine.invert(given)])
        goal, theirs = (x.roll(count, 0)[:orders] for x in (frames, z))
        theta = self.read(frames[:orders], goal, z[:orders], theirs, given)
        moved = self.move(z[:orders], theta)
        sought = theirs if self.repaint is None else theirs.sum(1, keepdim=True)
        terms = {
            "scene": (self.render(moved, b[:orders]).float() - goal).square().mean(),
            "equivariance": (moved - sought).float().square().mean(),
        }
        if c.inverse:
            back = self.read(frames[count:], frames[:count], z[count:], z[:count])
            again = affine.compose(theta[:count].float(), back.float())
            terms["inverse"] = (again - affine.identity(1, 1, device=again.device)).square().mean()
        if c.align:
            far = self.warp(z[:orders].detach(), theta).flatten(1, 2)
            terms["align"] = pyramid_error(far.float(), theirs.detach().flatten(1, 2).float())
        return terms

    def _solo(self, alone: Tensor, other: Tensor, theirs: Tensor) -> Float[Tensor, ""]:
        """Backgrounds alone against the other frames, where no character covers these (`theirs`: their codes)."""
        # What is hidden and filled in can but be guessed, and the best guess is a mean: then all errors are squared.
        bound = 1.0 if self.due and isinstance(self.background_encoder, FillingEncoder) else ROUND
        error = bound / ROUND * functional.smooth_l1_loss(alone, other, beta=bound, reduction="none")
        return ((1 - self.outline(theirs).detach()) * error).mean() if self.covers else error.mean()

    def _practised(self, frames: Tensor, z: Tensor) -> Float[Tensor, ""]:
        """How far T_Z goes astray between codes and the same codes moved in a known way, where there is anybody."""
        truth, at, seen = practice(self.outline(z).float(), self.config.turn)
        moved = self.warp(z, truth[:, None].expand(-1, self.config.parts, -1, -1))
        errors = [landing_error(theta, truth, at) for theta in self._readings(frames, frames, z, moved)]
        return (torch.stack(errors).mean(0) * seen).sum() / seen.sum().clamp_min(1)

    def forward(
        self, first: UInt8[Tensor, "B 3 H W"], second: UInt8[Tensor, "B 3 H W"], given: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        losses = self.losses(PairBatch(first, second, given))
        return {"loss": losses.total, **losses.terms}
