"""Real people before a wall: does a drawn motion do the action asked for, and is it still the same person?

No truth is known here, and little data is at hand: nine people, four actions, each clip also mirrored. What the figures
can say is little too. Windows of one clip are alike, so intervals are over clips; of two people held out no interval
says anything of a third. A judge that has seen a handful of people may be wrong on another, so its own accuracy on real
clips stands beside every figure that it gives, as ``judge/...``, and should be read first.

The person is read from a picture without the wall, for lamps and camera differ from recording to recording, and a wall
tells who stands before it. Who stands still is part of the temporal median; the wall is therefore known by its colours
at the left and right edge of the clip. What lamps do to the person's own colours is not undone.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from kinema.data.folders import FolderClips
from kinema.errors import ConfigError
from kinema.evaluation.bootstrap import interval_over_clips
from kinema.evaluation.swap import CPU
from kinema.evaluation.trained_judge import JudgeNetwork, TrainedJudge
from kinema.evaluation.windows import Windows, batched, draw_windows, floats, pixels
from kinema.models.base import FactoredModel

SIDE = 32
"""Pixels across what the judges see."""
EVERY = 2
"""They see one frame in so many."""
EDGE = 8
"""The wall is known from this fraction of the width on either side."""
NOISE = 0.02
"""Least deviation of the wall's colours, of 1."""
DISTANCE = 14.0
"""Squared Mahalanobis distance from the wall's colours beyond which a pixel is somebody's: 0.3 % of a Gaussian wall."""
SHIFT = 3
"""Pixels by which training clips are moved, at most."""
GAIN = 0.15
"""Share by which their brightness is changed, at most."""
STEPS, BATCH = 120, 16
"""Of the training of one judge."""
MEMBERS = 5
"""Judges of a committee: of those that learn from bends and one-handed waves one takes a person for another whom the
next one knows, by the draw of its training; three and more together know everybody in real two-handed waves."""
VIEWS = 4
"""Windows of each real clip that are looked at; as many of each clip and action are drawn."""
PERSON_TRAIN, PERSON_AUDIT = ("bend", "wave1"), "wave2"
"""The actions that the judge of persons learns from, and the one that it is audited on."""
ACTION, KEPT_OUT, KEPT_IN = 0.90, 0.70, 0.98
"""Bars."""

Clips = UInt8[Tensor, "B T C H W"]
View = Callable[[Float[Tensor, "B T C H W"]], Float[Tensor, "B T C H W"]]
Lesson = Callable[[torch.Generator], tuple[Float[Tensor, "B T C H W"], Int[Tensor, " B"]]]
"""Draws a batch of what a judge sees, and what it is."""


def passes(results: Mapping[str, float]) -> dict[str, bool]:
    """For each measure of `evaluate_people` that has a bar, whether it is reached; NaN reaches none.

    None counts without the others. Who holds out few people should know that a judge which always says one of these is
    right on that one: it is wrong on all people of training then, whose bar leaves no room for it.
    """
    bars = {"held out/action": ACTION, "held out/kept": KEPT_OUT, "training/kept": KEPT_IN}
    return {name: results[name] >= bar for name, bar in bars.items()}


