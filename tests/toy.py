"""The tests' toy: soft-edged shapes that move in one of three ways, rendered at real times, with a known truth."""

import torch

from kinema.clip import VideoClip
from kinema.data.source import TruthSource

COLOURS = torch.tensor([[1.0, 0.25, 0.2], [0.2, 0.9, 0.3], [0.3, 0.4, 1.0], [0.95, 0.85, 0.1]])
CYCLE = 8


class Toy(TruthSource):
    """4 colours x 3 shapes x 4 grounds x 3 actions x 2 sides of an eye; a quarter of the 48 looks is held out."""

    name = "toy"
    factors = {  # noqa: RUF012
        "colour": ("red", "green", "blue", "yellow"),
        "shape": ("square", "disc", "bar"),
        "ground": ("red", "green", "blue", "yellow"),
        "action": ("across", "upright", "around"),
        "direction": ("left", "right"),
    }
    content = ("colour", "shape", "ground", "direction")
    channels, size, length, fps, periodic = 3, (16, 16), 8, 10.0, True

    def __init__(self, split="train"):
        self.split = split
        every = torch.cartesian_prod(*(torch.arange(len(names)) for names in self.factors.values()))
        held_out = every[:, :3].sum(1) % 4 == 0
        mine = every[held_out if split == "test" else ~held_out]
        self.labels = dict(zip(self.factors, mine.unbind(1), strict=True))
        self.identity = (mine[:, 0] * 3 + mine[:, 1]) * 4 + mine[:, 2]

    def frame_counts(self):
        return torch.full((len(self),), CYCLE)

    def __getitem__(self, index):
        frames = self.frames(torch.tensor([index]), torch.arange(CYCLE)[None])[0]
        labels = {name: self.factors[name][int(value[index])] for name, value in self.labels.items()}
        return VideoClip(frames.float() / 255, fps=self.fps, labels=labels, name=f"toy {index}")

    def frames(self, clips, steps):
        return self.render({name: value[clips] for name, value in self.labels.items()}, (steps % CYCLE).double())

    def truth(self, content, motion, times):
        sources = {name: content if name in self.content else motion for name in self.factors}
        return self.render({name: self.labels[name][clips] for name, clips in sources.items()}, times)

    def render(self, factors, times):
        angle = times % CYCLE * (2 * torch.pi / CYCLE)
        sine, cosine = angle.sin(), angle.cos()  # an ellipse each, so that one image tells the phase
        centre = torch.stack([torch.stack([2 * sine, 0.7 * cosine]), torch.stack([0.7 * cosine, 2 * sine])])
        centre = torch.cat([centre, 1.5 * torch.stack([sine, cosine])[None]]).permute(0, 2, 3, 1)
        centre = centre[factors["action"], torch.arange(len(times))]  # (B, T, 2)
        grid = torch.arange(16) - 7.5
        x = grid.view(1, 1, 1, 16) - centre[..., 0, None, None]
        y = grid.view(1, 1, 16, 1) - centre[..., 1, None, None]
        square = torch.maximum(x.abs(), y.abs()) - 3
        bar = torch.maximum(x.abs() - 4, y.abs() - 1.5)
        distance = torch.stack([square, (x**2 + y**2).sqrt() - 3.4, bar])[factors["shape"], torch.arange(len(times))]
        side = (2.0 * factors["direction"] - 1).view(-1, 1, 1, 1)
        body = (0.5 - distance).clamp(0, 1)[:, :, None]
        eye = (1.5 - ((x - 1.8 * side) ** 2 + y**2).sqrt()).clamp(0, 1)[:, :, None]
        colour = COLOURS[factors["colour"]].double().view(-1, 1, 3, 1, 1)
        frames = body * colour * (1 - eye) + eye
        frames[..., 14:, :] = COLOURS[factors["ground"]].double().view(-1, 1, 3, 1, 1)
        return (frames * 255).round().to(torch.uint8)
