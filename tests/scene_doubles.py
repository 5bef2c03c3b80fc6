"""Scenes that anybody can draw: squares of a colour and a size on plain canvases."""

import torch

from kinema.data.pairs import SceneSource

SHADES = ((220, 40, 40), (40, 220, 40), (60, 60, 230), (220, 220, 40))
CANVASES = ((0, 0, 0), (90, 90, 90), (120, 100, 140))


class Squares(SceneSource):
    """Characters have a colour and a height; a motion takes them through five places of a 16 x 16 picture.

    Of the eight characters two are held out, whose colour and whose height others of the training split have.
    """

    name, split, fps, bare = "squares", "train", 5.0, (64, 64, 64)
    size, movements = (16, 16), ("one", "two", "three")
    held_out = (1, 6)

    def __init__(self, split="train", backgrounds=1):
        self.split, self.backgrounds = split, backgrounds
        self.factors = {
            "colour": ("red", "green", "blue", "yellow"),
            "height": ("low", "high"),
            "motion": self.movements,
        }
        people = [n for n in range(8) if (n in self.held_out) == (split == "test")]
        self.identity = torch.tensor(people).repeat_interleave(3)
        motion = torch.arange(3).repeat(len(people))
        self.labels = {"colour": self.identity // 2, "height": self.identity % 2, "motion": motion}
        self.places = torch.randint(0, 10, (3, 5, 2), generator=torch.Generator().manual_seed(0))
        self.canvases = torch.tensor((*CANVASES[:backgrounds], self.bare), dtype=torch.uint8)

    def frame_counts(self):
        return torch.full_like(self.identity, 5)

    def mask(self, character, motion, steps):
        top, left = self.places[self.labels["motion"][motion], steps].unbind(-1)
        height = 4 + 2 * self.labels["height"][character]
        rows, columns = torch.arange(16)[:, None], torch.arange(16)
        top, left, height = (value[:, None, None] for value in (top, left, height))
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + 5)
        return inside[:, None].float()

    def render(self, character, motion, steps, background):
        ink = torch.tensor(SHADES, dtype=torch.uint8)[self.labels["colour"][character]][:, :, None, None]
        return torch.where(self.mask(character, motion, steps) > 0, ink, self.canvas(background))

    def canvas(self, background):
        return self.canvases[background][:, :, None, None].expand(-1, -1, 16, 16).clone()

    def movement(self, clips):
        return self.labels["motion"][clips]

    def another_character(self, clips, draw):
        people = len(self.identity) // 3
        return (clips // 3 + 1 + (draw * (people - 1)).long()) % people * 3 + clips % 3

    def another_motion(self, clips, draw):
        return clips // 3 * 3 + (clips % 3 + 1 + (draw * 2).long()) % 3
