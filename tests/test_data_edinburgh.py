"""The Edinburgh data, made here from our own gait in its layout and signs: units, signs, padding, bad files, a run."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from kinema.data.edinburgh import (
    NAMES,
    PARENTS,
    ROLES,
    UNIT,
    Edinburgh,
    EdinburghConfig,
    read_clips,
    to_motion,
    true_frames,
)
from kinema.data.gait import GaitConfig, make_gait
from kinema.data.roles import find_roles
from kinema.errors import ConfigError, KinemaError
from kinema.evaluation import motion_errors
from kinema.maths import trajectory
from kinema.motion import Motion
from kinema.training.recipe import build_recipe, override, read_recipe
from kinema.training.run import load_run
from kinema.verbs.train import evaluate, train

GAIT = GaitConfig(train=8, test=3, shortest=2.0, longest=6.0, seed=5)
PAIRS = [0, 5, 6, 7, 8, 1, 2, 3, 4, 9, 10, 11, 12, 17, 18, 19, 20, 13, 14, 15, 16]


def gaits(split):
    return [make_gait(GAIT, split, index) for index in range(getattr(GAIT, split))]


def body_frames(world):
    """Where a body faces and its pose there, as the data's authors take them: (T,), (T, 21, 3) and the ground point."""
    across = world[:, 1] - world[:, 5] + world[:, 13] - world[:, 17]
    facing = np.cross(across, [0.0, 1.0, 0.0])
    facing = gaussian_filter1d(facing / np.linalg.norm(facing, axis=-1, keepdims=True), 20, axis=0, mode="nearest")
    theta = np.unwrap(np.arctan2(facing[:, 0], facing[:, 2]))
    ground = world[:, 0] * [1.0, 0.0, 1.0]
    pose = [Rotation.from_euler("y", -a).apply(p - r) for a, p, r in zip(theta, world, ground, strict=True)]
    return theta, np.stack(pose), ground


