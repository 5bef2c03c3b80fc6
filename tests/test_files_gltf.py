"""GLB read back with pygltflib, and posed by adding up the nodes' own transforms: nothing here is Kinema's."""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinema.errors import ClipError, FileError
from kinema.files.bones import Bone, bones_of
from kinema.files.gltf import write_glb
from kinema.files.solids import solid_of
from kinema.motion import MotionClip, Skeleton
from moving_body import moving_body

pygltflib = pytest.importorskip("pygltflib")

TYPES = {5126: np.float32, 5123: np.uint16, 5125: np.uint32}
WIDTHS = {"SCALAR": (), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}


def values(doc: Any, index: int) -> np.ndarray:
    """The numbers of an accessor."""
    it = doc.accessors[index]
    view = doc.bufferViews[it.bufferView]
    data = doc.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    return np.frombuffer(data, TYPES[it.componentType]).reshape(it.count, *WIDTHS[it.type])


def transforms(translation: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Matrices (T, 4, 4) of a node."""
    out = np.zeros((len(rotation), 4, 4))
    out[:, :3, :3] = Rotation.from_quat(rotation).as_matrix()
    out[:, :3, 3] = translation
    out[:, 3, 3] = 1
    return out


def posed(doc: Any, frames: int) -> dict[int, np.ndarray]:
    """The world transform (T, 4, 4) of every node in every frame; a channel that has ended keeps its last value."""
    parts: dict[tuple[int, str], np.ndarray] = {}
    for number, node in enumerate(doc.nodes):
        parts[number, "translation"] = np.tile(node.translation or [0, 0, 0], (frames, 1))
        parts[number, "rotation"] = np.tile(node.rotation or [0, 0, 0, 1], (frames, 1))
    (animation,) = doc.animations
    for channel in animation.channels:
        keys = values(doc, animation.samplers[channel.sampler].output)
        parts[channel.target.node, channel.target.path] = keys[np.minimum(np.arange(frames), len(keys) - 1)]
    worlds: dict[int, np.ndarray] = {}

    def visit(number: int, above: np.ndarray) -> None:
        worlds[number] = above @ transforms(parts[number, "translation"], parts[number, "rotation"])
        for child in doc.nodes[number].children or []:
            visit(child, worlds[number])

    for root in doc.scenes[doc.scene].nodes:
        visit(root, np.eye(4))
    return worlds


def skins(doc: Any) -> list[tuple[Any, Any]]:
    """Each body's skin and mesh primitive."""
    shown = [doc.nodes[number] for number in doc.scenes[0].nodes]
    return [(doc.skins[node.skin], doc.meshes[node.mesh].primitives[0]) for node in shown if node.skin is not None]


def written(clips: list[MotionClip], path: Path) -> Any:
    write_glb(clips, path)
    return pygltflib.GLTF2().load(str(path))


def largest_distance(doc: Any, skin: Any, clip: MotionClip) -> float:
    worlds = posed(doc, len(clip))
    places = np.stack([worlds[joint][:, :3, 3] for joint in skin.joints], 1)
    return float(np.linalg.norm(places - clip.joints().numpy(), axis=-1).max())


def test_nodes_add_up_to_the_joints(tmp_path: Path) -> None:
    clip = moving_body()
    doc = written([clip], tmp_path / "a.glb")
    ((skin, _),) = skins(doc)
    assert [doc.nodes[joint].name for joint in skin.joints] == list(clip.skeleton.names)
    assert largest_distance(doc, skin, clip) <= 1e-5


def test_the_nodes_stand_in_the_first_frame(tmp_path: Path) -> None:
    clip = moving_body()
    doc = written([clip[5:]], tmp_path / "a.glb")
    doc.animations[0].channels = []
    ((skin, _),) = skins(doc)
    assert largest_distance(doc, skin, clip[5:6]) <= 1e-5


def test_what_the_format_demands(tmp_path: Path) -> None:
    clip = moving_body(fps=24.0)
    doc = written([clip], tmp_path / "a.glb")
    ((_, body),) = skins(doc)
    points, faces = values(doc, body.attributes.POSITION), values(doc, body.indices)
    limits = doc.accessors[body.attributes.POSITION]
    assert (limits.min, limits.max) == (points.min(0).tolist(), points.max(0).tolist())
    assert faces.max() < len(points)
    np.testing.assert_allclose(np.linalg.norm(values(doc, body.attributes.NORMAL), axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(values(doc, body.attributes.WEIGHTS_0).sum(-1), 1)
    for view in doc.bufferViews:
        assert view.byteOffset % 4 == 0
        assert view.byteOffset + view.byteLength <= doc.buffers[0].byteLength
    (animation,) = doc.animations
    for sampler in animation.samplers:
        moments = values(doc, sampler.input)
        np.testing.assert_allclose(moments, np.arange(len(clip)) / 24, atol=1e-6)
        assert (doc.accessors[sampler.input].min, doc.accessors[sampler.input].max) == ([0.0], [float(moments[-1])])
        assert sampler.interpolation == "LINEAR"
        keys = values(doc, sampler.output)
        assert len(keys) == len(clip)
        if keys.shape[1] == 4:
            np.testing.assert_allclose(np.linalg.norm(keys, axis=-1), 1, atol=1e-6)
            assert ((keys[1:] * keys[:-1]).sum(-1) > 0).all(), "a sign flips: some viewers turn the long way round"


def test_the_container(tmp_path: Path) -> None:
    written([moving_body()], tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    text = data[20 : 20 + length].decode()
    blob, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert (kind, blob % 4, len(data)) == (b"BIN\0", 0, 28 + length + blob)
    assert "null" not in text
    assert "[]" not in text, "the format forbids empty lists"
    assert json.loads(text)["buffers"] == [{"byteLength": blob}]


def test_vertices_move_with_their_bones(tmp_path: Path) -> None:
    """The skin's formula, sum of weight x joint x inverse bind, against a rigid motion from the rest pose."""
    clip = moving_body()
    doc = written([clip], tmp_path / "a.glb")
    ((skin, body),) = skins(doc)
    worlds = posed(doc, len(clip))
    binds = values(doc, skin.inverseBindMatrices).transpose(0, 2, 1)
    moves = np.stack([worlds[joint] for joint in skin.joints], 1) @ binds
    points = values(doc, body.attributes.POSITION).astype(float)
    joints = values(doc, body.attributes.JOINTS_0)[:, 0]
    seen = np.einsum("tvxy,vy->tvx", moves[:, joints], np.c_[points, np.ones(len(points))])[..., :3]
    assert set(joints.tolist()) == {bone.joint for bone in bones_of(clip.skeleton)}
    rest = np.zeros((len(clip.skeleton), 3))
    for joint, parent in enumerate(clip.skeleton.parents):
        if parent >= 0:
            rest[joint] = rest[parent] + clip.skeleton.offsets[joint].numpy()
    turns = [Rotation.from_quat(np.roll(q, -1, -1)) for q in clip.rotations.numpy().transpose(1, 0, 2)]
    world = list(turns)
    for joint, parent in enumerate(clip.skeleton.parents):
        if parent >= 0:
            world[joint] = world[parent] * turns[joint]
    places = clip.joints().numpy()
    for joint in range(len(clip.skeleton)):
        own = joints == joint
        for point, path in zip(points[own] - rest[joint], seen[:, own].transpose(1, 0, 2), strict=True):
            np.testing.assert_allclose(path, world[joint].apply(point) + places[:, joint], atol=1e-5)


@pytest.mark.parametrize(
    "bone",
    [
        Bone(0, (0.1, -0.4, 0.05), 1, 0.05),
        Bone(0, (0.0, 0.3, 0.0), 0, 0.08),
        Bone(0, (0.0, 0.0, 0.0), -1, 0.03, ball=True),
        Bone(0, (0.0, 0.2, 0.0), 0, 0.1, ball=True),
    ],
)
def test_a_solid_is_closed_and_its_outside_is_out(bone: Bone) -> None:
    solid = solid_of([bone], np.zeros((1, 3)))
    _, welded = np.unique(solid.points.round(9), axis=0, return_inverse=True)
    corners = welded.reshape(-1)[solid.faces]
    edges = [tuple(edge) for face in corners for edge in zip(face, np.roll(face, -1), strict=True)]
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges), "every edge joins two triangles"
    a, b, c = (solid.points[solid.faces[:, corner]] for corner in range(3))
    volume = np.einsum("fx,fx->", a, np.cross(b, c)) / 6
    length, ball = bone.length * (not bone.ball), 4 / 3 * np.pi * bone.radius**3
    bar = np.pi * bone.radius**2 * length
    assert 0.7 * (bar + ball) < volume < bar + ball
    assert (np.einsum("fx,fx->f", np.cross(b - a, c - a), solid.normals[solid.faces].sum(1)) > 0).all()


def test_a_crowd_is_one_animation_of_several_bodies(tmp_path: Path) -> None:
    small = moving_body(seed=3, scale=0.7)
    clips = [moving_body(seed=1), moving_body(seed=2, frames=17, fps=25.0), small]
    doc = written(clips, tmp_path / "a.glb")
    bodies = skins(doc)
    assert (len(bodies), len(doc.animations), len(doc.meshes)) == (3, 1, 2), "two bodies share their shape"
    for (skin, _), clip in zip(bodies, clips, strict=True):
        assert largest_distance(doc, skin, clip) <= 1e-5
    targets = [(channel.target.node, channel.target.path) for channel in doc.animations[0].channels]
    assert len(set(targets)) == len(targets) == sum(len(clip.skeleton) + 1 for clip in clips)
    for channel in doc.animations[0].channels:
        (clip,) = [clip for (skin, _), clip in zip(bodies, clips, strict=True) if channel.target.node in skin.joints]
        moments = values(doc, doc.animations[0].samplers[channel.sampler].input)
        np.testing.assert_allclose(moments, np.arange(len(clip)) / clip.fps, atol=1e-6)
    alone = written(clips[:1], tmp_path / "b.glb")
    assert bodies[0][0].inverseBindMatrices == bodies[1][0].inverseBindMatrices
    assert len(doc.binary_blob()) < 3 * len(alone.binary_blob())


def test_a_single_frame_and_a_single_joint(tmp_path: Path) -> None:
    skeleton = Skeleton(("dot",), (-1,), torch.zeros(1, 3, dtype=torch.float64))
    turn = torch.tensor([[[1.0, 0, 0, 0]]], dtype=torch.float64)
    clip = MotionClip(skeleton, torch.tensor([[0.0, 1, 2]], dtype=torch.float64), turn)
    doc = written([clip], tmp_path / "a.glb")
    assert largest_distance(doc, skins(doc)[0][0], clip) == 0


def test_the_authors_are_named_in_the_file(tmp_path: Path) -> None:
    doc = written([moving_body(credits=("A. Author, CC BY 4.0",))], tmp_path / "a.glb")
    assert doc.asset.copyright == "A. Author, CC BY 4.0"
    assert written([moving_body()], tmp_path / "b.glb").asset.copyright is None


def test_without_pygltflib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygltflib", None)
    with pytest.raises(FileError, match=r"a\.glb: .*pip install 'kinema\[mocap\]'"):
        write_glb([moving_body()], tmp_path / "a.glb")
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="at least"):
        write_glb([], tmp_path / "a.glb")
