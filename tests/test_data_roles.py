"""Roles of joints: the names of many programs, bodies without names, what users give, and mirror images."""

import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from kinema.data.gait import GaitConfig, make_gait
from kinema.data.roles import ROLES, Roles, find_roles, mirror_pairs, read_roles
from kinema.errors import ClipError, FileError
from kinema.maths.rotation import about_y, rotate
from kinema.motion import Skeleton

# joint, parent, offset in a T-pose that faces +Z, left at +X
BODY = [
    ("hips", "", (0, 0, 0)),
    ("spine", "hips", (0, 0.12, 0)),
    ("chest", "spine", (0, 0.18, 0)),
    ("neck", "chest", (0, 0.22, 0)),
    ("head", "neck", (0, 0.1, 0.02)),
    ("left_collar", "chest", (0.03, 0.18, 0)),
    ("left_shoulder", "left_collar", (0.14, 0, 0)),
    ("left_elbow", "left_shoulder", (0.28, 0, 0)),
    ("left_wrist", "left_elbow", (0.25, 0, 0)),
    ("left_hip", "hips", (0.09, -0.05, 0)),
    ("left_knee", "left_hip", (0, -0.42, 0)),
    ("left_foot", "left_knee", (0, -0.41, 0)),
    ("left_toe", "left_foot", (0, -0.06, 0.13)),
]
SIDES = [row for row in BODY if row[0].startswith("left")]
RIGHT = [(n.replace("left", "right"), p.replace("left", "right"), (-o[0], o[1], o[2])) for n, p, o in SIDES]
ROWS = BODY + RIGHT

CONVENTIONS = {
    "bandai": dict(hips="Hips", head="Head", neck="Neck", spine="Spine", chest="Chest", hip="UpperLeg_{S}",
                   knee="LowerLeg_{S}", foot="Foot_{S}", toe="Toes_{S}", collar="Shoulder_{S}", shoulder="UpperArm_{S}",
                   elbow="LowerArm_{S}", wrist="Hand_{S}"),
    "holden": dict(hips="Hips", head="Head", neck="Neck1", spine="Spine", chest="Spine1", hip="{Side}UpLeg",
                   knee="{Side}Leg", foot="{Side}Foot", toe="{Side}ToeBase", collar="{Side}Shoulder",
                   shoulder="{Side}Arm", elbow="{Side}ForeArm", wrist="{Side}Hand"),
    "mixamo": dict(hips="mixamorig:Hips", head="mixamorig:Head", neck="mixamorig:Neck", spine="mixamorig:Spine",
                   chest="mixamorig:Spine1", hip="mixamorig:{Side}UpLeg", knee="mixamorig:{Side}Leg",
                   foot="mixamorig:{Side}Foot", toe="mixamorig:{Side}ToeBase", collar="mixamorig:{Side}Shoulder",
                   shoulder="mixamorig:{Side}Arm", elbow="mixamorig:{Side}ForeArm", wrist="mixamorig:{Side}Hand"),
    "blender": dict(hips="spine", head="head", neck="spine.004", spine="spine.001", chest="spine.003",
                    hip="thigh.{S}", knee="shin.{S}", foot="foot.{S}", toe="toe.{S}", collar="shoulder.{S}",
                    shoulder="upper_arm.{S}", elbow="forearm.{S}", wrist="hand.{S}"),
    "smpl": dict(hips="m_avg_Pelvis", head="m_avg_Head", neck="m_avg_Neck", spine="m_avg_Spine1", chest="m_avg_Spine3",
                 hip="m_avg_{S}_Hip", knee="m_avg_{S}_Knee", foot="m_avg_{S}_Ankle", toe="m_avg_{S}_Foot",
                 collar="m_avg_{S}_Collar", shoulder="m_avg_{S}_Shoulder", elbow="m_avg_{S}_Elbow",
                 wrist="m_avg_{S}_Wrist"),
    "xsens": dict(hips="Hips", head="Head", neck="Neck", spine="Chest", chest="Chest4", hip="{Side}Hip",
                  knee="{Side}Knee", foot="{Side}Ankle", toe="{Side}Toe", collar="{Side}Collar",
                  shoulder="{Side}Shoulder", elbow="{Side}Elbow", wrist="{Side}Wrist"),
    "xsens segments": dict(hips="Pelvis", head="Head", neck="Neck", spine="L5", chest="T8", hip="{Side}UpperLeg",
                           knee="{Side}LowerLeg", foot="{Side}Foot", toe="{Side}Toe", collar="{Side}Shoulder",
                           shoulder="{Side}UpperArm", elbow="{Side}ForeArm", wrist="{Side}Hand"),
    "acclaim": dict(hips="root", head="head", neck="upperneck", spine="lowerback", chest="thorax", hip="{s}femur",
                    knee="{s}tibia", foot="{s}foot", toe="{s}toes", collar="{s}clavicle", shoulder="{s}humerus",
                    elbow="{s}radius", wrist="{s}hand"),
    "max": dict(hips="Bip01 Pelvis", head="Bip01 Head", neck="Bip01 Neck", spine="Bip01 Spine", chest="Bip01 Spine1",
                hip="Bip01 {S} Thigh", knee="Bip01 {S} Calf", foot="Bip01 {S} Foot", toe="Bip01 {S} Toe0",
                collar="Bip01 {S} Clavicle", shoulder="Bip01 {S} UpperArm", elbow="Bip01 {S} Forearm",
                wrist="Bip01 {S} Hand"),
    "unreal": dict(hips="pelvis", head="head", neck="neck_01", spine="spine_01", chest="spine_03", hip="thigh_{s}",
                   knee="calf_{s}", foot="foot_{s}", toe="ball_{s}", collar="clavicle_{s}", shoulder="upperarm_{s}",
                   elbow="lowerarm_{s}", wrist="hand_{s}"),
}  # fmt: skip


