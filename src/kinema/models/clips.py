"""What users do with a HALO, in VideoClips: swap motions, animate a picture, sample.

A clip of another size than the model's is padded to it and the result cropped back. One frame of a clip is one unit of
the model's time, whatever its rate in seconds; times between frames are as good as any.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.clip import VideoClip
from kinema.errors import ClipError, ConfigError
from kinema.files.fit import Box, crop_back, pad_to, resize
from kinema.files.guard import MAX_PIXELS
from kinema.models.base import Domain
from kinema.models.blocks import action_index, check_block, composed_state, doing, held
from kinema.models.halo import Halo
from kinema.models.tempo import Playback

AS_IT_IS = Playback()


def swap(
    model: Halo,
    content: VideoClip,
    motion: VideoClip,
    action: str | None = None,
    frames: int | None = None,
    reinfer: int | None = None,
    fit: bool = False,
    block: int | None = None,
    playback: Playback = AS_IT_IS,
) -> VideoClip:
    """The content of one clip with the motion of the other.

    The content (appearance, and for sprites the direction) is read from all frames of `content`. The motion is one
    state of `motion`, unrolled by its action's operator: for every `reinfer` frames (default: the length of a training
    window; 0: once for the whole clip) the state is read anew at the middle frame of that stretch, or at all of its
    frames with `model.state_everywhere`, and flows both ways from it. The result has `frames` frames (default: as many
    as `motion`) at the times of `motion`; frames beyond its end follow the flow of the last stretch. The action is read
    from `motion` unless it is named.

    `playback` chooses other times and takes each from the stretch it lies in; to close a loop, the state is read once
    and the frequencies are snapped. With `block` only that operator moves, and the others keep their first state; in a
    conditional model that operator is an action and names it.

    Raises ClipError where `motion` has a single frame or a clip does not fit the model and `fit` (resizing) is off,
    ConfigError for choices that do not go together.
    """
    if len(motion) < 2:
        raise ClipError(f"{motion.name}: a single frame; motion needs a clip of at least two frames")
    domain = model.domain
    if playback.loop is not None:
        if reinfer:
            raise ConfigError("--reinfer: a loop closes one motion, whose state is read once; leave it out with --loop")
        model, reinfer = model.snapped(playback.loop), 0
    if block is not None:
        check_block(model, block)
        action = next(iter(doing(model, action, block))) if model.config.one_moves else action
    a, box = to_model(content, domain, fit)
    b, _ = to_model(motion, domain, fit)
    line = playback.of_clip(motion, frames)
    _check_size(motion, len(line.at), domain)
    with torch.inference_mode():
        index = recognise(model, b) if action is None else action_index(model, action)
        z = model.content(_encode(model, a)).mean
        states = _unrolled(model, b, motion.at, line.at, index, domain.length if reinfer is None else reinfer, block)
        shown = _decode(model, z, states)
    clip = from_model(shown, content, box, domain)
    return replace(
        clip,
        times=line.shown,
        end=line.end,
        fps=line.fps,
        name=f"{content.name} with the motion of {motion.name}",
        labels={**content.labels, "action": domain.actions[int(index)]},
        credits=_merged(content.credits, motion.credits),
    )


def animate(
    model: Halo,
    image: VideoClip,
    action: str | None,
    times: Sequence[float] | Float[Tensor, " T"],
    fit: bool = False,
    block: int | None = None,
    fps: float | None = None,
) -> VideoClip:
    """One picture doing an action at any real times, in frames; the picture itself is what happens at time 0.

    Several actions of a conditional model at once are ``walk+slash`` or, with weights, ``walk*0.7+slash*0.3``: each
    operator moves in its own subspace, and the decoder sees all. With `block` only that operator moves and the others
    keep the state of the picture; in a conditional model that operator is an action, and `action` may be None. The
    result is played at `fps` frames a second (default: as the training clips). For a loop give `model.snapped(period)`.

    Raises ClipError for a clip of several frames, an unknown action, or a picture that does not fit the model,
    ConfigError for actions or a block that the model has not.
    """
    if len(image) != 1:
        raise ClipError(f"{image.name}: {len(image)} frames where one picture is needed; choose one with FILE@I")
    weights = doing(model, action, block)
    x, box = to_model(image, model.domain, fit)
    at = torch.as_tensor(times, dtype=torch.float64).cpu()
    _check_size(image, len(at), model.domain)
    with torch.inference_mode():
        h = _encode(model, x)
        state = composed_state(model, h, weights)
        states = held(model.flow(state, at[None].to(state.device)), state, block)
        shown = _decode(model, model.content(h).mean, states)
    clip = from_model(shown, image, box, model.domain)
    gaps = at.diff().abs()
    step = float(gaps.median()) if len(at) > 1 and float(gaps.median()) > 0 else 1.0
    # Played in the order asked for: a reversed or repeated time still comes one step after the one before it.
    played = torch.cat([torch.zeros(1, dtype=torch.float64), (gaps / step).clamp(min=1e-3).cumsum(0).round(decimals=9)])
    label = action or "+".join(weights)
    return replace(
        clip,
        times=played,
        end=None,
        fps=fps or model.domain.fps,
        name=f"{image.name} doing {label}" if label else f"{image.name} moving",
        labels={**image.labels, "action": label} if label else image.labels,
        credits=image.credits,
    )


def sample(model: Halo, actions: Sequence[str], frames: int, seed: int) -> list[VideoClip]:
    """New clips, one for each of `actions`: content and first state drawn from what the model holds likely."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.cat([action_index(model, name) for name in actions])
    times = torch.arange(frames, dtype=torch.float64, device=device_of(model))
    with torch.inference_mode():
        z = model.draw_content(len(actions), generator)
        shown = model.decode(z, model.flow(model.draw_state(index, generator), times))
    nothing = torch.zeros(1, 3, *model.domain.size)
    blank = VideoClip(nothing, nothing[:, :1], name="sample", fps=model.domain.fps)
    return [
        replace(from_model(shown[i], blank, None, model.domain), name=f"sample {i}", labels={"action": name})
        for i, name in enumerate(actions)
    ]


