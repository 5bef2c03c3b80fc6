"""Which joint of a skeleton is the left knee: found by the names that are in use, or else by the shape of the body.

Programs name joints in their own ways, but a person has two long mirrored legs, two mirrored arms, and knees and toes
that point forward. What neither tells, a user gives: role by role, in a YAML file.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from itertools import combinations, pairwise
from pathlib import Path

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from kinema.errors import ClipError, FileError
from kinema.files.guard import reading
from kinema.maths.kinematics import joint_positions
from kinema.maths.rotation import IDENTITY
from kinema.motion import Skeleton


@dataclass(frozen=True)
class Roles:
    """The joints that the representation of motion asks for, each as its index in a skeleton."""

    hips: int
    """Where legs and trunk meet."""
    left_hip: int
    """The upper end of the thigh."""
    right_hip: int
    left_knee: int
    right_knee: int
    left_foot: int
    """The ankle."""
    right_foot: int
    left_toe: int
    """The joint that the toes turn about, or the ankle where the skeleton has none."""
    right_toe: int
    left_shoulder: int
    """The upper end of the upper arm."""
    right_shoulder: int
    head: int


ROLES = tuple(part.name for part in fields(Roles))

WORDS: dict[str, tuple[str, ...]] = {
    "hip": ("upleg", "upperleg", "thigh", "femur", "thighbend", "hip", "hipjoint"),
    "knee": ("knee", "shin", "calf", "tibia", "lowerleg", "lowleg", "foreleg", "leg"),
    "foot": ("ankle", "foot"),
    "toe": ("toebase", "toe", "toes", "ball", "foot"),
    "shoulder": ("upperarm", "uparm", "humerus", "shldrbend", "shldr", "arm", "shoulder"),
}
"""What a role of a side is called once its side, its numbers and all that joins them are gone; the best word first."""
HIPS, HEAD = ("hips", "pelvis", "hip"), ("head", "skull")
SIDES = {"left": "left", "l": "left", "lft": "left", "right": "right", "r": "right", "rgt": "right"}
OTHER = {"left": "right", "right": "left", "l": "r", "r": "l", "": ""}
EVEN = 0.1
"""Two limbs are a pair where their lengths differ by less than this share."""


def find_roles(
    skeleton: Skeleton, given: Mapping[str, str] | None = None, pose: Float[Tensor, "J 3"] | None = None
) -> Roles:
    """The joints of every role: those given, then those with a known name, then those told by the body's shape.

    `given` maps roles to names of joints. `pose` holds the joints of an upright pose with any heading, in any unit;
    without it the rest pose serves. Raises ClipError where `given` names what there is not, where roles are not
    found, or where what was found cannot be a body.
    """
    found = _by_name(skeleton) | _given(skeleton, given or {})
    if any(role not in found for role in ROLES):
        found = _by_shape(skeleton, pose) | found
    for side in ("left", "right"):
        if f"{side}_foot" in found:
            found.setdefault(f"{side}_toe", _toe(skeleton, found[f"{side}_foot"]))
    missing = [role for role in ROLES if role not in found]
    if missing:
        raise ClipError(
            f"skeleton of {len(skeleton)} joints ({', '.join(skeleton.names[:4])}, ...): no joint was found for "
            f"{', '.join(missing)}; give a YAML file with lines such as {missing[0]}: NAME_OF_A_JOINT"
        )
    _check(skeleton, found)
    return Roles(**found)


def read_roles(path: Path) -> Mapping[str, str]:
    """What a YAML file of lines ``role: joint`` gives. Raises FileError where it is no such file."""
    with reading(path):
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict) or not all(isinstance(text, str) for pair in tree.items() for text in pair):
        raise FileError(f"{path}: not a list of roles; lines such as left_hip: LeftUpLeg are needed")
    unknown = [role for role in tree if role not in ROLES]
    if unknown:
        raise FileError(f"{path}: there is no role {unknown[0]!r}; {_nearest(unknown[0], ROLES)}")
    return tree


def mirror_pairs(skeleton: Skeleton, roles: Roles) -> list[int]:
    """For every joint the index of its mirror image, which is the joint itself on the mid-line.

    The pairs of `roles` are pairs here; other joints are matched by name and by the shape of what hangs on them.
    Raises ClipError where a joint of one side has no counterpart.
    """
    children, names, shapes = _children(skeleton), _names(skeleton), _shapes(skeleton)
    lengths = skeleton.offsets.norm(dim=-1).tolist()
    paired = dict(_sides(skeleton, roles))
    mirror = list(range(len(skeleton)))

    def alike(a: int, b: int) -> bool:
        by_name = names[a].side and names[b].side == OTHER[names[a].side]
        return bool(by_name) and (names[a].word, names[a].number) == (names[b].word, names[b].number)

    def across(a: int, b: int) -> bool:
        x, y = skeleton.offsets[a], skeleton.offsets[b]
        reflected = (x * x.new_tensor([-1, 1, 1]) - y).norm() < EVEN * x.norm() < x[0].abs()
        return shapes[a] == shapes[b] and not names[a].side + names[b].side and bool(reflected)

    def counterpart(a: int, others: list[int]) -> int | None:
        if a in paired:
            return paired[a] if paired[a] in others else None
        same = [b for b in others if alike(a, b)]
        kin = [b for b in others if shapes[b] == shapes[a] and not names[a].side]
        return min(same or kin, key=lambda b: abs(lengths[b] - lengths[a]), default=None)

    def match(a: int, b: int) -> None:
        mirror[a], mirror[b] = b, a
        left, right = list(children[a]), list(children[b])
        for child in left:
            other = counterpart(child, right)
            if other is None:
                raise _lopsided(skeleton, child, b)
            right.remove(other)
            match(child, other)
        if right:
            raise _lopsided(skeleton, right[0], a)

    for joint in range(len(skeleton)):
        if mirror[joint] != joint or (joint and mirror[skeleton.parents[joint]] != skeleton.parents[joint]):
            continue
        for child in children[joint]:
            others = [c for c in children[joint] if c != child and mirror[c] == c]
            other = paired.get(child, next((c for c in others if alike(child, c) or across(child, c)), None))
            if mirror[child] == child and other is not None:
                match(child, other)
    return mirror


@dataclass(frozen=True)
class _Name:
    side: str
    """``left``, ``right``, their first letters where these are joined to a word, or nothing."""
    word: str
    """Letters only, in small type, without the side."""
    number: str


def _names(skeleton: Skeleton) -> list[_Name]:
    """The joints' names, taken apart; what most of them begin with, such as a character's name, is left out."""
    split = [re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.rsplit(":", 1)[-1]) for name in skeleton.names]
    tokens = [[token.lower() for token in name] for name in split]
    while tokens:
        heads = [name[0] for name in tokens if len(name) > 1]
        common = max(set(heads), key=heads.count, default="")
        if common in SIDES or heads.count(common) < max(2, 0.6 * len(tokens)):
            break
        tokens = [name[1:] if len(name) > 1 and name[0] == common else name for name in tokens]
    words = ["".join(token for token in name if not token.isdigit()) for name in tokens]
    return [_name(token, word, set(words)) for token, word in zip(tokens, words, strict=True)]


def _name(tokens: list[str], word: str, words: set[str]) -> _Name:
    number = "-".join(token for token in tokens if token.isdigit())
    sides = [token for token in tokens if token in SIDES]
    if len(sides) == 1:
        rest = "".join(token for token in tokens if token not in SIDES and not token.isdigit())
        return _Name(SIDES[sides[0]], rest, number)
    for side in ("left", "right", "l", "r"):  # lfemur and rfemur: a side without a joint
        if word.startswith(side) and OTHER[side] + word.removeprefix(side) in words:
            return _Name(side, word.removeprefix(side), number)
    return _Name("", word, number)


def _by_name(skeleton: Skeleton) -> dict[str, int]:
    names = _names(skeleton)
    found: dict[str, int] = {}
    for side in ("left", "right"):
        own = [(name.word, j) for j, name in enumerate(names) if name.side and SIDES[name.side] == side]
        known = dict(reversed(own))
        for role, words in WORDS.items():
            joint = next((known[word] for word in words if word in known), None)
            if joint is not None and joint not in found.values():
                found[f"{side}_{role}"] = joint
    for role, words in (("hips", HIPS), ("head", HEAD)):
        middle = [j for word in words for j, name in enumerate(names) if not name.side and name.word == word]
        found |= {role: middle[0]} if middle else {}
    if {"left_hip", "right_hip"} <= found.keys():
        joint = _meeting(skeleton, found["left_hip"], found["right_hip"])
        if found.get("hips", -1) not in _path(skeleton, joint):
            found["hips"] = joint
    return found


def _by_shape(skeleton: Skeleton, pose: Float[Tensor, "J 3"] | None) -> dict[str, int]:
    """The roles that the body's shape in an upright pose tells: legs, arms, left and right by knees and toes."""
    if pose is None:
        still = torch.tensor(IDENTITY).double().expand(len(skeleton), 4)
        pose = joint_positions(still, torch.zeros(3).double(), skeleton.offsets.double(), skeleton.parents)
    places = pose.double()
    lengths, limbs = skeleton.offsets.norm(dim=-1), _limb_pairs(skeleton)
    if not limbs:
        return {}

    def size(pair: tuple[list[int], list[int]]) -> float:
        return float(lengths[[pair[0][1], pair[0][2], pair[1][1], pair[1][2]]].sum() / 2)

    long = [pair for pair in limbs if size(pair) > 0.5 * max(map(size, limbs))]
    legs = min(long, key=lambda pair: float(places[[pair[0][2], pair[1][2]], 1].sum()))
    if places[[legs[0][0], legs[1][0]], 1].mean() - places[[legs[0][2], legs[1][2]], 1].mean() < 0.5 * size(legs):
        return {}
    # Knees bend forward, and so point the toes of a foot that stands.
    ground = min(float(places[leg[2], 1]) for leg in legs) + 0.1 * size(legs)
    ways = [places[leg[1]] - (places[leg[0]] + places[leg[2]]) / 2 for leg in legs]
    ways += [places[leg[3]] - places[leg[2]] for leg in legs if len(leg) > 3 and float(places[leg[2], 1]) < ground]
    forward = torch.stack(ways).sum(0)
    left = torch.stack([forward[2], torch.zeros(()).double(), -forward[0]])
    if left.norm() < 0.02 * size(legs):
        return {}

    def sorted_sides(pair: tuple[list[int], list[int]]) -> dict[str, list[int]]:
        first, second = sorted(pair, key=lambda limb: float(places[limb[0]] @ left), reverse=True)
        return {"left": first, "right": second}

    found = {"hips": _meeting(skeleton, legs[0][0], legs[1][0])}
    for side, leg in sorted_sides(legs).items():
        found |= {f"{side}_{role}": joint for role, joint in zip(("hip", "knee", "foot", "toe"), leg, strict=False)}
    thighs = {legs[0][0], legs[1][0]}
    arms = [pair for pair in limbs if not thighs & {*_path(skeleton, pair[0][0]), *_path(skeleton, pair[1][0])}]
    if not arms:
        return found
    pair = max(arms, key=size)
    found |= {f"{side}_shoulder": arm[0] for side, arm in sorted_sides(pair).items()}
    free = [j for j in range(len(skeleton)) if not {pair[0][0], pair[1][0]} & set(_path(skeleton, j))]
    return found | {"head": max(free, key=lambda j: float(places[j, 1]))}


