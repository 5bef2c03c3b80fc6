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
from kinema.errors import ClipError
from kinema.files.fit import Box, crop_back, pad_to, resize
from kinema.models.base import Domain
from kinema.models.halo import Halo


def swap(
    model: Halo,
    content: VideoClip,
    motion: VideoClip,
    action: str | None = None,
    frames: int | None = None,
    reinfer: int | None = None,
    fit: bool = False,
) -> VideoClip:
    """The content of one clip with the motion of the other.

    The content (appearance, and for sprites the direction) is read from all frames of `content`. The motion is one
    state of `motion`, unrolled by its action's operator: for every `reinfer` frames (default: the length of a training
    window; 0: once for the whole clip) the state is read anew at the middle frame of that stretch and flows both ways
    from it. The result has `frames` frames (default: as many as `motion`) at the times of `motion`; frames beyond its
    end follow the flow of the last stretch. The action is read from `motion` unless it is named.

    Raises ClipError where `motion` has a single frame or a clip does not fit the model and `fit` (resizing) is off.
    """
    if len(motion) < 2:
        raise ClipError(f"{motion.name}: a single frame; motion needs a clip of at least two frames")
    domain = model.domain
    a, box = to_model(content, domain, fit)
    b, _ = to_model(motion, domain, fit)
    with torch.inference_mode():
        index = recognise(model, b) if action is None else action_index(model, action)
        z = model.content(_encode(model, a)).mean
        times, end = _extended(motion, len(motion) if frames is None else frames)
        states = _unrolled(model, b, motion.at, times, index, domain.length if reinfer is None else reinfer)
        shown = _decode(model, z, states)
    clip = from_model(shown, content, box, domain)
    return replace(
        clip,
        times=times - times[0],
        end=end - float(times[0]),
        fps=motion.fps,
        name=f"{content.name} with the motion of {motion.name}",
        labels={**content.labels, "action": domain.actions[int(index)]},
        credits=_merged(content.credits, motion.credits),
    )


def animate(
    model: Halo,
    image: VideoClip,
    action: str,
    times: Sequence[float] | Float[Tensor, " T"],
    fit: bool = False,
) -> VideoClip:
    """One picture doing an action at any real times, in frames; the picture itself is what happens at time 0.

    Raises ClipError for a clip of several frames, an unknown action, or a picture that does not fit the model.
    """
    if len(image) != 1:
        raise ClipError(f"{image.name}: {len(image)} frames where one picture is needed; choose one with FILE@I")
    x, box = to_model(image, model.domain, fit)
    at = torch.as_tensor(times, dtype=torch.float64).cpu()
    device = device_of(model)
    with torch.inference_mode():
        shown = model.animate_images(x[:, 0].to(device), action_index(model, action), at[None].to(device))[0]
    clip = from_model(shown, image, box, model.domain)
    gaps = at.diff().abs()
    step = float(gaps.median()) if len(at) > 1 and float(gaps.median()) > 0 else 1.0
    # Played in the order asked for: a reversed or repeated time still comes one step after the one before it.
    played = torch.cat([torch.zeros(1, dtype=torch.float64), (gaps / step).clamp(min=1e-3).cumsum(0)])
    return replace(
        clip,
        times=played,
        end=None,
        fps=model.domain.fps,
        name=f"{image.name} doing {action}",
        labels={**image.labels, "action": action},
        credits=image.credits,
    )


def sample(model: Halo, actions: Sequence[str], frames: int, seed: int) -> list[VideoClip]:
    """New clips, one for each of `actions`: the content drawn from N(0, I), the motion's first state from its prior."""
    generator = torch.Generator().manual_seed(seed)
    index, device = torch.cat([action_index(model, name) for name in actions]), device_of(model)
    prior = model.prior.at_start()
    z = torch.randn(len(actions), model.config.content, generator=generator).to(device)
    noise = torch.randn(len(actions), *prior.mean.shape, generator=generator).to(device)
    times = torch.arange(frames, dtype=torch.float64, device=device)
    with torch.inference_mode():
        state = prior.mean.to(device) + (0.5 * prior.logvar).exp().to(device) * noise
        shown = model.decode(z, model.flow(state * model.moving(index)[..., None], times))
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


def action_index(model: Halo, action: str) -> Int[Tensor, "1"]:
    """The index of an action's name, on the model's device; ClipError lists the known ones."""
    known = model.domain.actions
    if action not in known:
        raise ClipError(f"action {action!r} is unknown to this run; it knows {', '.join(known)}")
    return torch.tensor([known.index(action)], device=device_of(model))


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


def _extended(motion: VideoClip, frames: int) -> tuple[Float[Tensor, " T"], float]:
    """The first `frames` times of a clip, beyond its end one frame after another; and when the last of them ends."""
    beyond = torch.arange(max(0, frames - len(motion)) + 1, dtype=torch.float64)
    edges = torch.cat([motion.at, motion.at[:1] + motion.duration + beyond])
    return edges[:frames], float(edges[frames])


def _unrolled(
    model: Halo, x: Tensor, at: Tensor, times: Float[Tensor, " T"], action: Int[Tensor, "1"], reinfer: int
) -> Float[Tensor, "1 T K n"]:
    """The states at `times`: each stretch of `reinfer` frames flows from the state of its middle frame."""
    h = _encode(model, x)
    count, wanted = h.shape[1], len(times)
    stretch = reinfer if 0 < reinfer < count else count
    # A remainder shorter than half a stretch joins the one before it.
    stretches = max(1, round(count / stretch))
    edges = [i * stretch for i in range(stretches)] + [max(wanted, count)]
    parts = []
    for first, after in pairwise(edges):
        middle = (first + min(after, count)) // 2
        elapsed = times[first : min(after, wanted)] - at[middle]
        parts.append(model.flow(model.mean_state(h, middle, action), elapsed[None].to(h.device)))
    return torch.cat(parts, dim=1)


def _merged(*credits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for group in credits for line in group))
