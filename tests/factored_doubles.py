"""Stand-ins for models whose content and motion can be drawn: the truth, noise, and cheats."""

import torch

from evaluation_doubles import AllContent, AllMotion, Noise, Oracle


class FactoredOracle(Oracle):
    """Draws what is to be drawn evenly, keeps the rest, and its codes hold what they should."""

    def with_prior_motion(self, content, action, times, generator):
        clips, _ = self.identify(content)
        factors = {name: values[clips] for name, values in self.source.labels.items()} | {"action": action}
        phase = torch.randint(8, (len(clips), 1), generator=generator)
        return self.source.render(factors, phase + times).float() / 255

    def with_sampled_content(self, motion, times, action, generator):
        clips, start = self.identify(motion)
        factors = {name: values[clips] for name, values in self.source.labels.items()}
        for name in self.source.content:
            factors[name] = torch.randint(len(self.source.factors[name]), (len(clips),), generator=generator)
        return self.source.render(factors, start[:, None] + times).float() / 255

    def codes(self, frames, times, action=None):
        clips, start = self.identify(frames)
        return self.one_hot(clips, self.source.content), self.waves(clips, start, times)

    def one_hot(self, clips, names):
        parts = [torch.eye(len(self.source.factors[n]))[self.source.labels[n][clips]] for n in names]
        return torch.cat(parts, 1)

    def waves(self, clips, start, times):
        angle = (start[:, None] + times) * (torch.pi / 4)
        moving = (
            torch.stack([angle.sin(), angle.cos()], -1)[:, :, None] * self.one_hot(clips, ["action"])[:, None, :, None]
        )
        return moving.flatten(2).float()

    def snapped(self, period):
        return self


class FactoredNoise(Noise):
    def with_prior_motion(self, content, action, times, generator):
        return torch.rand(content.shape, generator=generator)

    def with_sampled_content(self, motion, times, action, generator):
        return torch.rand(motion.shape, generator=generator)

    def codes(self, frames, times, action=None):
        generator = torch.Generator().manual_seed(int(1e6 * frames.sum()))
        return torch.randn(len(frames), 6, generator=generator), torch.randn(*times.shape, 4, generator=generator)


class CheatContent(AllContent, FactoredOracle):
    """Everything is content: the clip comes back, and a drawn content is a whole clip."""

    def with_prior_motion(self, content, action, times, generator):
        return content

    def with_sampled_content(self, motion, times, action, generator):
        clips = torch.randint(len(self.source), (len(motion),), generator=generator)
        return self.source.truth(clips, clips, times).float() / 255

    def codes(self, frames, times, action=None):
        clips, _ = self.identify(frames)
        return self.one_hot(clips, self.source.factors), torch.zeros(*times.shape, 2)


class CheatMotion(AllMotion, FactoredOracle):
    """Everything is motion: the other clip comes back, and a drawn motion is a whole clip of the action."""

    def with_prior_motion(self, content, action, times, generator):
        doing = (self.source.labels["action"] == action[:, None]).float()
        clips = doing.multinomial(1, generator=generator)[:, 0]
        return self.source.truth(clips, clips, times).float() / 255

    def with_sampled_content(self, motion, times, action, generator):
        return motion

    def codes(self, frames, times, action=None):
        clips, _ = self.identify(frames)
        return torch.zeros(len(frames), 2), self.one_hot(clips, self.source.factors)[:, None].expand(
            -1, times.shape[1], -1
        )


class Collapsed(FactoredOracle):
    """Whatever is drawn is the first of all clips' content: at chance, and always the same."""

    def with_sampled_content(self, motion, times, action, generator):
        clips, start = self.identify(motion)
        return self.source.truth(torch.zeros_like(clips), clips, start[:, None] + times).float() / 255


class Static(FactoredOracle):
    """The content of each clip is perfect and never moves."""

    def with_prior_motion(self, content, action, times, generator):
        return content[:, :1].expand_as(content)

    def transfer(self, content, motion, times, action=None):
        return content[:, :1].expand_as(content)


class OwnAction(FactoredOracle):
    """Moves, but as the content's clip does: the action fed in is heard only where it is the same."""

    def with_prior_motion(self, content, action, times, generator):
        clips, _ = self.identify(content)
        return super().with_prior_motion(content, self.source.labels["action"][clips], times, generator)


class Pasted(FactoredOracle):
    """B's pixels under A's label: B with A's ground, the strip at the bottom, painted over."""

    def transfer(self, content, motion, times, action=None):
        return torch.cat([motion[..., :14, :], content[..., 14:, :]], -2)


class HalfLeak(FactoredOracle):
    """A drawn content keeps the clip's colour every third time."""

    def with_sampled_content(self, motion, times, action, generator):
        shown = super().with_sampled_content(motion, times, action, generator)
        leaks = torch.rand(len(motion), generator=generator) < 1 / 3
        return torch.where(leaks[:, None, None, None, None], motion, shown)


class ExactJudge:
    """Knows every window of a source, of any look, by its pixels; of others, the nearest in squared error."""

    def __init__(self, source):
        every = torch.cartesian_prod(*(torch.arange(len(names)) for names in source.factors.values()))
        steps = (torch.arange(8)[:, None] + torch.arange(8)).double().repeat(len(every), 1)
        labels = every.repeat_interleave(8, 0)
        factors = dict(zip(source.factors, labels.unbind(1), strict=True))
        self.windows = source.render(factors, steps).flatten(1)
        self.labels = factors | {"motion": factors["action"] * len(source.factors["direction"]) + factors["direction"]}
        self.sizes = {name: int(values.max()) + 1 for name, values in self.labels.items()}
        self.known = {window.numpy().tobytes(): row for row, window in enumerate(self.windows)}

    def rows(self, frames):
        found = torch.tensor([self.known.get(clip.numpy().tobytes(), -1) for clip in frames])
        lost = found < 0
        if lost.any():
            x, c = frames[lost].flatten(1).float(), self.windows.float()
            found[lost] = (c.square().sum(1) - 2 * x @ c.T).argmin(1)
        return found

    def probabilities(self, frames):
        rows = self.rows(frames)
        return {name: torch.eye(self.sizes[name])[values[rows]] for name, values in self.labels.items()}

    def read(self, frames, times):
        return {name: opinion.argmax(1) for name, opinion in self.probabilities(frames).items()}
