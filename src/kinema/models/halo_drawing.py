"""What can be drawn from a HALO or read off it: priors, fitted densities, codes, snapped frequencies."""

import copy
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.data.source import Source
from kinema.errors import ConfigError
from kinema.maths.gaussian import Gaussian
from kinema.models.halo_config import HaloConfig
from kinema.nn.density import Density, Parts
from kinema.nn.found_actions import FoundActions
from kinema.nn.operators import Operator


class Drawing(nn.Module):
    """The part of a HALO that draws; `Halo` has the rest."""

    config: HaloConfig
    count: int
    operator: Any
    prior: Any
    content: Any
    found: FoundActions | None
    contents: Density | Parts | None
    starts: Density | None
    coordinates: Any
    decoder: Any
    encode: Any
    flow: Any
    phase: Any
    moving: Any
    anchor: Any
    recent: Any
    relabelled: Any
    state_gaussian: Any

    def decode(self, z: Float[Tensor, "B z"], states: Float[Tensor, "B T K n"]) -> Float[Tensor, "B T C H W"]:
        """Frames from the content and the positions of a trajectory; momenta only move."""
        return self.coordinates.leave(self.decoder(z, states[..., : self.config.d]))

    def draw_content(self, count: int, generator: torch.Generator) -> Float[Tensor, "B z"]:
        """New contents, from the fitted density or from N(0, I), drawn by `generator` on the CPU."""
        where = next(self.parameters())
        if self.contents is not None:
            return self.contents.sample(torch.zeros(count, dtype=torch.int64), generator)
        return torch.randn(count, self.config.content, generator=generator).to(where)

    def draw_state(self, action: Int[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, "B K n"]:
        """States at a clip's beginning, from the fitted density or from the prior, drawn by `generator` on the CPU."""
        if self.starts is None:
            prior = self.prior.at_start()
            noise = torch.randn(len(action), *prior.mean.shape, generator=generator).to(action.device)
            state = prior.mean.to(noise) + (0.5 * prior.logvar.to(noise)).exp() * noise
        else:
            group = action if self.config.one_moves else torch.zeros_like(action)
            state = self.starts.sample(group.cpu(), generator)
            state = state[:, None] if self.config.one_moves else state.unflatten(1, (self.count, -1))
        return state * self.moving(action)[..., None]

    def with_prior_motion(
        self,
        content: Float[Tensor, "B A C H W"],
        action: Int[Tensor, " B"],
        times: Float[Tensor, "B T"],
        generator: torch.Generator,
    ) -> Float[Tensor, "B T C H W"]:
        """The content of real clips, each doing an action whose state at time 0 is drawn."""
        z = self.content(self.encode(content)).mean
        return self.decode(z, self.flow(self.draw_state(action, generator), times))

    def with_sampled_content(
        self,
        motion: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        action: Int[Tensor, " B"] | None,
        generator: torch.Generator,
    ) -> Float[Tensor, "B T C H W"]:
        """The motion of real clips, each of a content that is drawn."""
        return self.decode(self.draw_content(len(motion), generator), self.phase(motion, times, action))

    def at_times(
        self,
        frames: Float[Tensor, "B T C H W"],
        times: Float[Tensor, "B T"],
        wanted: Float[Tensor, "B U"],
        action: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B U C H W"]:
        """The same clips at other times: frames that are missing, or come before or after."""
        return self.decode(self.content(self.encode(frames)).mean, self.phase(frames, times, action, wanted))

    def codes(
        self, frames: Float[Tensor, "B T C H W"], times: Float[Tensor, "B T"], action: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B z"], Float[Tensor, "B T n"]]:
        """The mean content of each clip, and the whole state, of all operators, along its trajectory."""
        return self.content(self.encode(frames)).mean, self.phase(frames, times, action).flatten(2)

    def snapped(self, period: float) -> Any:
        """The model with every frequency at the nearest whole number of turns in `period` frames; weights are shared.
        Raises ConfigError for an operator without frequencies."""
        if not isinstance(self.operator, Operator):
            raise ConfigError(f"model.operator {self.config.operator} has no frequencies that could be snapped")
        other = copy.copy(self)
        other._modules = {**self._modules, "operator": self.operator.snapped(period)}
        return other

    def standard(self) -> Any:
        """The model without its fitted densities: what is drawn comes from its prior and from N(0, I)."""
        other = copy.copy(self)
        other._modules = {**self._modules, "contents": None, "starts": None}
        return other

    @torch.no_grad()
    def finish(self, source: Source, seed: int, draws: int = 8_000) -> None:
        """Fit the densities to the posteriors of the training clips, of their first windows: mixtures to draws from
        them, parts to their means."""
        if self.contents is None and self.starts is None:
            return
        seen, generator = self.relabelled(source), torch.Generator().manual_seed(seed)
        device = next(self.parameters()).device
        clips = torch.randperm(len(source), generator=generator).repeat(1 + draws // len(source))[:draws]
        contents, states, actions = [], [], []
        for part in clips.split(256):
            batch = seen.window(part, torch.zeros_like(part)).to(device)
            h, action = self.encode(batch.frames.float() / 255), batch.factors["action"]
            at = torch.full((len(part),), self.anchor(0, h.shape[1]), device=device)
            state = self.state_gaussian(self.recent(h, at), action).draw(generator) * self.moving(action)[..., None]
            elapsed = batch.times[:, at[:1]] - batch.times[:, :1]
            state = self.flow(state, -elapsed)[:, 0]
            states.append(state[torch.arange(len(part)), action] if self.config.one_moves else state.flatten(1))
            contents.append(self.content(h))
            actions.append(action if self.config.one_moves else torch.zeros_like(action))
        group = torch.cat(actions)
        codes = Gaussian(torch.cat([c.mean for c in contents]), torch.cat([c.logvar for c in contents]))
        if isinstance(self.contents, Parts):
            self.contents.fit(codes, seed)
        elif self.contents is not None:
            self.contents.fit(codes.draw(generator), torch.zeros_like(group), seed)
        if self.starts is not None:
            self.starts.fit(torch.cat(states), group, seed)
