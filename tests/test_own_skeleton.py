"""A user's own skeleton of 31 joints: from a folder of BVH to a run, a table and a walk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kinema.data.gait import GaitConfig, make_gait
from kinema.files.bvh_motion import read_motion, write_motion
from kinema.maths.rotation import IDENTITY
from kinema.motion import MotionClip, Skeleton
from kinema.training.run import load_run
from kinema.verbs.files import data_check
from kinema.verbs.synthesize import synthesize
from kinema.verbs.train import evaluate, train

EXTRA = {
    "Hand": {"FingerBase": (0.07, 0.0), "HandIndex1": (0.1, 0.0), "Thumb": (0.04, 0.04)},
    "ToeBase": {"ToeEnd": (0.0, 0.06)},
    "Foot": {"Heel": (0.0, -0.05)},
}
"""Joints that hang on those of the made body, and where: to the side and ahead, in metres."""


def with_more_joints(clip: MotionClip) -> MotionClip:
    """The clip on a skeleton of 31 joints."""
    names, parents = list(clip.skeleton.names), list(clip.skeleton.parents)
    offsets = clip.skeleton.offsets.tolist()
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        for part, more in EXTRA.items():
            for name, (aside, ahead) in more.items():
                names.append(side + name)
                parents.append(names.index(side + part))
                offsets.append([sign * aside, 0.0, ahead])
    still = torch.tensor(IDENTITY).double().expand(len(clip), len(names) - len(clip.skeleton), 4)
    skeleton = Skeleton(tuple(names), tuple(parents), torch.tensor(offsets).double())
    return replace(clip, skeleton=skeleton, rotations=torch.cat([clip.rotations, still], 1))


@pytest.mark.slow
def test_from_a_folder_to_a_walk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "takes"
    folder.mkdir()
    for index in range(12):
        clip = make_gait(GaitConfig(train=12, test=1), "train", index).clip
        write_motion(with_more_joints(clip), folder / f"{clip.labels['action']}_{index:02d}.bvh")
    assert data_check(str(folder)) == []
    small = {"training.steps": "3", "training.batch": "4", "model.width": "16", "model.hidden": "24"}
    run = train("locomotion", out=str(tmp_path / "run"), quiet=True, options={**small, "data.root": str(folder)})
    assert len(load_run(run).domain.names) == 31
    results = evaluate(str(run), quiet=True)
    assert results["start4-given-recorded/pose/dist/120"] > 0
    (tmp_path / "path.csv").write_text("x,z\n0,0\n0,4\n")
    made = synthesize(str(run), path=str(tmp_path / "path.csv"), out=str(tmp_path / "walk.bvh"), lock=True, quiet=True)
    again = read_motion(tmp_path / "walk.bvh")
    assert again.skeleton.names == made[0].skeleton.names
    assert float((again.joints() - made[0].joints()).abs().max()) < 1e-4
