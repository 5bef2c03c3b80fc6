"""Let one picture act at a tempo that changes: slow, fast, and back again, at times that no clip has frames for.

python examples/change_of_tempo.py PICTURE ACTION OUT [RUN]
"""

import sys

import torch

import kinema


def main(picture: str, action: str, out: str, run: str = "builtin:sprites") -> None:
    model = kinema.load(run).model
    shown = torch.linspace(0, 1, 48, dtype=torch.float64)
    # Two cycles of eight frames forward and back to the start; the tempo is the slope of this curve.
    times = 8 * (1 - torch.cos(2 * torch.pi * shown))
    clip = kinema.animate(model, kinema.read_clip(picture), action, times)
    evenly = kinema.VideoClip(clip.frames, clip.alpha, fps=24, name=clip.name, credits=clip.credits)
    kinema.write_clip(evenly, out, scale=4)
    print(f"{out}: {len(evenly)} frames, {evenly.duration / evenly.fps:.1f} s")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except kinema.KinemaError as error:
        sys.exit(str(error))
