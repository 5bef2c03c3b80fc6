"""What users do with a renderer, in VideoClips: any character, with any movement, on any background or on none.

Clips smaller than the model's canvas lie in its middle, and what is shown is cropped back. A clip with alpha is laid on
one colour, for the model sees opaque pictures.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.clip import VideoClip
from kinema.errors import ClipError
from kinema.files.fit import Box, crop_back, pad_to, resize
from kinema.files.transformation import Movement
from kinema.maths import affine
from kinema.models.renderer import Renderer

Colour = tuple[float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0)
CHUNK = 64
"""Frames that are rendered at a time."""
GRAYS = (32, 64, 96, 160, 192, 224)
"""Plain canvases, 0-255, two of which alpha is solved from. Black and the gray of a bare canvas are none of them."""
APART = 0.1
"""How far apart a model must show two of them, in [0, 1], for alpha to be solved from them."""
NOISE = 1.5 / 255
"""Pixels that differ by less, in [0, 1], are taken for equal."""


def compose(
    model: Renderer,
    character: VideoClip,
    motion: VideoClip | Movement,
    background: VideoClip | None = None,
    *,
    canvas: Colour = BLACK,
    fit: bool = False,
) -> VideoClip:
    """The character of one clip, moved as in another, on the background of a third; the first frame of each is taken.

    The movement is read from the first frame of `motion` to each of its frames, or it is given. The result has the
    frames, times and labels of `motion`, and is as large as the larger of character and background. Without a
    background it has alpha, solved from two renders (`solve_alpha`). `canvas` (RGB in [0, 1]) is what clips with alpha
    are laid on, for the model to see; `fit` resizes clips that do not fit the model.

    Raises ClipError where `motion` is a clip of a single frame, a clip does not fit the model, the movement has other
    parts than the model or another canvas, or alpha cannot be solved because the model shows all grays alike.
    """
    movement = motion if isinstance(motion, Movement) else read_movement_of(model, motion, canvas=canvas, fit=fit)
    if movement.parts not in (1, model.config.parts):
        told = f"{movement.parts} parts; this model moves {model.config.parts}"
        raise ClipError(f"{movement.name}: {told}, and one matrix for all is possible too")
    x, box = _to_model(character[:1], model, canvas, fit)
    theta = movement.fitted(model.domain.size).theta.expand(-1, model.config.parts, -1, -1)
    with torch.inference_mode():
        z = model.encode_character(x)
        if background is None:
            rgb, alpha = _cut_out(model, z, theta)
        else:
            b, other = _to_model(background[:1], model, canvas, fit)
            box = _larger(box, other, model.domain.size)
            rgb, alpha = torch.cat(list(_rendered(model, z, theta, model.encode_background(b)))), None
    clips = [character, background] if background is not None else [character]
    credits = [*clips, motion] if isinstance(motion, VideoClip) else clips
    return VideoClip(
        crop_back(rgb, box).clone(),
        None if alpha is None else crop_back(alpha, box).clone(),
        times=movement.at - movement.at[0],
        end=movement.until - float(movement.at[0]),
        fps=movement.fps,
        labels=movement.labels,
        name=f"{character.name} moved as {movement.name}",
        credits=tuple(dict.fromkeys(line for clip in credits for line in clip.credits)),
    )


def read_movement_of(
    model: Renderer,
    motion: VideoClip,
    reference: VideoClip | None = None,
    *,
    canvas: Colour = BLACK,
    fit: bool = False,
) -> Movement:
    """T_Z from the first frame of `reference` (default: of the clip itself) to each frame of a clip.

    Raises ClipError where the clip is its own reference and has a single frame, or does not fit the model.
    """
    if reference is None and len(motion) < 2:
        raise ClipError(f"{motion.name}: a single frame; a movement needs a clip of at least two, such as FILE@I:J")
    frames, _ = _to_model(motion, model, canvas, fit)
    first = frames[:1] if reference is None else _to_model(reference[:1], model, canvas, fit)[0]
    with torch.inference_mode():
        theta = torch.cat([model.transformation(first, part).double().cpu() for part in frames.split(CHUNK)])
    return Movement(
        theta.clone(), model.domain.size, motion.at, motion.end, motion.fps, motion.labels, name=motion.name
    )


def is_still(clip: VideoClip) -> bool:
    """Whether nothing moves in a clip: no pixel of any frame differs from the first frame's."""
    shown = clip.over()
    return bool((shown - shown[:1]).abs().max() < NOISE)