def skeleton(rows: list = ROWS, names: dict[str, str] | None = None) -> Skeleton:
    order = [name for name, _, _ in rows]
    return Skeleton(
        names=tuple((names or {}).get(name, name) for name in order),
        parents=tuple(order.index(parent) if parent else -1 for _, parent, _ in rows),
        offsets=torch.tensor([offset for _, _, offset in rows], dtype=torch.float64),
    )


def renamed(convention: dict[str, str]) -> dict[str, str]:
    names = {}
    for name, _, _ in ROWS:
        side, _, part = name.rpartition("_")
        names[name] = convention[part].format(S=side[:1].upper(), s=side[:1], Side=side.capitalize())
    return names


def expected(rows: list = ROWS) -> Roles:
    order = [name for name, _, _ in rows]
    return Roles(**{role: order.index(role) for role in ROLES})


def truth(rows: list = ROWS) -> list[int]:
    """The mirror image of every joint, from our own names."""
    order = [name for name, _, _ in rows]
    swap = {"left": "right", "righ": "left"}
    return [order.index(swap[n[:4]] + "_" + n.split("_", 1)[1]) if n[:4] in swap else j for j, n in enumerate(order)]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_names_in_use_are_known(convention: str) -> None:
    named = skeleton(names=renamed(CONVENTIONS[convention]))
    # A body folded into a line has no shape, so that only names can tell.
    folded = Skeleton(named.names, named.parents, named.offsets.abs().sum(-1, keepdim=True) * torch.tensor([1.0, 0, 0]))
    assert find_roles(folded) == expected()
    assert mirror_pairs(folded, expected()) == truth()


def lengthened(rows: list) -> list:
    """31 joints, as in CMU's and PFNN's files: hip joints of no length, more spine, fingers."""
    longer = []
    for name, parent, offset in rows:
        side, _, part = name.rpartition("_")
        if part == "hip":
            longer.append((f"{side}_hipjoint", "hips", (0, 0, 0)))
            parent = f"{side}_hipjoint"
        longer.append((name, parent, offset))
        if part == "toe":
            longer.append((f"{side}_tip", name, (0, 0, 0.05)))
        if part == "wrist":
            out = math.copysign(0.04, offset[0])
            longer += [(f"{side}_finger", name, (out, 0, 0)), (f"{side}_thumb", name, (out, 0, 0.04))]
    return [*longer[:2], ("spine1", "spine", (0, 0.01, 0)), *longer[2:], ("eye", "head", (0, 0.05, 0.05))]


def nameless(rows: list) -> dict[str, str]:
    return {name: f"j{i * 7 % 97}" for i, (name, _, _) in enumerate(rows)}


ROOTED = [("root", "", (0.0, 0.0, 0.0)), ("hips", "root", (0.0, 0.9, 0.0)), *ROWS[1:]]
"""22 joints, as in Bandai Namco's files: a root on the ground that never moves."""


@pytest.mark.parametrize("rows", [ROWS, ROOTED, lengthened(ROWS)], ids=["21", "22", "31"])
@pytest.mark.parametrize("heading", [0.0, 0.9, 2.5, -1.6])
def test_a_body_without_names_is_told_by_its_shape(rows: list, heading: float) -> None:
    body = skeleton(rows, nameless(rows))
    pose = [torch.zeros(3).double()]
    for parent, offset in zip(body.parents[1:], body.offsets[1:], strict=True):
        pose.append(pose[parent] + offset)
    turned = rotate(about_y(torch.tensor(heading).double()), torch.stack(pose)) + torch.tensor([3.0, 1.0, -2.0])
    roles = asdict(find_roles(body, pose=turned))
    head = roles.pop("head")
    wanted = asdict(expected(rows))
    assert wanted.pop("head") == head or rows[head][0] == "eye"
    assert roles == wanted
    if heading == 0:
        assert asdict(find_roles(body)) == {**roles, "head": head}
        assert mirror_pairs(body, find_roles(body)) == truth(rows)


