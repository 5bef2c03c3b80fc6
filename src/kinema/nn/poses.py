"""Appearance by pose: a frame is linear in the content, by a map of its own for every pose.

    c = mean_k + W_k z + e,    z ~ N(0, I)

c are the coordinates of one channel of a frame and k is its pose: an action, a step of its cycle, and a view, which is
the content's too. All poses of one character in one view are one long vector, so that W is a factor analysis of what is
seen together and is fitted at once, without steps of a gradient; the posterior of z, from any frames in any poses, is
exact. Every channel has a z of its own and all have the same maps: a sleeve goes where it goes in any colour. What no
training character wears is then shown as what it looks like, in every pose, as far as clothes move alike.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from kinema.data.accompanied import same_content
from kinema.data.joined import joined
from kinema.data.relabelled import Relabelled
from kinema.data.source import Source
from kinema.errors import ConfigError
from kinema.maths.factors import fit_factors, posterior, refit_factors
from kinema.maths.gaussian import Gaussian
from kinema.maths.kmeans import fit_centres, nearest
from kinema.nn.found_actions import signature

MOST = 4096
"""Contents of each view that the maps are fitted to, at most, drawn at random."""
MOST_OWN = 256
"""Contents that the maps are fitted to once more, at most."""
CHUNK = 16
"""Contents whose pictures are in memory at once."""
OWN = 0.05
"""Share of all contents that those count for which maps are fitted to once more."""
FARTHER = 10.0
"""How much more noise poses are told apart by than the maps are fitted with: strangers lie farther off."""


class Poses(nn.Module):
    """The maps of all poses, and how a frame's pose is told. Buffers, saved with the model; the action comes first.

    Before `fit` they are drawn at random.
    """

    means_per_action: Tensor
    loadings_per_action: Tensor
    scores_per_action: Tensor
    bias_per_action: Tensor

    def __init__(self, coordinates: int, actions: int, views: int, steps: int, factors: int, noise: float) -> None:
        """`coordinates` and `factors` of a channel; `steps` of a cycle; `noise` in each coordinate, a deviation."""
        super().__init__()
        self.views, self.steps, self.factors, self.noise = views, steps, factors, noise
        poses = (actions, views, steps)
        self.register_buffer("means_per_action", torch.randn(*poses, coordinates))
        self.register_buffer("loadings_per_action", torch.randn(*poses, coordinates, factors) / factors**0.5)
        self.register_buffer("scores_per_action", torch.randn(*poses, coordinates) / coordinates**0.5)
        self.register_buffer("bias_per_action", torch.zeros(poses))
        self.grams: dict[tuple[int, ...], tuple[int, Tensor]] = {}

    # --- learning --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, source: Source | Relabelled, known: Callable[[Tensor], Tensor]) -> None:
        """Fit the maps to the contents of `source` that are seen in every action, each beginning its cycle alike.

        `known` brings uint8 frames (N, C, H, W) to coordinates, channel by channel, and one more. Raises ConfigError
        where there are too few such contents, or their clips are shorter than a cycle.
        """
        clips = some(everywhere(source, self.means_per_action.shape[0]), MOST * self.views)
        if len(clips) < 2 * self.views:
            told = f"{len(clips)} contents are seen in every action, and {2 * self.views} are needed"
            raise ConfigError(f"model.network posed: {told}; take another network, such as bilinear")
        if int(source.frame_counts().min()) < self.steps:
            raise ConfigError(f"model.network posed: a cycle has {self.steps} frames (model.period), some clips fewer")
        signatures = []

        def coordinates(part: Int[Tensor, "B A"]) -> Float[Tensor, "B A P C n"]:
            seen = self.cycles(source, part)
            signatures.append(signature(seen.flatten(0, 1).float() / 255).cpu().unflatten(0, part.shape).flatten(1))
            return self.channels(seen, known)

        frames = joined(map(coordinates, clips.split(CHUNK)), len(clips))
        changes = torch.cat(signatures)
        self.fit_frames(frames, nearest(changes, fit_centres(changes, self.views, 0)))

    def cycles(self, source: Source | Relabelled, clips: Int[Tensor, "B A"]) -> UInt8[Tensor, "B A P C H W"]:
        """The frames of clips, one for each step."""
        steps = torch.arange(self.steps).expand(clips.numel(), -1)
        return source.frames(clips.flatten(), steps).unflatten(0, clips.shape)

    def channels(self, frames: Tensor, known: Callable[[Tensor], Tensor]) -> Float[Tensor, "B A P C n"]:
        """The coordinates of each channel of frames (B, A, P, C, H, W)."""
        n = self.means_per_action.shape[-1]
        return known(frames.flatten(0, 2))[:, :-1].unflatten(1, (-1, n)).unflatten(0, frames.shape[:3])

    @torch.no_grad()
    def fit_frames(self, frames: Float[Tensor, "N A P C n"], view: Int[Tensor, " N"]) -> None:
        """Fit the maps to contents in every action and step, each seen in one view."""
        within = frames.new_zeros(frames.shape[-1], frames.shape[-1])
        for v in range(self.views):
            mine = frames[(view == v).to(frames.device)]
            mean = mine.mean((0, -2))
            apart = mine - mean[..., None, :]
            found = fit_factors(apart.movedim(-2, 1).flatten(0, 1).flatten(1), self.factors, self.noise, seed=v)
            self.means_per_action[:, v], self.loadings_per_action[:, v] = mean, found.unflatten(0, mean.shape)
            gray = apart.mean(-2).flatten(0, 2)
            within += gray.mT @ gray
        # Linear discriminants: the poses' means, in the metric of what varies within a pose in gray.
        within /= frames[..., 0, 0].numel()
        within.diagonal().add_(FARTHER * self.noise**2)
        means = self.means_per_action
        scores = torch.linalg.solve(within, means.flatten(0, 2).mT).mT
        self.scores_per_action.copy_(scores.reshape(means.shape))
        self.bias_per_action.copy_(-0.5 * (self.scores_per_action * means).sum(-1))

    @torch.no_grad()
    def refit(self, source: Source | Relabelled, known: Callable[[Tensor], Tensor]) -> None:
        """Fit the maps once more, to the contents of `source` beside what they say of all others.

        Means stay, and how poses are told. In a pose that a content is not seen in, it counts as what its other frames
        let expect. Clips that are not exactly one cycle long, begun as in training, have no part in it.
        """
        clips = by_action(source, self.means_per_action.shape[0])
        whole = source.frame_counts().cpu() == self.steps
        clips = torch.where((clips >= 0) & whole[clips.clamp_min(0)], clips, -1)
        clips = some(clips[(clips >= 0).any(1)], MOST_OWN)
        if len(clips):
            chunks = (self.channels(self.cycles(source, part.clamp_min(0)), known) for part in clips.split(CHUNK))
            self.refit_frames(joined(chunks, len(clips)), clips >= 0)

    @torch.no_grad()
    def refit_frames(self, frames: Float[Tensor, "N A P C n"], seen: Bool[Tensor, "N A"]) -> None:
        """Fit the maps once more to contents in those actions that they are `seen` in."""
        first = frames[torch.arange(len(frames)), seen.int().argmax(1)]
        view, _, _ = self.told(first)
        seen = seen.to(frames.device)
        for v in view.unique().tolist():
            there = seen[view == v][:, :, None, None, None]
            apart = there * (frames[view == v] - self.means_per_action[:, v][:, :, None])
            w = self.loadings_per_action[:, v]
            gram = torch.einsum("ba,apnf,apng->bfg", there[..., 0, 0, 0].to(w), w, w)
            z, _ = posterior(gram[:, None], torch.einsum("bapcn,apnf->bcf", apart, w), self.noise)
            whole = torch.where(there, apart, torch.einsum("apnf,bcf->bapcn", w, z))
            points = whole.movedim(-2, 1).flatten(0, 1).flatten(1)
            self.loadings_per_action[:, v] = refit_factors(w.flatten(0, 2), points, OWN, self.noise).unflatten(
                0, w.shape[:3]
            )

    # --- inference and generation ----------------------------------------------------------------------------------

    def told(self, c: Float[Tensor, "B T C n"]) -> tuple[Int[Tensor, " B"], Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """The likeliest view of each clip, and action and step of each of its frames in that view, told from gray."""
        scores = torch.einsum("btn,avsn->btvas", c.mean(2), self.scores_per_action) + self.bias_per_action.movedim(0, 1)
        view = scores.flatten(3).logsumexp(-1).log_softmax(-1).sum(1).argmax(1)
        pose = scores[torch.arange(len(c), device=c.device), :, view].flatten(2).argmax(-1)
        return view, pose // self.steps, pose % self.steps

    def content(self, c: Float[Tensor, "B T C n"]) -> tuple[Gaussian, Int[Tensor, " B"]]:
        """The posterior of the factors (B, C, f) of each clip given all its frames, and its view."""
        view, action, step = self.told(c)
        pose = torch.stack([action, view[:, None].expand_as(action), step], -1).flatten(0, 1)
        clip = torch.arange(len(c), device=c.device).repeat_interleave(c.shape[1])
        gram, seen = c.new_zeros(len(c), 1, self.factors, self.factors), c.new_zeros(len(c), c.shape[2], self.factors)
        for k in pose.unique(dim=0):  # poses are few, however many frames there are
            rows, k = (pose == k).all(1).nonzero()[:, 0], tuple(k.tolist())
            apart = c.flatten(0, 1)[rows] - self.means_per_action[k]
            seen.index_add_(0, clip[rows], apart @ self.loadings_per_action[k])
            gram.index_add_(0, clip[rows], self.gram(k).expand(len(rows), 1, -1, -1))
        mean, logvar = posterior(gram, seen, self.noise)
        return Gaussian(mean, logvar.expand_as(mean)), view

    def gram(self, pose: tuple[int, ...]) -> Float[Tensor, "f f"]:
        """W'W of a pose, kept once it was asked for, until the maps change."""
        loadings, version = self.loadings_per_action[pose], self.loadings_per_action._version
        kept = self.grams.get(pose)
        if kept is None or kept[0] != version or kept[1].device != loadings.device:
            kept = self.grams[pose] = (version, loadings.mT @ loadings)
        return kept[1]

    def shown(
        self, z: Float[Tensor, "B C f"], view: Int[Tensor, " B"], weight: Float[Tensor, "B T A P"]
    ) -> Float[Tensor, "B T C n"]:
        """The coordinates of frames of each content in its view, each frame made of so much of every pose."""
        made = z.new_zeros(*weight.shape[:2], z.shape[1], self.means_per_action.shape[-1])
        for a in range(weight.shape[2]):
            for v in range(self.views):
                rows = ((view == v) & (weight[:, :, a] > 0).flatten(1).any(1)).nonzero()[:, 0]
                change = torch.einsum("snf,bcf->bscn", self.loadings_per_action[a, v], z[rows])
                poses = self.means_per_action[a, v][:, None] + change
                made = made.index_add(0, rows, torch.einsum("bts,bscn->btcn", weight[rows, :, a], poses))
        return made


def by_action(source: Source | Relabelled, actions: int) -> Int[Tensor, "M A"]:
    """For each content a clip of each of the `actions`, or -1 where there is none."""
    group, action = same_content(source), source.labels["action"].cpu()
    clips = torch.full((int(group.max()) + 1, actions), -1)
    clips[group, action] = torch.arange(len(group))
    return clips


def everywhere(source: Source | Relabelled, actions: int) -> Int[Tensor, "M A"]:
    """For each content that is seen in all `actions`, a clip of each."""
    clips = by_action(source, actions)
    return clips[(clips >= 0).all(1)]


def some(rows: Int[Tensor, "N A"], most: int) -> Int[Tensor, "M A"]:
    """At most so many of the rows, drawn at random, always the same."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:most]]