def _limb_pairs(skeleton: Skeleton) -> list[tuple[list[int], list[int]]]:
    """Mirrored limbs below a common parent, each from the upper end of its two longest bones in a row to its tip."""
    children, shapes = _children(skeleton), _shapes(skeleton)
    lengths = skeleton.offsets.norm(dim=-1).tolist()
    reach = [0.0] * len(skeleton)
    onward = [-1] * len(skeleton)
    for joint in reversed(range(len(skeleton))):
        for child in children[joint]:
            if onward[joint] < 0 or lengths[child] + reach[child] > reach[joint]:
                reach[joint], onward[joint] = lengths[child] + reach[child], child

    def limb(joint: int) -> list[int]:
        chain = [joint]
        while onward[chain[-1]] >= 0:
            chain.append(onward[chain[-1]])
        starts = range(len(chain) - 2)
        best = max(starts, key=lambda i: lengths[chain[i + 1]] + lengths[chain[i + 2]], default=0)
        return chain[best:]

    twins = [pair for siblings in children for pair in combinations(siblings, 2)]
    even = [(a, b) for a, b in twins if abs(reach[a] - reach[b]) < EVEN * max(reach[a], reach[b])]
    pairs = [(limb(a), limb(b)) for a, b in even if shapes[a] == shapes[b]]
    return [pair for pair in pairs if min(map(len, pair)) > 2]


