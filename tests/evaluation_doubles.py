"""Stand-ins for models: one that knows the truth, and those whose scores must be bad."""

import torch

from kinema.models.base import Domain


class Double:
    """Recognises clips of a source by their exact pixels, and so knows which clip and which frame it is shown."""

    def __init__(self, source):
        self.source = source
        self.domain = Domain(source.actions, source.channels, source.size, source.length, source.fps)
        clips = torch.arange(len(source))
        counts = int(source.frame_counts().max())
        frames = source.frames(clips, torch.arange(counts).expand(len(clips), -1))
        self.where = {
            frame.numpy().tobytes(): (clip, step)
            for clip in range(len(clips))
            for step, frame in enumerate(frames[clip])
        }
        windows = torch.arange(counts)[:, None] + torch.arange(source.length)
        self.windows = {}
        for clip in range(len(clips)):
            for start, steps in enumerate(windows):
                self.windows[frames[clip][steps % counts].numpy().tobytes()] = (clip, start)

    def identify(self, frames):
        """(clip, first step) of each clip or image."""
        known = self.windows if frames.dim() == 5 else self.where
        found = [known[(clip * 255).round().to(torch.uint8).numpy().tobytes()] for clip in frames]
        return torch.tensor(found).unbind(1)

    def recognise(self, frames):
        clips, _ = self.identify(frames)
        return torch.eye(len(self.source.actions))[self.source.labels["action"][clips]]

    def reconstruct(self, frames, times, action=None):
        return frames

    def losses(self, batch):
        raise NotImplementedError


class Oracle(Double):
    """Gives the truth."""

    def transfer(self, content, motion, times, action=None):
        (a, _), (b, start) = self.identify(content), self.identify(motion)
        return self.source.truth(a, b, start[:, None] + times).float() / 255

    def animate_images(self, images, action, times):
        clips, start = self.identify(images)
        factors = {name: values[clips] for name, values in self.source.labels.items()} | {"action": action}
        return self.source.render(factors, start[:, None] + times).float() / 255


class AllContent(Double):
    """Everything is content: A is returned."""

    def transfer(self, content, motion, times, action=None):
        return content

    def animate_images(self, images, action, times):
        return images[:, None].expand(-1, times.shape[1], -1, -1, -1)


class AllMotion(AllContent):
    """Everything is motion: B is returned."""

    def transfer(self, content, motion, times, action=None):
        return motion


class Noise(AllContent):
    """Neither: random pixels."""

    def transfer(self, content, motion, times, action=None):
        return torch.rand(motion.shape, generator=torch.Generator().manual_seed(int(1e6 * motion.sum())))

    def recognise(self, frames):
        return torch.rand(len(frames), len(self.source.actions), generator=torch.Generator().manual_seed(0))

    def reconstruct(self, frames, times, action=None):
        return self.transfer(frames, frames, times)