def test_31_joints_of_motion_capture() -> None:
    rows = lengthened(ROWS)
    names = renamed(CONVENTIONS["holden"]) | {"left_hipjoint": "LHipJoint", "right_hipjoint": "RHipJoint"}
    names |= {"left_finger": "LeftHandIndex1", "right_finger": "RightHandIndex1"}
    names |= {"left_thumb": "LThumb", "right_thumb": "RThumb", "eye": "L5"}
    body = skeleton(rows, names)
    assert len(body) == 31
    assert find_roles(body) == expected(rows)
    assert mirror_pairs(body, expected(rows)) == truth(rows)


@pytest.mark.parametrize("index", [0, 1, 5, 7])
def test_a_body_without_names_is_told_in_the_middle_of_a_step(index: int) -> None:
    clip = make_gait(GaitConfig(), "train", index).clip
    anonymous = Skeleton(tuple(f"j{j}" for j in range(21)), clip.skeleton.parents, clip.skeleton.offsets)
    for pose in clip.joints()[::17]:
        assert find_roles(anonymous, pose=pose) == find_roles(clip.skeleton)


def test_a_body_mirrored_has_its_sides_changed() -> None:
    rows = [(name, parent, (-x, y, z)) for name, parent, (x, y, z) in ROWS]
    roles, true = find_roles(skeleton(rows, nameless(rows))), expected()
    assert (roles.left_knee, roles.right_shoulder) == (true.right_knee, true.left_shoulder)


def test_a_skeleton_without_toes_stands_on_its_ankles() -> None:
    rows = [row for row in ROWS if "toe" not in row[0]]
    roles = find_roles(skeleton(rows, {"left_foot": "LAnkle", "right_foot": "RAnkle"}))
    assert (roles.left_toe, roles.right_toe) == (roles.left_foot, roles.right_foot)


def test_given_roles_come_first() -> None:
    rows = lengthened(ROWS)
    body = skeleton(rows, nameless(rows))
    roles = find_roles(body, {"head": body.names[[n for n, _, _ in rows].index("neck")]})
    assert rows[roles.head][0] == "neck"
    assert find_roles(skeleton(), {role: role for role in ROLES}) == expected()


def test_what_is_given_must_exist() -> None:
    with pytest.raises(ClipError, match=r"no role 'left_hips'; did you mean left_hip\?"):
        find_roles(skeleton(), {"left_hips": "left_hip"})
    with pytest.raises(ClipError, match=r"which is no joint; did you mean left_knee\?"):
        find_roles(skeleton(), {"left_knee": "left_nee"})
    with pytest.raises(ClipError, match="does not hang on"):
        find_roles(skeleton(), {"left_knee": "right_knee"})


def test_roles_that_are_not_found_are_named() -> None:
    rows = [row for row in ROWS if "collar" not in row[0] and "shoulder" not in row[0] and row[0][-5:] != "elbow"]
    rows = [row for row in rows if "wrist" not in row[0]]
    with pytest.raises(ClipError, match="no joint was found for left_shoulder, right_shoulder, head; give a YAML"):
        find_roles(skeleton(rows, nameless(rows)))
    body = skeleton(names=nameless(ROWS))
    lying = Skeleton(body.names, body.parents, body.offsets[:, [1, 0, 2]])
    with pytest.raises(ClipError, match="no joint was found for hips, left_hip"):
        find_roles(lying)


def test_a_file_of_roles(tmp_path: Path) -> None:
    path = tmp_path / "roles.yaml"
    path.write_text("left_hip: a\nright_hip: b\n")
    assert read_roles(path) == {"left_hip": "a", "right_hip": "b"}
    bad = {
        "- a\n": "not a list of roles",
        "left_hip: 3\n": "not a list",
        "left_nee: a\n": "left_knee",
        "a: [": "damaged",
    }
    for text, told in bad.items():
        path.write_text(text)
        with pytest.raises(FileError, match=told):
            read_roles(path)
    with pytest.raises(FileError, match="no such file"):
        read_roles(tmp_path / "none.yaml")


def test_unnamed_pairs_beside_the_limbs_are_mirrored() -> None:
    rows = [*ROWS, ("a", "head", (0.03, 0.05, 0.08)), ("b", "head", (-0.03, 0.05, 0.08)), ("nose", "head", (0, 0, 0.1))]
    assert mirror_pairs(skeleton(rows), expected()) == [*truth(), len(ROWS) + 1, len(ROWS), len(ROWS) + 2]


def test_a_body_that_is_not_symmetric_cannot_be_mirrored() -> None:
    rows = [*ROWS, ("sword", "right_wrist", (0, 0, 0.5))]
    with pytest.raises(ClipError, match="sword has no mirror image at left_wrist"):
        mirror_pairs(skeleton(rows), find_roles(skeleton(rows)))
