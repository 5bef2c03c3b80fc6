"""Swap the motions of two clips, and see which action the model read from each.

python examples/swap_two_clips.py A B OUT [RUN]
"""

import sys
from pathlib import Path

import kinema


def main(a: str, b: str, out: str, run: str = "builtin:sprites") -> None:
    model = kinema.load(run).model
    first, second = kinema.read_clip(a), kinema.read_clip(b)
    for content, motion, name in ((first, second, "a-as-b"), (second, first, "b-as-a")):
        swapped = kinema.swap(model, content, motion)
        path = Path(out) / f"{name}.gif"
        kinema.write_clip(swapped, path, scale=4)
        print(f"{path}: {len(swapped)} frames of {swapped.labels['action']}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except kinema.KinemaError as error:
        sys.exit(str(error))
