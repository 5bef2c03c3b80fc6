"""Binary glTF 2.0 (GLB): bodies that move, as viewers, Blender, Godot, Unreal and three.js load them. Only written.

Metres, Y up, quaternions (x, y, z, w), a node for each joint. A body is a skin of simple solids, one a bone, each bound
to one joint; it is bound in the rest pose of the skeleton, and the nodes themselves stand in the first frame. The
format is that of registry.khronos.org/glTF/specs/2.0.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Num

from kinema.errors import ClipError, FileError
from kinema.files.bones import bones_of
from kinema.files.guard import writing
from kinema.files.solids import Solid, solid_of
from kinema.maths.rotation import to_xyzw
from kinema.motion import MotionClip, Skeleton

FLOAT, SHORT, WORD = 5126, 5123, 5125
"""What glTF calls numbers of single precision and whole numbers of 16 and 32 bits."""
VERTICES, INDICES = 34962, 34963
SHAPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
CLAY = [0.72, 0.70, 0.67, 1.0]


def write_glb(clips: Sequence[MotionClip], path: Path) -> None:
    """One GLB in which all clips are played by one animation, each by a body of its own: a crowd.

    Bodies of one skeleton share their shape. Raises FileError without pygltflib or where it cannot be written,
    ClipError where there is no clip.
    """
    if not clips:
        raise ClipError(f"{path}: no motion was given to write; one clip at least is needed")
    scene = Scene(pygltflib(path))
    for number, clip in enumerate(clips):
        scene.add(clip, f"body {number + 1}" if len(clips) > 1 else "body")
    credits = dict.fromkeys(line for clip in clips for line in clip.credits)
    with writing(path) as (part,):
        part.write_bytes(scene.glb("; ".join(credits)))


def pygltflib(path: Path) -> ModuleType:
    try:
        import pygltflib
    except ImportError as error:
        raise FileError(f"{path}: GLB needs pygltflib; install it with: pip install 'kinema[mocap]'") from error
    return pygltflib


class Scene:
    """A glTF document under construction. `lib` is pygltflib, whose classes are the format's own objects."""

    def __init__(self, lib: ModuleType) -> None:
        self.lib = lib
        self.blob = bytearray()
        self.bodies: list[tuple[Skeleton, int, int]] = []
        """Skeletons with the numbers of their mesh and of their inverse bind matrices."""
        self.moments: dict[tuple[int, float], int] = {}
        """The accessor of the times of so many frames at a rate."""
        clay = lib.PbrMetallicRoughness(baseColorFactor=CLAY, metallicFactor=0.0, roughnessFactor=0.8)
        self.motion: Any = lib.Animation(name="motion")
        self.doc: Any = lib.GLTF2(
            asset=lib.Asset(version="2.0", generator="Kinema"),
            scene=0,
            scenes=[lib.Scene(nodes=[])],
            materials=[lib.Material(name="clay", pbrMetallicRoughness=clay, alphaMode="OPAQUE", alphaCutoff=None)],
            animations=[self.motion],
        )

    def add(self, clip: MotionClip, name: str) -> None:
        """A body that moves as the clip does."""
        mesh, binds = self.body(clip.skeleton)
        first = len(self.doc.nodes) + 1
        joints = [first + joint for joint in range(len(clip.skeleton))]
        self.doc.scenes[0].nodes += [first - 1, first + len(joints)]
        self.doc.nodes.append(self.lib.Node(name=name, children=[first]))
        rotations = unit_xyzw(clip)
        self.doc.nodes += self.joint_nodes(clip, rotations, first)
        self.doc.nodes.append(self.lib.Node(name=f"{name} skin", mesh=mesh, skin=len(self.doc.skins)))
        self.doc.skins.append(self.lib.Skin(joints=joints, skeleton=first, inverseBindMatrices=binds))
        times = self.times(len(clip), clip.fps)
        self.channel(first, "translation", times, clip.root.numpy())
        for joint, node in enumerate(joints):
            self.channel(node, "rotation", times, rotations[:, joint])

    def joint_nodes(self, clip: MotionClip, rotations: Num[np.ndarray, "T J 4"], first: int) -> list[Any]:
        """The joints where the first frame has them, the root's number being `first`."""
        skeleton = clip.skeleton
        places = [clip.root[0].tolist(), *skeleton.offsets[1:].tolist()]
        nodes = [
            self.lib.Node(name=joint, translation=place, rotation=turn)
            for joint, place, turn in zip(skeleton.names, places, rotations[0].tolist(), strict=True)
        ]
        for child, parent in enumerate(skeleton.parents[1:], 1):
            nodes[parent].children.append(first + child)
        return nodes

    def body(self, skeleton: Skeleton) -> tuple[int, int]:
        """The numbers of the mesh and of the inverse bind matrices of a skeleton, made where it is new."""
        for known, mesh, binds in self.bodies:
            if known.same_as(skeleton, 0.0) and dict(known.ends) == dict(skeleton.ends):
                return mesh, binds
        rest = rest_places(skeleton)
        solid = solid_of(bones_of(skeleton), rest)
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(skeleton), 1, 1))
        inverse[:, 3, :3] = -rest  # the file has columns first
        self.doc.meshes.append(self.lib.Mesh(name="body", primitives=[self.primitive(solid)]))
        entry = skeleton, len(self.doc.meshes) - 1, self.accessor(inverse)
        self.bodies.append(entry)
        return entry[1:]

    def primitive(self, solid: Solid) -> Any:
        joints = np.zeros((len(solid.points), 4), np.uint16)
        joints[:, 0] = solid.joints
        weights = np.zeros((len(solid.points), 4), np.float32)
        weights[:, 0] = 1
        attributes = self.lib.Attributes(
            POSITION=self.accessor(solid.points.astype(np.float32), VERTICES, limits=True),
            NORMAL=self.accessor(solid.normals.astype(np.float32), VERTICES),
            JOINTS_0=self.accessor(joints, VERTICES),
            WEIGHTS_0=self.accessor(weights, VERTICES),
        )
        faces = self.accessor(solid.faces.astype(np.uint32).reshape(-1), INDICES)
        return self.lib.Primitive(attributes=attributes, indices=faces, material=0)

    def times(self, frames: int, fps: float) -> int:
        """The accessor of the times of the frames, in seconds."""
        key = frames, fps
        if key not in self.moments:
            self.moments[key] = self.accessor((np.arange(frames) / fps).astype(np.float32), limits=True)
        return self.moments[key]

    def channel(self, node: int, what: str, times: int, values: Num[np.ndarray, "T C"]) -> None:
        """Lets the animation move a node: its `translation` or its `rotation`, straight from each frame to the next."""
        sampler = self.lib.AnimationSampler(input=times, output=self.accessor(values.astype(np.float32)))
        target = self.lib.AnimationChannelTarget(node=node, path=what)
        self.motion.channels.append(self.lib.AnimationChannel(sampler=len(self.motion.samplers), target=target))
        self.motion.samplers.append(sampler)

    def accessor(self, values: Num[np.ndarray, "N ..."], target: int | None = None, limits: bool = False) -> int:
        """Puts numbers into the file and returns the number of their accessor; `limits` states least and greatest."""
        self.blob += bytes(-len(self.blob) % 4)
        data = np.ascontiguousarray(values).tobytes()
        view = self.lib.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=len(data), target=target)
        self.blob += data
        self.doc.bufferViews.append(view)
        rows = values.reshape(len(values), -1)
        kind = {"f": FLOAT, "u": SHORT if values.itemsize == 2 else WORD}[values.dtype.kind]
        self.doc.accessors.append(
            self.lib.Accessor(
                bufferView=len(self.doc.bufferViews) - 1,
                componentType=kind,
                count=len(values),
                type=SHAPES[values.shape[1:]],
                min=rows.min(0).tolist() if limits else None,
                max=rows.max(0).tolist() if limits else None,
            )
        )
        return len(self.doc.accessors) - 1

    def glb(self, credits: str) -> bytes:
        """The file; authors and licences become its copyright."""
        self.blob += bytes(-len(self.blob) % 4)
        self.doc.asset.copyright = credits or None
        self.doc.buffers = [self.lib.Buffer(byteLength=len(self.blob))]
        self.doc.set_binary_blob(bytes(self.blob))
        return b"".join(self.doc.save_to_bytes())


def unit_xyzw(clip: MotionClip) -> Num[np.ndarray, "T J 4"]:
    """The rotations as the format wants them: of length 1, real part last, and never turned by a whole sign from a
    frame to the next, which some viewers would take for a long way round."""
    turns = to_xyzw(clip.rotations).double().numpy()
    turns = turns / np.linalg.norm(turns, axis=-1, keepdims=True)
    flips = np.where((turns[1:] * turns[:-1]).sum(-1) < 0, -1.0, 1.0)
    return turns * np.concatenate([np.ones_like(turns[:1, :, 0]), np.cumprod(flips, 0)])[..., None]


def rest_places(skeleton: Skeleton) -> Num[np.ndarray, "J 3"]:
    """Where the joints are when none is turned, the root at the origin, in metres."""
    places = [np.zeros(3)]
    for parent, offset in zip(skeleton.parents[1:], skeleton.offsets[1:].numpy(), strict=True):
        places.append(places[parent] + offset)
    return np.stack(places)