def _given(skeleton: Skeleton, given: Mapping[str, str]) -> dict[str, int]:
    for role, name in given.items():
        if role not in ROLES:
            raise ClipError(f"roles: there is no role {role!r}; {_nearest(role, ROLES)}")
        if name not in skeleton.names:
            raise ClipError(f"roles: {role} is {name!r}, which is no joint; {_nearest(name, skeleton.names)}")
    return {role: skeleton.names.index(name) for role, name in given.items()}


def _check(skeleton: Skeleton, found: dict[str, int]) -> None:
    """ClipError unless each limb runs down from the hips and no joint serves twice."""
    chains = [[f"{side}_{part}" for part in ("hip", "knee", "foot", "toe")] for side in ("left", "right")]
    for upper, lower in [pair for chain in chains for pair in pairwise(chain)]:
        same_toe = found[upper] == found[lower] and lower.endswith("toe")
        if not same_toe and found[upper] not in _path(skeleton, found[lower])[:-1]:
            above, below = skeleton.names[found[upper]], skeleton.names[found[lower]]
            raise ClipError(f"roles: {lower} ({below}) does not hang on {upper} ({above}); give both in a YAML file")
    for one, other in combinations([role for role in ROLES if not role.endswith("toe")], 2):
        if found[one] == found[other]:
            raise ClipError(f"roles: {one} and {other} are both {skeleton.names[found[one]]}; give them in a YAML file")


