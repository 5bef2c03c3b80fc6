"""The judge of the HALO paper (supplement, Table 9), for figures that are to stand beside the paper's."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from kinema.evaluation.trained_judge import JudgeNetwork

KERNEL, STRIDE, PADDING = 5, 4, 1
WIDTH = 64
"""Channels of the paper's first convolution."""


class PaperJudge(JudgeNetwork):
    """Three convolutions per frame, an LSTM over the frames, and its last output classified.

    Channels 64, 128, 256 (kernel 5, stride 4, padding 1), linear 1024, LSTM 512, linear 256, K values, with batch
    normalisation and LeakyReLU(.2) between; `width` stands for the 64, and all other widths keep their proportion to
    it. Two departures: the factors share all but the last layer, where the paper trains a network for each; and a
    convolution for which the picture has become too small is left out (the third at 32 pixels, where the paper has 64).
    """

    def __init__(self, factors: Mapping[str, tuple[str, ...]], size: tuple[int, int], width: int = WIDTH) -> None:
        super().__init__(factors, size, width=width)
        layers, channels, (height, across) = [], 3, size
        for wider in (width, 2 * width, 4 * width):
            if min(height, across) + 2 * PADDING < KERNEL:
                break
            convolution = nn.Conv2d(channels, wider, KERNEL, STRIDE, PADDING)
            layers += [convolution, nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            height, across = ((side + 2 * PADDING - KERNEL) // STRIDE + 1 for side in (height, across))
            channels = wider
        self.frame = nn.Sequential(*layers, nn.Flatten(), *_linear(channels * height * across, 16 * width))
        self.time = nn.LSTM(16 * width, 8 * width, batch_first=True)
        self.heads = nn.Sequential(
            nn.BatchNorm1d(8 * width),
            nn.LeakyReLU(0.2),
            *_linear(8 * width, 4 * width),
            nn.Linear(4 * width, sum(self.classes)),
        )

    def logits(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B S"]:
        still = self.frame(frames[:, :, :3].flatten(0, 1)).unflatten(0, (len(frames), -1))
        seen, _ = self.time(still)
        return self.heads(seen[:, -1])


def _linear(before: int, after: int) -> list[nn.Module]:
    return [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(0.2)]