def layout(world):
    """At most 240 frames of a body in the world (metres) as 66 channels, and how many frames were padded in front."""
    theta, pose, ground = body_frames(world)
    moved = Rotation.from_euler("y", -theta[1:, None]).apply(np.diff(ground, axis=0))
    rows = np.concatenate([pose[:-1].reshape(-1, 63), moved[:, [0, 2]]], 1) / 0.05644
    rows = np.concatenate([rows, -np.diff(theta)[:, None]], 1)[:240]
    missing = 240 - len(rows)
    before = missing - missing // 2
    rows = np.concatenate([rows[:1].repeat(before, 0), rows, rows[-1:].repeat(missing // 2, 0)])
    rows[:before, 63:] = 0
    rows[240 - missing // 2 :, 63:] = 0
    return rows, before


def write_copy(folder: Path) -> Path:
    """Both files of a copy of the data, made of gait."""
    for split in ("train", "test"):
        clips = np.stack([layout(made.clip.joints().numpy())[0] for made in gaits(split)])
        np.savez_compressed(folder / f"edinburgh_locomotion_{split}.npz", clips=clips)
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_copy(tmp_path_factory.mktemp("edinburgh"))


def source(root, split="train", **settings):
    return Edinburgh(EdinburghConfig(root=str(root), **settings), split)


def placed(motion):
    return trajectory.to_world(motion.joints, *trajectory.integrate(motion.control, 60.0))


def recorded(rows):
    rows = torch.from_numpy(rows)
    return rows[true_frames(rows[None])[0]]


def toe_slip(rows, made):
    """Mean speed in m/s of toes while their maker says that they stand."""
    toes = placed(to_motion(rows))[:, [4, 8]]
    stands = made.contacts[: len(toes)]
    both = (stands[1:] * stands[:-1]).bool()
    return float((toes.diff(dim=0).norm(dim=-1) * 60)[both].mean())


def test_in_the_world_a_body_is_where_it_was():
    turned, strayed = [], []
    for made in gaits("train"):
        world = made.clip.joints().numpy()
        theta, _, ground = body_frames(world)
        wanted = Rotation.from_euler("y", -theta[0]).apply((world - ground[0]).reshape(-1, 3)).reshape(world.shape)
        rows = recorded(layout(world)[0])
        found = placed(to_motion(rows)).numpy()
        assert np.abs(found - wanted[: len(found)]).max() < 1e-9
        wrong = placed(to_motion(rows * torch.tensor([1.0] * 65 + [-1.0]))).numpy()
        turned.append(abs(theta[-1] - theta[0]))
        strayed.append(np.abs(wrong - wanted[: len(found)]).max())
    assert max(turned) > 0.5, "the clips hold turns"
    assert max(strayed) > 0.5, "and a turn the other way is seen"


def test_a_toe_that_stands_does_not_slide_and_would_with_channels_exchanged():
    swapped, mirrored = list(range(66)), torch.tensor([1.0] * 65 + [-1.0])
    swapped[63], swapped[64] = 64, 63
    made = max(gaits("train"), key=lambda one: abs(float(layout(one.clip.joints().numpy())[0][:, 65].sum())))
    rows = recorded(layout(made.clip.joints().numpy())[0])
    assert toe_slip(rows, made) < 1e-9
    assert toe_slip(rows[:, swapped], made) > 0.7
    assert toe_slip(rows * mirrored, made) > 0.02


def test_controls_are_in_metres_a_second_and_left_is_positive():
    for made in gaits("train"):
        world = made.clip.joints().numpy()
        theta, pose, ground = body_frames(world)
        control = to_motion(recorded(layout(world)[0])).control.numpy()
        steps = np.linalg.norm(np.diff(ground, axis=0), axis=-1)[: len(control)] * 60
        assert np.allclose(np.hypot(control[:, 0], control[:, 1]), steps)
        assert control[:, 1].mean() > 0.5, "people go forward"
        assert np.allclose(control[:, 2], np.diff(theta)[: len(control)] * 60), "a growing heading turns to the left"
        assert pose[:, 1, 0].mean() > 0.05, "and left is +X"
    assert motion_errors.UNIT == UNIT


def test_windows_are_those_of_the_file_and_padding_is_known(copy):
    whole = source(copy)
    assert len(whole) == 8
    floor = None
    for item, made in enumerate(gaits("train")):
        rows, before = layout(made.clip.joints().numpy())
        frames = min(240, len(made.clip) - 1)
        batch = whole.window(torch.tensor([item]), torch.tensor([0]))
        assert batch.valid[0].tolist() == [False] * before + [True] * frames + [False] * (240 - before - frames)
        control = rows[:, 63:] * np.array([0.05644 * 60, 0.05644 * 60, -60])
        assert np.allclose(batch.motion.control[0], control, atol=1e-6)
        lower = rows[:, :63].reshape(240, 21, 3) * 0.05644 - batch.motion.joints[0].numpy()
        floor = lower[0, 0, 1] if floor is None else floor
        assert np.allclose(lower, [0, floor, 0], atol=1e-6), "all heights are taken above one floor"
        assert batch.motion.rotations is None
        opening = whole.openings(240)
        assert bool(opening.valid[item, :frames].all())
        assert not bool(opening.valid[item, frames:].any())
    assert floor == pytest.approx(0.02, abs=0.01), "that of the gait's toes"
    assert {len(made.clip) > 240 for made in gaits("train")} == {True, False}, "some windows are padded, some are not"


def test_contacts_are_those_of_the_maker(copy):
    whole, agree = source(copy), []
    for number, made in enumerate(gaits("train")):
        begin, count = int(whole.begins[number]), int(whole.counts[number])
        assert whole.motion.contacts is not None
        found = whole.motion.contacts[begin : begin + count]
        agree.append((found == made.contacts[:count]).double().mean())
    assert float(torch.stack(agree).mean()) > 0.9


def test_a_window_in_the_mirror_is_that_of_a_mirrored_body(copy):
    whole = source(copy, mirror=True)
    assert len(whole) == 16
    world = gaits("train")[3].clip.joints().numpy()
    rows = torch.from_numpy(layout(world[:, PAIRS] * [-1.0, 1.0, 1.0])[0])
    image = whole.window(torch.tensor([8 + 3, 2]), torch.tensor([0, 0]))
    true = to_motion(recorded(rows.numpy()))
    valid = image.valid[0]
    assert torch.allclose(image.motion.control[0, valid], true.control.float(), atol=1e-5)
    away = true.joints.float() - image.motion.joints[0, valid]
    assert torch.allclose(away, away[0, 0].expand_as(away), atol=1e-5)
    plain = whole.window(torch.tensor([2]), torch.tensor([0]))
    assert torch.equal(image.motion.joints[1], plain.motion.joints[0]), "what is no image stays"


def test_splits_come_from_their_files_and_share_one_body(copy):
    parts = {split: source(copy, split) for split in ("train", "test", "all")}
    assert [len(parts[split].names) for split in ("train", "test", "all")] == [8, 3, 11]
    assert parts["all"].names == (*parts["train"].names, *parts["test"].names)
    first = layout(gaits("test")[0].clip.joints().numpy())[0]
    assert np.allclose(parts["test"].motion.control[:50, 0], recorded(first)[:50, 63] * 60 * 0.05644, atol=1e-6)
    skeleton = parts["test"].skeleton
    assert skeleton.same_as(parts["train"].skeleton, 1e-9)
    body = gaits("train")[0].clip.skeleton
    for joint in (2, 3, 4, 6, 7, 8):
        assert float(skeleton.offsets[joint].norm()) == pytest.approx(float(body.offsets[joint].norm()), abs=1e-5)
    assert parts["test"].credits
    with pytest.raises(ConfigError, match="no split"):
        source(copy, "validation")


def test_roles_are_those_that_the_names_tell(copy):
    assert find_roles(source(copy, "test").skeleton) == ROLES
    assert len(NAMES) == len(PARENTS) == 21


def test_windows_that_never_move_are_left_out(tmp_path):
    rows = layout(gaits("train")[0].clip.joints().numpy())[0]
    still = rows * np.array([1.0] * 63 + [0.0] * 3)
    for split in ("train", "test"):
        np.savez(tmp_path / f"edinburgh_locomotion_{split}.npz", clips=np.stack([still, rows]).astype(np.float32))
    assert source(tmp_path).names == ("edinburgh_locomotion_train.npz/0001",)


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "was here"))


def huge(path):
    """An archive whose header tells of more than any memory holds, and which holds nothing of it."""
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 240, 66)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clips.npy", head.getvalue())


GOOD = np.ones((2, 240, 66), dtype=np.float32)
NAN = np.where(np.arange(2)[:, None, None] == 1, np.nan, GOOD)
BAD = {
    "missing": (lambda path: None, "no such file"),
    "key": (lambda path: np.savez(path, X=GOOD), "holds no clips, but X"),
    "order": (lambda path: np.savez(path, clips=GOOD.swapaxes(1, 2)), r"\(2, 66, 240\); it must be numbers of shape"),
    "none": (lambda path: np.savez(path, clips=GOOD[:0]), "N at least 1"),
    "nan": (lambda path: np.savez(path, clips=NAN), "window 1 holds NaN"),
    "text": (lambda path: np.savez(path, clips=GOOD[:, :, :].astype("U4")), "must be numbers"),
    "huge": (huge, "are the limit"),
    "still": (lambda path: np.savez(path, clips=GOOD * (np.arange(66) < 63)), "nothing moves"),
    "not a zip": (lambda path: path.write_text("hello"), "damaged"),
    "cut": (lambda path: (np.savez(path, clips=GOOD), path.write_bytes(path.read_bytes()[:9000])), "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_a_line(case, tmp_path, copy):
    write, said = BAD[case]
    bad = tmp_path / "edinburgh_locomotion_train.npz"
    write(bad)
    with pytest.raises(KinemaError, match=said) as caught:
        source(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(bad) in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    mark, bad = tmp_path / "mark", tmp_path / "edinburgh_locomotion_train.npz"
    np.savez(bad, clips=np.array([Evil(mark)], dtype=object))
    with np.load(bad, allow_pickle=True) as archive:
        assert archive["clips"] is not None
    assert mark.exists(), "it would do harm"
    mark.unlink()
    with pytest.raises(KinemaError, match="object of shape"):
        read_clips(bad)
    assert not mark.exists()


def test_settings_that_cannot_be(tmp_path, monkeypatch):
    monkeypatch.delenv("KINEMA_DATA", raising=False)
    for root, said in (("", "KINEMA_DATA"), (str(tmp_path / "no"), "no such folder")):
        with pytest.raises(KinemaError, match=said):
            Edinburgh(EdinburghConfig(root=root), "train")
    with pytest.raises(ConfigError, match="not resampled"):
        EdinburghConfig(fps=30.0)


FEW = {"training.steps": "2", "training.batch": "3", "training.log_every": "1"}


@pytest.fixture(scope="module")
def run(copy, tmp_path_factory):
    options = {**FEW, "data.root": str(copy), "model.width": "8"}
    return train("edinburgh", out=str(tmp_path_factory.mktemp("runs") / "run"), quiet=True, options=options)


def test_the_papers_model_trains_on_it(run):
    card = (run / "card.md").read_text()
    assert "Habibie" in card
    assert "not labelled" in card
    model = load_run(str(run)).model
    assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    assert float(model.get_submodule("scale").get_buffer("control_std")[1]) == pytest.approx(1, abs=0.8), "m/s"


@pytest.mark.slow
def test_the_papers_model_is_measured_on_it(run):
    results = evaluate(str(run), quiet=True)
    assert results["n/210"] == sum(len(made.clip) - 1 > 210 for made in gaits("test"))
    assert all(np.isfinite(value) for value in results.values())


@pytest.mark.parametrize(
    ("recipe", "sizes"),
    [
        ("locomotion", {"model.pose": "positions", "model.width": "8", "model.hidden": "12"}),
        pytest.param(
            "erd",
            {"model.units": "8", "model.encoder": "8", "model.decoder": "8", "model.window": "20"},
            marks=pytest.mark.slow,
        ),
        pytest.param("crbm-cd1", {"model.hidden": "8"}, marks=pytest.mark.slow),
    ],
)
def test_other_models_train_on_positions(recipe, sizes, copy, tmp_path):
    options = {**FEW, **sizes, "data.source": "edinburgh", "data.root": str(copy), "data.mirror": "true"}
    assert (train(recipe, out=str(tmp_path / "run"), quiet=True, options=options) / "model.safetensors").is_file()


def test_rotations_cannot_be_asked_of_it(copy, tmp_path):
    options = {**FEW, "data.source": "edinburgh", "data.root": str(copy)}
    with pytest.raises(ConfigError, match=r"set model\.pose to positions"):
        train("locomotion", out=str(tmp_path / "run"), quiet=True, options=options)
    assert build_recipe(override(read_recipe("edinburgh"), {}), "edinburgh").stands_for
    assert isinstance(source(copy).motion, Motion)