def middle_of(model: Renderer, character: VideoClip, canvas: Colour = BLACK, fit: bool = False) -> Float[Tensor, "2"]:
    """The middle of a character's opacity in its first frame, in pixels right and down from the canvas's middle.

    The opacity is that of the clip, or the model's where the clip has none. Raises ClipError where nothing is seen.
    """
    first = character[:1]
    if first.alpha is not None:
        fitted, _ = pad_to(resize(first, model.domain.size) if fit else first, model.domain.size)
        alpha = fitted.alpha
        assert alpha is not None  # padding keeps it
    else:
        x, _ = _to_model(first, model, canvas, fit)
        with torch.inference_mode():
            alpha = _cut_out(model, model.encode_character(x), affine.identity(1, model.config.parts))[1]
    weight = alpha[0, 0].double()
    if not float(weight.sum()) > 1:
        raise ClipError(f"{character.name}: no character is seen in it, so it has no middle")
    down, right = ((torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in weight.shape)
    return torch.stack([weight.sum(0) @ right, weight.sum(1) @ down]) / weight.sum()


# --- alpha -----------------------------------------------------------------------------------------------------------


def solve_alpha(
    first: Float[Tensor, "T 3 H W"],
    second: Float[Tensor, "T 3 H W"],
    first_canvas: Float[Tensor, "#T 3 H W"],
    second_canvas: Float[Tensor, "#T 3 H W"],
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """Straight colour and opacity of what is seen on two canvases that are known (Smith and Blinn 1996, triangulation).

    With x = alpha F + (1 - alpha) A on the one and the same with B on the other, 1 - alpha is the least-squares slope
    of x_A - x_B against A - B over the channels, cut to [0, 1]; alpha F is then the mean of what is left of both. The
    colour is 0 where alpha is, and where the canvases agree nothing can be told and the pixel is taken for opaque.
    """
    apart = first_canvas - second_canvas
    through = ((first - second) * apart).sum(1, keepdim=True) / apart.square().sum(1, keepdim=True).clamp_min(1e-6)
    through = through.clamp(0, 1)
    alpha = 1 - through
    ink = ((first - through * first_canvas) + (second - through * second_canvas)) / 2
    colour = torch.where(alpha > 0, ink / alpha.clamp_min(1e-6), torch.zeros_like(ink))
    return colour.clamp(0, 1), alpha


def plain_canvases(model: Renderer) -> tuple[int, int]:
    """The two of `GRAYS` that the model shows furthest apart, after what it shows of them wrongly is taken off.

    Raises ClipError where it shows all alike, as a model does that never saw plain backgrounds or was not trained.
    """
    device = next(model.parameters()).device
    levels = torch.tensor(GRAYS, device=device) / 255
    plain = levels.view(-1, 1, 1, 1).expand(-1, 3, *model.domain.size)
    with torch.inference_mode():
        shown = model.solo_background(plain)
    wrong = (shown - plain).abs().mean((1, 2, 3))
    apart = (shown[:, None] - shown[None]).abs().mean((2, 3, 4))
    best = int((apart - wrong[:, None] - wrong[None] + torch.ones_like(apart).tril() * -9).argmax())
    i, j = divmod(best, len(GRAYS))
    if not float(apart[i, j]) >= APART:
        told = "this model shows plain backgrounds too much alike"
        raise ClipError(f"background none: {told} to solve alpha; give --background FILE@I, or train it longer")
    return GRAYS[i], GRAYS[j]


def _cut_out(
    model: Renderer, z: Float[Tensor, "1 K C h w"], theta: Float[Tensor, "T K 2 3"]
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """A character alone, solved against what the model itself shows of two plain canvases, whatever their true gray."""
    grays = torch.tensor(plain_canvases(model), device=z.device) / 255
    plain = grays.view(2, 1, 1, 1).expand(-1, 3, *model.domain.size)
    shown, features = model.solo_background(plain).float().cpu(), model.encode_background(plain)
    on = [_rendered(model, z, theta, part) for part in features.split(1)]
    solved = [solve_alpha(a, b, shown[:1], shown[1:]) for a, b in zip(*on, strict=True)]
    colours, alphas = zip(*solved, strict=True)
    return torch.cat(colours), torch.cat(alphas)


# --- frames ----------------------------------------------------------------------------------------------------------


def _rendered(
    model: Renderer,
    z: Float[Tensor, "1 K C h w"],
    theta: Float[Tensor, "T K 2 3"],
    background: Float[Tensor, "1 c h w"],
) -> Iterator[Float[Tensor, "t 3 H W"]]:
    """The frames of a moved character on one background, some at a time."""
    for part in theta.to(z.device, torch.float32).split(CHUNK):
        moved = model.move(z.expand(len(part), -1, -1, -1, -1), part)
        yield model.render(moved, background.expand(len(part), -1, -1, -1)).float().cpu().clamp(0, 1)


def _to_model(clip: VideoClip, model: Renderer, canvas: Colour, fit: bool) -> tuple[Float[Tensor, "T 3 H W"], Box]:
    """The frames of a clip as the model takes them, and where the clip lies in them."""
    clip, box = pad_to(resize(clip, model.domain.size) if fit else clip, model.domain.size)
    return clip.over(canvas).to(next(model.parameters()).device), box


def _larger(a: Box, b: Box, size: tuple[int, int]) -> Box:
    """The box of a picture that holds both, each in the middle of `size`."""
    height, width = max(a.height, b.height), max(a.width, b.width)
    return Box((size[0] - height) // 2, (size[1] - width) // 2, height, width)