def _toe(skeleton: Skeleton, foot: int) -> int:
    """The child of the ankle that is farthest from it, or the ankle itself."""
    below = _children(skeleton)[foot]
    return max(below, key=lambda j: float(skeleton.offsets[j].norm()), default=foot)


def _sides(skeleton: Skeleton, roles: Roles) -> list[tuple[int, int]]:
    """The joints of both sides, each with its counterpart, from the mid-line outwards to those that have a role."""
    found, pairs = asdict(roles), []
    for part in ("toe", "foot", "knee", "hip", "shoulder"):
        a, b = _path(skeleton, found[f"left_{part}"]), _path(skeleton, found[f"right_{part}"])
        a, b = [j for j in a if j not in b], [j for j in b if j not in a]
        if len(a) != len(b):
            raise _lopsided(skeleton, max(a, b, key=len)[-1], min(a, b, key=len)[-1])
        pairs += [*zip(a, b, strict=True), *zip(b, a, strict=True)]
    return pairs


def _lopsided(skeleton: Skeleton, joint: int, other: int) -> ClipError:
    name, there = skeleton.names[joint], skeleton.names[other]
    return ClipError(f"skeleton: {name} has no mirror image at {there}; both sides need the same joints to be mirrored")


def _children(skeleton: Skeleton) -> list[list[int]]:
    return [[j for j, parent in enumerate(skeleton.parents) if parent == joint] for joint in range(len(skeleton))]


def _shapes(skeleton: Skeleton) -> list[str]:
    """For each joint what hangs on it, as brackets; equal where two subtrees have the same branches."""
    shapes = [""] * len(skeleton)
    for joint, below in reversed(list(enumerate(_children(skeleton)))):
        shapes[joint] = "(" + "".join(sorted(shapes[child] for child in below)) + ")"
    return shapes


def _path(skeleton: Skeleton, joint: int) -> list[int]:
    """From the root to the joint, both included."""
    path = [joint]
    while skeleton.parents[path[0]] >= 0:
        path.insert(0, skeleton.parents[path[0]])
    return path


def _meeting(skeleton: Skeleton, a: int, b: int) -> int:
    """The last joint on the way to both."""
    return [j for j in _path(skeleton, a) if j in _path(skeleton, b)][-1]


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