def evaluate_people(
    model: FactoredModel,
    test: FolderClips,
    train: FolderClips,
    seed: int,
    device: torch.device = CPU,
    steps: int = STEPS,
    learned: Sequence[str] = PERSON_TRAIN,
    audit: str = PERSON_AUDIT,
) -> dict[str, float]:
    """What drawn motions of real people show, for people ``held out`` (`test`) and of ``training`` (`train`) apart.

    ``.../action``: how often the action that was fed in is seen in the content of a real clip, doing each action in
    turn, by judges of movements alone (`movement`) that have learned from the training people. ``.../own action``: how
    often the content clip's own action is seen; chance is 1 / actions. ``.../kept``: how often its person is, of all
    people, by judges of persons without the wall (`without_wall`) that have learned from everybody's clips of the
    actions `learned`. There the content is that of `audit` clips alone, which those judges have never seen: a model
    that pastes the input into its answer gets no credit for their memory, and clothes, which people change between
    recordings, are those that the audit is on. ``.../kept audit``: the same of drawn motions of `audit` alone.

    ``judge/action`` and ``judge/action training``: the first judge's accuracy on real clips of people held out and of
    training. ``judge/person``: the second's on real `audit` clips of all, ``judge/person held out`` and ``judge/person
    training`` of each; ``judge/wall only``: the same judge given the wall alone, and ``judge/wall learned``: one like
    it that has learned from walls, which is how much of a person a wall tells. ``judge/chance person`` is 1 / people.

    Each has its interval over clips (``_low``, ``_high``), the views of one clip as one value, and ``... clips`` counts
    these. Raises ConfigError where an action is unknown or there are no clips of it.
    """
    for name in (*learned, audit):
        if name not in test.actions or name not in train.actions:
            raise ConfigError(f"people: no action is called {name!r}; known: {', '.join(test.actions)}")
    both = (train, test)
    generator = torch.Generator().manual_seed(seed)
    actions = fit_reader([train], "action", train.actions, movement, seed, steps)
    persons = fit_reader(both, "person", test.identities, without_wall, seed, steps, learned)
    walls = fit_reader(both, "person", test.identities, wall_alone, seed, steps, learned)
    shown: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def note(name: str, windows: Windows, right: Tensor) -> None:
        shown.setdefault(name, []).append((windows.clips + 10**6 * (windows.source is test), right.double()))

    for source, who in ((train, "training"), (test, "held out")):
        real = views(source, source.actions, generator)
        read = _read(actions, movement, real.frames())
        note("judge/action" if source is test else "judge/action training", real, read == real.labels("action"))
        unseen = views(source, (audit,), generator)
        person = source.identity.cpu()[unseen.clips]
        for name, judge, view in _person_judges(persons, walls):
            right = _read(judge, view, unseen.frames()) == person
            note(name, unseen, right)
            if name == "judge/person":
                note(f"{name} {who}", unseen, right)
        for content, told in ((real, False), (unseen, True)):
            action = torch.arange(len(content.clips)) % len(source.actions)
            drawn = prior_motion(model, content, action, generator, device)
            if not told:
                read = _read(actions, movement, drawn)
                note(f"{who}/action", content, read == action)
                note(f"{who}/own action", content, read == content.labels("action"))
                continue
            right = _read(persons, without_wall, drawn) == person
            asked = action == source.actions.index(audit)
            note(f"{who}/kept", content, right)
            note(f"{who}/kept audit", Windows(source, content.clips[asked], content.steps[asked]), right[asked])
    results = {}
    for name, parts in shown.items():
        results |= _over_clips(name, *(torch.cat(columns) for columns in zip(*parts, strict=True)), seed=seed)
    return results | {"judge/chance person": 1 / len(test.identities)}


def views(source: FolderClips, actions: Sequence[str], generator: torch.Generator) -> Windows:
    """`VIEWS` random windows for each clip of these actions and each action that can be drawn, in clip order."""
    wanted = torch.tensor([source.actions.index(name) for name in actions])
    clips = torch.isin(source.labels["action"].cpu(), wanted).nonzero()[:, 0]
    if not len(clips):
        raise ConfigError(f"people: the {source.split} split has no clips of {', '.join(actions)}")
    return draw_windows(source, clips.repeat_interleave(VIEWS * len(source.actions)), generator)


@torch.no_grad()
def prior_motion(
    model: FactoredModel, content: Windows, action: Int[Tensor, " B"], generator: torch.Generator, device: torch.device
) -> Clips:
    """The content of the windows doing these actions, with motions that are drawn."""

    def part(frames: Tensor, times: Tensor, action: Tensor) -> Tensor:
        given = floats(frames).to(device), action.to(device), times.to(device)
        return pixels(model.with_prior_motion(*given, generator))

    return batched(part, content.frames(), content.elapsed(), action)


# --- what the judges see ---------------------------------------------------------------------------------------------


def small(frames: Clips) -> Float[Tensor, "B U 3 h w"]:
    """The colours of every `EVERY`-th frame in [0, 1], averaged down to `SIDE` pixels."""
    seen = floats(frames[:, ::EVERY, :3])
    return functional.adaptive_avg_pool2d(seen.flatten(0, 1), SIDE).unflatten(0, seen.shape[:2])


def person_mask(frames: Float[Tensor, "B T C H W"]) -> Bool[Tensor, "B T H W"]:
    """The pixels whose colour is not the wall's: farther than `DISTANCE` from the colours at the clip's left and right
    edge, whose median and covariance over all frames are the wall's."""
    edge = max(1, frames.shape[-1] // EDGE)
    colours = frames.transpose(1, 2)
    wall = torch.cat([colours[..., :edge].flatten(2), colours[..., -edge:].flatten(2)], 2)
    middle = wall.median(2, keepdim=True).values
    apart = wall - middle
    spread = apart @ apart.mT / apart.shape[2] + NOISE**2 * torch.eye(frames.shape[2], device=frames.device)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(spread), colours.flatten(2) - middle, upper=False)
    return (white.square().sum(1) > DISTANCE).unflatten(1, (frames.shape[1], *frames.shape[-2:]))


