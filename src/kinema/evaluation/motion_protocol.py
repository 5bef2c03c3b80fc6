"""One model of motion over all test clips: what it is given, what it is asked, and every measure of what it makes.

A setting says how many true frames a model gets, whether it is given the control, and whether that control is smoothed.
A recorded control carries the phase of the gait, which a drawn path does not; smoothing it takes the phase away.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kinema.errors import ClipError
from kinema.evaluation import motion_errors as errors
from kinema.evaluation import motion_quality as quality
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.motion_clips import TestClips, smoothed
from kinema.maths import trajectory
from kinema.maths.foot_lock import Leg, lock_feet
from kinema.maths.sway import sway
from kinema.models.motion_base import MotionModel
from kinema.models.rivals import Rival
from kinema.motion import Motion
from kinema.training.sampler import fold

DRAWS = 10
"""K: draws of each clip."""
ROWS = 1024
"""The most motions that a model is asked for at once, unless one draw of all clips is more."""
FAR = 1e6
"""Metres, and metres per second, that stand for a value that is not finite: it is an error, not an unscored frame."""
SAME = 1e-6
"""Metres between two draws below which a model draws nothing."""


@dataclass(frozen=True)
class Setting:
    """What a model is given."""

    start: int = 4
    """True frames at the beginning: 60, 4 or 0."""
    given: bool = True
    """Whether the control of all frames is given; else the model goes on by itself."""
    smooth: bool = False
    """Whether the control that is given is smoothed, from the last of the true frames on."""
    labels: bool = False
    """Whether models that take labels (action, style) are told them; rivals take none."""

    @property
    def name(self) -> str:
        """``start4-given-recorded``: the first part of the names of results."""
        kind = "smoothed" if self.smooth else "recorded"
        told = "-labels" if self.labels else ""
        return f"start{self.start}-given-{kind}{told}" if self.given else f"start{self.start}-predicted{told}"


GIVEN = tuple(Setting(start, True, smooth) for smooth in (False, True) for start in (60, 4, 0))
TOLD = tuple(Setting(start, labels=True) for start in (4, 0))
"""Settings for models that take labels, beside those without."""
PREDICTED = tuple(Setting(start, False) for start in (60, 4))
"""The settings of models that predict their own control."""


def settings_for(model: MotionModel) -> tuple[Setting, ...]:
    """All settings that a model can be measured in: only the rivals predict their control."""
    return (*GIVEN, *PREDICTED) if isinstance(model, Rival) else (*GIVEN, *TOLD)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model made of all clips in one setting. NaN stands for what is not scored."""

    setting: Setting
    errors: Mapping[str, Mapping[str, Float[Tensor, "K B T"]]]
    """Kind (``pose``, ``motion_predicted``, ``motion_given``, ``motion_swayed``), then `motion_errors.ABOUT`."""
    spread: Float[Tensor, "B T"]
    """Mean distance of the poses of the draws to their mean, in units."""
    quality: Mapping[str, Mapping[str, Float[Tensor, " B"]]]
    """Root (``predicted``, ``given``, ``swayed``), then measure (`QUALITY`), a mean over the draws."""
    real: Mapping[str, Float[Tensor, " B"]]
    """The same measures of the true motion."""
    scored: Bool[Tensor, "B T"]
    """The frames that count: after the first ones and before the clip's end."""


QUALITY: Mapping[str, str] = {
    "skate": "foot skate, cm/s",
    "zhang_skate": "foot skate of Zhang et al. 2018, cm/s",
    "stance": "share of frames with a foot down",
    "contact_f1": "F1 of foot contacts against the truth's",
    "path_mean": "mean distance from the asked path, cm",
    "path_max": "greatest distance from the asked path, cm",
    "bone": "change of bone lengths, mm",
    "acceleration": "mean acceleration, m/s^2",
    "jerk": "mean jerk, m/s^3",
}
"""The measures of quality by their names in results."""


def asked_control(clips: TestClips, setting: Setting) -> Float[Tensor, "B T 3"]:
    """The control of all frames that a setting is about: as recorded, or smoothed from the end of the start on."""
    recorded = clips.motion.control
    return errors.spliced(recorded, smoothed(clips), setting.start) if setting.smooth else recorded