def recognise(model: Halo, x: Float[Tensor, "1 T C H W"]) -> Int[Tensor, "1"]:
    """The action that the model sees in a clip."""
    return model.action_head(_encode(model, x)).argmax(1)


def device_of(model: Halo) -> torch.device:
    return next(model.parameters()).device


def to_model(clip: VideoClip, domain: Domain, fit: bool) -> tuple[Float[Tensor, "1 T C H W"], Box]:
    """The frames of a clip as the model takes them, and where the clip lies in them."""
    clip, box = pad_to(resize(clip, domain.size) if fit else clip, domain.size)
    if domain.channels == 3:
        return clip.over()[None], box
    alpha = torch.ones(len(clip), 1, *domain.size) if clip.alpha is None else clip.alpha
    return torch.cat([clip.rgb() * alpha, alpha], dim=1)[None], box


def from_model(frames: Float[Tensor, "T C H W"], like: VideoClip, box: Box | None, domain: Domain) -> VideoClip:
    """A clip of the model's frames, cropped to `box` where there is one.

    It has alpha where the model has it and the clip `like` too; otherwise it stays over black, as the model made it.
    """
    frames = (frames if box is None else crop_back(frames, box)).float().cpu().clamp(0, 1)
    alpha = frames[:, 3:] if domain.channels == 4 and like.alpha is not None else None
    frames = frames[:, :3] if alpha is None else (frames[:, :3] / alpha.clamp(min=1 / 255)).clamp(0, 1)
    return VideoClip(frames, alpha, fps=like.fps, name=like.name, labels=like.labels, credits=like.credits)


def _encode(model: Halo, x: Float[Tensor, "1 T C H W"], chunk: int = 256) -> Float[Tensor, "1 T h"]:
    """Features of a clip of any length, some frames at a time."""
    device = device_of(model)
    return torch.cat([model.encode(part.to(device)) for part in x.split(chunk, dim=1)], dim=1)


def _decode(model: Halo, z: Tensor, states: Float[Tensor, "1 T K n"], chunk: int = 256) -> Float[Tensor, "T C H W"]:
    return torch.cat([model.decode(z, part)[0].cpu() for part in states.split(chunk, dim=1)])


def _check_size(clip: VideoClip, frames: int, domain: Domain) -> None:
    """Raises ClipError for a result that would need more memory than any clip may."""
    height, width = domain.size
    if frames * height * width > MAX_PIXELS:
        most = MAX_PIXELS // (height * width)
        raise ClipError(
            f"{clip.name}: a result of {frames} frames is too long; {most} are possible at {width} x {height}"
        )


def _unrolled(
    model: Halo,
    x: Tensor,
    at: Float[Tensor, " N"],
    times: Float[Tensor, " T"],
    action: Int[Tensor, "1"],
    reinfer: int,
    block: int | None,
) -> Float[Tensor, "1 T K n"]:
    """The states at `times`, of a clip with frames at `at`: each stretch of `reinfer` frames flows from one state.

    A time belongs to the stretch it lies in; before the clip to the first, after it to the last.
    """
    h = _encode(model, x)
    count = h.shape[1]
    stretch = reinfer if 0 < reinfer < count else count
    # A remainder shorter than half a stretch joins the one before it.
    edges = [i * stretch for i in range(max(1, round(count / stretch)))] + [count]
    which = torch.bucketize(times, at[edges[1:-1]].contiguous(), right=True)
    states, still = torch.empty(0), torch.empty(0)
    for number, (first, after) in enumerate(pairwise(edges)):
        rows = which == number
        anchor = model.anchor(first, after)
        state = model.state_read(h, at[None].to(h.device), anchor, action, (first, after))
        if number == 0:
            states = state.new_empty(1, len(times), *state.shape[1:])
            still = model.flow(state, (at[:1] - at[anchor])[None].to(h.device))[:, 0]
        if bool(rows.any()):
            states[:, rows] = model.flow(state, (times[rows] - at[anchor])[None].to(h.device))
    return held(states, still, block)


def _merged(*credits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for group in credits for line in group))