def without_wall(frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T C H W"]:
    """The people before black."""
    return frames * person_mask(frames)[:, :, None]


def wall_alone(frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T C H W"]:
    """The wall, people black."""
    return frames * ~person_mask(frames)[:, :, None]


def movement(frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B T C H W"]:
    """Where and how much a clip differs from its own median over time: no colours and nothing that stands still. The
    silhouette is added, for bends are slow, as the second channel; the third is what changes from frame to frame."""
    frames = frames.contiguous()  # torch's median is wrong along an axis of stride 0, as of a picture that is repeated
    away = (frames - frames.median(1, keepdim=True).values).abs().mean(2)
    steps = functional.pad(frames.diff(dim=1).abs().mean(2), (0, 0, 0, 0, 1, 0))
    return torch.stack([4 * away, person_mask(frames).to(frames.dtype), 4 * steps], 2).clamp(max=1)


# --- judges ----------------------------------------------------------------------------------------------------------


class Committee:
    """Judges who vote by their log-probabilities."""

    def __init__(self, members: Sequence[JudgeNetwork]) -> None:
        self.members = members

    def logits(self, frames: Float[Tensor, "B T C H W"]) -> Float[Tensor, "B S"]:
        """The mean of the members' log-probabilities of one factor's values."""
        return torch.stack([member.logits(frames).log_softmax(1) for member in self.members]).mean(0)


def fit_reader(
    sources: Sequence[FolderClips],
    factor: str,
    names: tuple[str, ...],
    view: View,
    seed: int,
    steps: int,
    actions: Sequence[str] = (),
) -> Committee:
    """`MEMBERS` judges of ``action`` or ``person`` from windows of the sources' clips, of these actions only where some
    are named; every class and then every clip of it equally often, moved, mirrored, brighter or darker by chance."""
    clips = [_clips(source, actions) for source in sources]
    label = torch.cat(
        [
            (s.labels["action"] if factor == "action" else s.identity).cpu()[c]
            for s, c in zip(sources, clips, strict=True)
        ]
    )
    weight = 1 / label.bincount(minlength=len(names))[label].double()
    owner = torch.cat([torch.full_like(c, number) for number, c in enumerate(clips)])
    every = torch.cat(clips)

    def lesson(generator: torch.Generator) -> tuple[Float[Tensor, "B T C H W"], Int[Tensor, " B"]]:
        chosen = weight.multinomial(BATCH, replacement=True, generator=generator)
        chosen = chosen[owner[chosen].argsort(stable=True)]
        frames = torch.cat(
            [
                draw_windows(source, every[chosen[owner[chosen] == number]], generator).frames()
                for number, source in enumerate(sources)
                if (owner[chosen] == number).any()
            ]
        )
        return view(varied(small(frames), generator)), label[chosen]

    seeds = range(MEMBERS * seed, MEMBERS * (seed + 1))
    return Committee([_fit_member(lesson, factor, names, number, steps) for number in seeds])


def _fit_member(lesson: Lesson, factor: str, names: tuple[str, ...], seed: int, steps: int) -> TrainedJudge:
    """A judge that has had so many lessons."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = TrainedJudge({factor: names}, (SIDE, SIDE)).train()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        seen, truth = lesson(generator)
        loss = functional.cross_entropy(judge(seen)[factor], truth, label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return judge.eval()


def varied(frames: Float[Tensor, "B T C H W"], generator: torch.Generator) -> Float[Tensor, "B T C H W"]:
    """Each clip moved by up to `SHIFT` pixels, mirrored half of the time, and up to `GAIN` brighter or darker."""
    count, side = len(frames), frames.shape[-1]
    padded = functional.pad(frames.flatten(1, 2), (SHIFT,) * 4, mode="replicate")
    down, across = torch.randint(2 * SHIFT + 1, (2, count, 1), generator=generator)
    line = torch.arange(side)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = across + torch.where(mirrored, side - 1 - line, line)
    rows = torch.arange(count)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[rows, (down + line)[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
    gain = 1 + GAIN * (2 * torch.rand(count, 1, 1, 1, 1, generator=generator) - 1)
    return (moved.unflatten(1, frames.shape[1:3]) * gain).clamp(0, 1)


def _person_judges(persons: Committee, walls: Committee) -> list[tuple[str, Committee, View]]:
    return [
        ("judge/person", persons, without_wall),
        ("judge/wall only", persons, wall_alone),
        ("judge/wall learned", walls, wall_alone),
    ]


def _clips(source: FolderClips, actions: Sequence[str]) -> Int[Tensor, " N"]:
    label = source.labels["action"].cpu()
    wanted = torch.tensor([source.actions.index(name) for name in actions or source.actions])
    return torch.isin(label, wanted).nonzero()[:, 0]


@torch.no_grad()
def _read(judge: Committee, view: View, frames: Clips) -> Int[Tensor, " B"]:
    return batched(lambda part: judge.logits(view(small(part))).argmax(1), frames)


def _over_clips(name: str, clips: Int[Tensor, " B"], right: Float[Tensor, " B"], seed: int) -> dict[str, float]:
    """The mean over clips of each clip's own mean, its interval, and how many clips there are."""
    _, which = clips.unique(return_inverse=True)
    each = torch.zeros(int(which.max()) + 1, dtype=torch.float64)
    values = each.scatter_add(0, which, right) / which.bincount().double()
    low, high = interval_over_clips(values, seed)
    mean = {name: values.mean().item(), f"{name}_low": low.item(), f"{name}_high": high.item()}
    return mean | {f"{name} clips": float(len(values))}