@torch.no_grad()
def draw(model: MotionModel, clips: TestClips, setting: Setting, draws: int, seed: int) -> Motion:
    """K draws for each clip, shapes (K, B, T, ...), float64 on the CPU, all clips in one call of the model.

    The model must be where the clips are, and gets a generator of that device. Of a model whose first two draws
    are the same, one is enough: K is then 1. Values that are not finite become `FAR`. Raises ClipError where the
    model's motions have other shapes.
    """
    generator = torch.Generator(clips.valid.device).manual_seed(fold(seed, "motion", setting.name))
    at_once = max(1, ROWS // len(clips))
    made = [_draw(model, clips, setting, min(2, draws), generator)]
    done = len(made[0].joints)
    if done == 2 and float((made[0].joints[0] - made[0].joints[1]).abs().max()) < SAME:
        return made[0][:1]
    while done < draws:
        made.append(_draw(model, clips, setting, min(at_once, draws - done), generator))
        done += len(made[-1].joints)
    contacts = [part.contacts for part in made if part.contacts is not None]
    joints, control = torch.cat([part.joints for part in made]), torch.cat([part.control for part in made])
    return Motion(joints, control, contacts=torch.cat(contacts) if contacts else None)


def _draw(
    model: MotionModel,
    clips: TestClips,
    setting: Setting,
    draws: int,
    generator: torch.Generator,
) -> Motion:
    count, length = clips.valid.shape

    def repeated(x: Tensor) -> Tensor:
        return x.repeat(draws, *[1] * (x.dim() - 1))

    control = repeated(asked_control(clips, setting)) if setting.given else None
    start = clips.motion[:, : setting.start].map(repeated) if setting.start else None
    factors = {name: repeated(value) for name, value in clips.factors.items()} if setting.labels else {}
    made = model.generate(length, control, start, factors, generator)
    wanted = (draws * count, *clips.motion.joints.shape[1:])
    if made.joints.shape != wanted or made.control.shape != (*wanted[:2], 3):
        shapes = f"joints {tuple(made.joints.shape)} and control {tuple(made.control.shape)}"
        raise ClipError(f"{type(model).__name__}: it made {shapes}; joints {wanted} are needed, and their control")
    made = Motion(made.joints, made.control, contacts=made.contacts).map(
        lambda x: torch.nan_to_num(x.double().cpu(), FAR, FAR, -FAR)
    )
    return made.map(lambda x: x.unflatten(0, (draws, count)))


def evaluate_motion(
    model: MotionModel,
    clips: TestClips,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    settings: Sequence[Setting] | None = None,
) -> dict[str, float]:
    """Every measure in every setting, under flat names; what cannot be measured has no name.

    ``SETTING/KIND/ERROR/FRAME``: mean over draws and clips, with ``_low`` and ``_high``, the 95 % interval over clips.
    KIND is ``pose``, ``motion_predicted``, ``motion_given`` or ``motion_swayed`` (see `compare`); ERROR is ``mse``,
    ``sq``, ``dist`` or ``cm``, which is ``dist`` in centimetres; ``best`` is ``dist`` of the draw of each clip that is
    nearest over all scored frames, ``best_each`` that of the nearest at that frame. ``SETTING/KIND/best_gain`` is the
    share of ``dist`` that ``best`` saves over `FRAMES`.
    ``SETTING/spread/FRAME``: mean distance of the poses of the draws to their mean, in units.
    ``SETTING/ROOT/MEASURE/GAIT`` and ``SETTING/real/MEASURE/GAIT``: `QUALITY`, over all scored frames, of the model and
    of the truth; ROOT is ``predicted``, ``given``, ``swayed`` or ``locked``, GAIT ``walk``, ``run`` or ``all``;
    ``acceleration_ratio`` and ``jerk_ratio`` are those of the model to the truth's.
    ``n/FRAME``, ``n/GAIT``: clips that are scored there; ``draws``: K as asked for (see `draw`).
    Model and clips must be on the same device.
    """
    given, clips = clips, clips.to(torch.device("cpu"))
    results = {"draws": float(draws)}
    results |= {f"n/{name}": float(clips.valid[:, at].sum()) for name, at in frames_of(clips).items()}
    results |= {f"n/{gait}": float(members.sum()) for gait, members in clips.gaits().items()}
    for setting in settings_for(model) if settings is None else settings:
        measured = compare(draw(model, given, setting, draws, seed), clips, setting)
        found = summary(measured, clips, seed)
        results |= {f"{setting.name}/{name}": value for name, value in found.items() if not math.isnan(value)}
    return results


def frames_of(clips: TestClips) -> dict[int, int]:
    """The published frames, counted at 60 Hz, that the windows reach, and their numbers at the clips' rate."""
    places = {frame: round(frame * clips.fps / 60) for frame in errors.FRAMES}
    return {frame: place for frame, place in places.items() if place < clips.valid.shape[1]}


def summary(measured: Measured, clips: TestClips, seed: int) -> dict[str, float]:
    """What `evaluate_motion` says of one setting; NaN where no clip is scored."""
    frames = frames_of(clips)
    at = list(frames.values())
    results: dict[str, float] = {}

    def put(name: str, values: Float[Tensor, " B"], low: Tensor, high: Tensor) -> None:
        results.update({name: values.nanmean().item(), f"{name}_low": low.item(), f"{name}_high": high.item()})

    def put_frames(name: str, values: Float[Tensor, "B F"]) -> None:
        low, high = interval_over_clips(values, seed)
        for column, frame in enumerate(frames):
            put(f"{name}/{frame}", values[:, column], low[column], high[column])

    for kind, by_unit in measured.errors.items():
        for unit, values in by_unit.items():
            put_frames(f"{kind}/{unit}", values[..., at].mean(0))
        dist = by_unit["dist"]
        put_frames(f"{kind}/cm", 100 * errors.UNIT * dist[..., at].mean(0))
        best = errors.of_draw(dist, errors.best_draw(dist, measured.scored))[:, at]
        put_frames(f"{kind}/best", best)
        put_frames(f"{kind}/best_each", dist[..., at].amin(0))
        results[f"{kind}/best_gain"] = 1 - (best.nanmean() / dist[..., at].nanmean()).item()
    put_frames("spread", measured.spread[:, at])
    for root, measures in (*measured.quality.items(), ("real", measured.real)):
        values = torch.stack(list(measures.values()), 1)
        for gait, members in clips.gaits().items():
            if members.any():
                low, high = interval_over_clips(values[members], seed)
                for column, measure in enumerate(measures):
                    put(f"{root}/{measure}/{gait}", values[members, column], low[column], high[column])
    for root in measured.quality:
        for measure in ("acceleration", "jerk"):
            for gait in clips.gaits():
                made, real = (results.get(f"{of}/{measure}/{gait}", math.nan) for of in (root, "real"))
                results[f"{root}/{measure}_ratio/{gait}"] = made / real if real else math.nan
    return results


def compare(made: Motion, clips: TestClips, setting: Setting) -> Measured:
    """Measure draws (K, B, T, ...) that were made in a setting, each against the truth.

    The pose is compared in the root frame. The motion is compared in the world, where the truth and what was made share
    the last of the start frames; from there on the root goes where the model's own control takes it
    (``motion_predicted``), where the asked one does (``motion_given``), or where `sway` puts a body that follows the
    asked path with its own gait (``motion_swayed``), as `kinema synthesize` does; ``locked`` has its feet held as well.
    With a smoothed control the truth is still the recorded motion; the asked path is where the smoothed control leads.
    """
    clips = clips.to(made.joints.device)
    joints, recorded = clips.motion.joints.double(), clips.motion.control.double()
    asked = asked_control(clips, setting).double()
    steps = torch.arange(clips.valid.shape[1])
    scored = clips.valid & (steps >= setting.start)
    truth = errors.world(joints, recorded, clips.fps)
    line, _ = trajectory.integrate(asked, clips.fps)
    real_feet = quality.feet(truth[:, :, list(clips.toes)], scored, clips.fps)

    def judged(body: Float[Tensor, "B T J 3"], bone: Float[Tensor, " B"]) -> dict[str, Float[Tensor, " B"]]:
        steps = quality.feet(body[:, :, list(clips.toes)], scored, clips.fps)
        mean, greatest = quality.path_error(body[:, :, 0], line, scored)
        return {
            "skate": quality.skate(steps),
            "zhang_skate": quality.zhang_skate(steps),
            "stance": quality.stance_share(steps),
            "contact_f1": quality.contact_f1(steps, real_feet),
            "path_mean": mean,
            "path_max": greatest,
            "bone": bone,
            "acceleration": quality.mean_acceleration(body, scored, clips.fps),
            "jerk": quality.mean_jerk(body, scored, clips.fps),
        }

    kinds: dict[str, dict[str, list[Tensor]]] = {}
    judgements: dict[str, list[dict[str, Tensor]]] = {}
    legs = [Leg(*leg) for leg in clips.legs]
    for number, (pose, control) in enumerate(zip(made.joints, made.control, strict=True)):  # one by one: memory
        pairs = {"pose": (pose, joints)}
        bone = quality.bone_deviation(pose, joints, clips.parents, scored)
        own = errors.spliced(recorded, control, setting.start)
        roots = {"predicted": trajectory.integrate(own, clips.fps)}
        if setting.given:
            roots |= {"given": trajectory.integrate(asked, clips.fps), "swayed": sway(asked, own, clips.fps)}
        for root, (place, facing) in roots.items():
            body = trajectory.to_world(pose, place, facing)
            pairs[f"motion_{root}"] = (body, truth)
            judgements.setdefault(root, []).append(judged(body, bone))
            if root == "swayed" and legs and made.contacts is not None:
                body = lock_feet(body, made.contacts[number], legs, clips.fps)
                judgements.setdefault("locked", []).append(judged(body, bone))
        for kind, (shown, true) in pairs.items():
            for unit, value in errors.joint_errors(shown, true).items():
                kinds.setdefault(kind, {}).setdefault(unit, []).append(value.masked_fill(~scored, torch.nan))
    return Measured(
        setting,
        {kind: {unit: torch.stack(values) for unit, values in units.items()} for kind, units in kinds.items()},
        errors.spread(made.joints).masked_fill(~scored, torch.nan),
        {
            root: {name: torch.stack([one[name] for one in each]).nanmean(0) for name in QUALITY}
            for root, each in judgements.items()
        },
        judged(truth, quality.bone_deviation(joints, joints, clips.parents, scored)),
        scored,
    )
