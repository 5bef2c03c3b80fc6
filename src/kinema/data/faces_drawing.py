"""The features of drawn faces: where each lies follows from a look and from the activity of facial muscles.

Most shapes lie between two curves y(x), which are made once for a column; what only depends on who is seen is drawn
once for a clip. Units and muscles are those of `kinema.data.faces_canvas`.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from kinema.data.faces_canvas import STYLES, Face, Look, dark, ellipse, light

BACK = ((0.36, 0.44, 0.56), (0.24, 0.30, 0.42))
"""Colours of the background, above and below."""
EYE, BROW, NOSE, MOUTH = 0.02, -0.19, 0.29, 0.53
"""How far down the eyes, the brows, the tip of the nose and the mouth are at rest."""
AT_ONCE = 2**18
"""Pixels drawn at once: what fits into a processor's cache."""
WHITE, DARK, TEETH, GUMS, TONGUE = (
    (0.95, 0.95, 0.93), (0.13, 0.08, 0.08), (0.96, 0.95, 0.90), (0.28, 0.07, 0.08), (0.72, 0.30, 0.32)
)  # fmt: skip


def draw(look: Look, units: Float[Tensor, "B T A"], size: int) -> UInt8[Tensor, "B T 3 H W"]:
    """The people `look` with muscles `units` (in the order of `UNITS`) at T moments each."""
    shown = torch.empty(*units.shape[:2], 3, size, size, dtype=torch.uint8, device=units.device)
    clips = max(1, AT_ONCE // (size * size * max(1, units.shape[1])))
    for start in range(0, len(units), clips):
        rows = slice(start, start + clips)
        shown[rows] = _draw(look.pick(rows), units[rows].float(), size)
    return shown


def _draw(look: Look, units: Float[Tensor, "B T A"], size: int) -> UInt8[Tensor, "B T 3 H W"]:
    face = Face(look, units, size)
    back(face)
    head(face)
    for part in (cheeks, beard, nose, wrinkles, eyes, brows, mouth, fringe):
        part(face)
    return face.canvas.mul_(255).round_().to(torch.uint8)


def back(face: Face) -> None:
    """Background, hair behind the head, shirt, neck and ears; then a canvas for every moment."""
    moments = face[1].shape[1]
    top, low = (torch.tensor(colour, device=face.x.device).view(3, 1, 1) for colour in BACK)
    sky = torch.lerp(top, low, (face.y + 1) / 2).expand(3, face.size, face.size)
    face.canvas = sky.expand(len(face.hair), 1, -1, -1, -1).clone()
    shade = dark(face.hair, 0.25)
    face.paint(face.soft(hair_behind(face), 1.5), shade)
    x, y, half = face.x, face.y, face.of("head")
    face.paint(face.soft(torch.minimum(0.34 - face.far + 0.12 * (y - 0.9), y - 0.4)), dark(face.skin, 0.25))
    face.paint(face.soft(ellipse(x, y - 1.32, 1.05, 0.42)), face.look.shirt)
    face.paint(face.soft(ellipse(face.far - half, y - 0.08, 0.10, 0.17)), dark(face.skin, 0.08))
    face.paint(face.soft(ellipse(face.far - half - 0.01, y - 0.08, 0.05, 0.10)), dark(face.skin, 0.28))
    face.canvas = face.canvas.expand(-1, moments, -1, -1, -1).contiguous()


def hair_behind(face: Face) -> Float[Tensor, "B 1 H W"]:
    """How far inside the hair behind the head, by style."""
    x, y, far, half, crown = face.x, face.y - 0.1, face.far, face.of("head"), face.of("head", 1)
    cap = ellipse(x, y, half + 0.09, crown + 0.11)
    angle = torch.atan2(y + 0.15, x)
    shapes = {
        "short": torch.minimum(cap, 0.05 - y),
        "bob": torch.minimum(ellipse(x, y - 0.12, half + 0.19, crown + 0.23), 0.40 - y - 0.25 * x.square()),
        "long": torch.maximum(cap, torch.minimum(half + 0.10 + 0.12 * (y + 0.1) - far, y + 0.1)),
        "curly": torch.minimum(
            ellipse(x, y + 0.10, half + 0.25, crown + 0.16) + 0.025 * torch.cos(14 * angle), 0.45 - y
        ),
        "bun": torch.maximum(torch.minimum(cap, -y), ellipse(x, y + crown + 0.12, 0.25, 0.19)),
    }
    return chosen(face.look.style, [shapes[name] for name in STYLES])


def hairline(face: Face) -> Float[Tensor, "B 1 H W"]:
    """How far inside the hair before the forehead and the temples, by style."""
    x, y, far, half = face.x, face.y, face.far, face.of("head")
    temples = (far - half + 0.20).clamp(0, 0.32)
    shapes = {
        "short": -0.44 + 1.4 * temples - 0.10 * x - y,
        "bob": torch.maximum(-0.36 - y + 0.06 * x.square(), torch.minimum(far - half + 0.07, 0.46 - y)),
        "long": torch.maximum(-0.62 + 0.72 * far - y, torch.minimum(far - half + 0.07, 0.95 - y)),
        "curly": -0.42 + 1.25 * temples + 0.03 * torch.cos(22 * x) - y,
        "bun": -0.52 + 0.45 * x.square() + 0.5 * temples - y,
    }
    return chosen(face.look.style, [shapes[name] for name in STYLES])


def chosen(which: Int[Tensor, " B"], shapes: list[Tensor]) -> Float[Tensor, "B 1 H W"]:
    """Of every shape's people those whose number it is."""
    height, width = shapes[0].shape[-2:]
    every = torch.stack([shape.expand(len(which), 1, height, width) for shape in shapes])
    return every[which, torch.arange(len(which), device=which.device)]


def outline(face: Face) -> Float[Tensor, "B T H W"]:
    """1 on the head's outline, less inside: a superellipse that is longer below as the jaw drops."""
    y = face.y - 0.1
    down = face.of("head", 2) * (1 + 0.13 * face[26] + 0.02 * face[25] - 0.02 * face[17])
    below = (y / down).clamp(min=0)
    above = (-y / face.of("head", 1)).clamp(min=0)
    across = face.far / (face.of("head") * (1 - face.of("narrow") * below.square()))
    power = face.of("head", 3)
    return (across.pow(power) + (below + above).pow(power)).pow(1 / power)


def head(face: Face) -> None:
    """The head with shaded sides; keeps its outline for the beard and the fringe."""
    face.rim = outline(face)
    inside = (1 - face.rim) * 0.68
    face.paint(face.soft(inside), dark(face.skin, 0.16))
    face.paint(face.soft(inside - 0.09, 0.1 * face.size), face.skin)


def cheeks(face: Face) -> None:
    rows, y = face.rows(0.05, 0.55)
    lift = 0.06 * face[6]
    near = ellipse(face.far - 0.36, y - 0.30 + lift, 0.17, 0.13)
    rosy = face.skin * torch.tensor([1.0, 0.80, 0.80], device=face.skin.device)
    face.paint((near * 9).clamp(0, 1) * (0.28 + 0.35 * face[6]), rosy, rows)


def beard(face: Face) -> None:
    """A moustache, or a full beard along the jaw; none for most."""
    middle, half, corner = lips_middle(face), face.of("mouth") * 1.12, corners(face)
    rows, y = face.rows(0.0, 1.0)
    s = (face.x / half).square()
    lift = middle - 0.16 + 0.06 * s + corner * s * 0.6 - 0.03 * face[10]
    hairy = face.soft(torch.minimum(y - lift, middle + corner * s - y)) * face.soft(half * 1.15 - face.far, 2.0)
    jaw = face.soft(
        torch.minimum(y - 0.36 - 0.5 * (0.62 - face.far).clamp(min=0), 0.5 * (1 - face.rim[:, :, rows])), 2.0
    )
    full = torch.maximum(jaw, hairy)
    kind = face.of("beard")
    face.paint(0.92 * torch.where(kind == 2, full, hairy) * (kind > 0), dark(face.hair, 0.10), rows)


def nose(face: Face) -> None:
    half = face.of("nose") * (1 + 0.18 * face[9] + 0.08 * face[12])
    tip = NOSE + face.of("nose", 1) - 0.05 * face[9] - 0.015 * face[10]
    rows, y = face.rows(-0.10, 0.45)
    shadow = dark(face.skin, 0.28)
    bridge = ellipse(face.x - 0.07, y - tip + 0.20, 0.05, 0.22)
    face.paint(face.soft(bridge, 3.0) * 0.35, shadow, rows)
    face.paint((ellipse(face.x + 0.01, y - tip + 0.05, 0.06, 0.09) * 14).clamp(0, 1) * 0.5, light(face.skin), rows)
    s = face.far / half
    under = tip + 0.035 - 0.055 * s.square()
    face.paint(face.line(y, under, 0.030, (1.15 - s) * 5), dark(face.skin, 0.36), rows)
    holes = ellipse(face.far - 0.52 * half, y - tip - 0.018, 0.034, 0.020)
    face.paint(face.soft(holes) * 0.85, dark(face.skin, 0.62), rows)


def wrinkles(face: Face) -> None:
    """Lines of the forehead, between the brows, on the nose, beside the nose and under the eyes."""
    shade = dark(face.skin, 0.42)
    rows, y = face.rows(-0.48, -0.10)
    strength = 0.75 * face[1] * (0.35 + 0.65 * face[2])
    for height in (-0.40, -0.345):
        curve = height - 0.04 * face[1] + 0.06 * face.x.square()
        face.paint(face.line(y, curve, 0.018, (0.30 - face.far) * 8) * strength, shade, rows)
    rows, y = face.rows(-0.30, 0.0)
    tall = ((0.09 - (y + 0.15).abs()) * 30).clamp(0, 1)
    frown = face.soft(0.010 - (face.far - 0.045 - 0.1 * (y + 0.16).square()).abs()) * tall
    face.paint(frown * 0.8 * face[4], shade, rows)
    rows, y = face.rows(-0.08, 0.20)
    for height in (0.0, 0.07):
        curve = height - 0.35 * face.far
        face.paint(face.line(y, curve, 0.02, (0.11 - face.far) * 18) * 0.9 * face[9], shade, rows)
    rows, y = face.rows(0.10, 0.72)
    strength = (0.6 * face[12] + 0.75 * face[9] + 0.45 * face[10] + 0.25 * face[15]).clamp(max=0.85)
    low = MOUTH + corners(face)
    s = ((y - 0.22) / (low - 0.22)).clamp(0, 1)
    place = torch.lerp(face.of("nose") + 0.05, mouth_half(face) + 0.09, s) + 0.05 * s * (1 - s) * 4 * face[12]
    fold = face.soft(0.013 - (face.far - place).abs()) * (((y - 0.22) * 12).clamp(0, 1) * ((low - y) * 12).clamp(0, 1))
    face.paint(fold * strength, shade, rows)
    rows, y = face.rows(0.02, 0.22)
    u = (face.far - face.of("eyes")) / face.of("eyes", 1)
    pouch = EYE + 0.125 - 0.03 * face[6] - 0.06 * u.square()
    strength = 0.75 * torch.maximum(face[6], 0.6 * face[7])
    face.paint(face.line(y, pouch, 0.018, (1 - u.abs()) * 4) * strength, shade, rows)


def eyes(face: Face) -> None:
    rows, y = face.rows(-0.20, 0.22)
    half = face.of("eyes", 1)
    u = (face.far - face.of("eyes")) / half  # -1 at the inner corner, 1 at the outer one
    wide = face.of("eyes", 2)
    upper = 0.092 * wide * (1 + 0.55 * face[5] - 0.22 * face[6] - 0.20 * face[7] - 0.30 * face[9] - 0.62 * face[43])
    lower = 0.062 * wide * (1 + 0.20 * face[5] - 0.65 * face[6] - 0.42 * face[7] - 0.35 * face[9])
    slant = 0.045 * face[4] * (1 - face[1]) - 0.030 * face[1] * (1 - face[2])
    bow = (1 - u.square()).clamp(min=0)
    lid = EYE - upper * bow - slant * u * bow.sqrt()
    floor = EYE + lower * bow
    there = (1 - u.abs()) * (half / face.pixel) + 0.5
    ball = face.soft(torch.minimum(y - lid, floor - y)) * there.clamp(0, 1)
    face.paint(ball, WHITE, rows)
    centre = face.far - face.of("eyes")
    radius = ((centre).square() + (y - EYE + 0.012).square()).sqrt()
    face.paint(face.soft(0.086 - radius) * ball, dark(face.look.iris, 0.35), rows)
    face.paint(face.soft(0.072 - radius) * ball, face.look.iris, rows)
    face.paint(face.soft(0.038 - radius) * ball, DARK, rows)
    glint = ((face.x - face.side * face.of("eyes") + 0.030).square() + (y - EYE + 0.045).square()).sqrt()
    face.paint(face.soft(0.020 - glint) * ball, (1.0, 1.0, 1.0), rows)
    face.paint(face.line(y, lid - 0.008, 0.038, (1.12 - u.abs()) * 6), DARK, rows)
    face.paint(face.line(y, floor + 0.006, 0.016, (1.0 - u.abs()) * 5) * 0.6, dark(face.skin, 0.5), rows)
    crease = lid - 0.052 + 0.02 * face[5]
    face.paint(face.line(y, crease, 0.016, (1 - u.abs()) * 4) * 0.5, dark(face.skin, 0.4), rows)


def brows(face: Face) -> None:
    rows, y = face.rows(-0.46, 0.02)
    gain = 1 + face.of("skew") * face.side
    inner = BROW + gain * (-0.115 * face[1] + 0.105 * face[4] * (1 - 0.8 * face[1]) + 0.045 * face[9])
    outer = BROW + 0.02 + gain * (-0.125 * face[2] + 0.02 * face[4] + 0.045 * face[1] * (1 - face[2]))
    start = face.of("eyes") - 0.17 - 0.035 * face[4]
    s = (face.far - start) / 0.36
    arch = face.of("brow", 1) * (1 - 0.7 * face[4]) + 0.03 * face[2]
    inside = s.clamp(0, 1)
    curve = torch.lerp(inner, outer, inside) - 4 * arch * inside * (1 - inside)
    thick = face.of("brow") * (1 - 0.55 * inside)
    ends = torch.minimum(s, 1 - s) * (0.36 / face.pixel) + 0.5
    face.paint(0.95 * face.line(y, curve, thick, ends), dark(face.hair, 0.30), rows)


def lips_middle(face: Face) -> Tensor:
    """How far down the mouth's middle is."""
    return MOUTH - 0.01 * face[12] - 0.035 * face[10] - 0.025 * face[17] + 0.01 * face[26]


def corners(face: Face) -> Tensor:
    """How far the corners of the mouth are below its middle, on either side."""
    gain = 1 + face.of("skew", 1) * face.side
    return gain * (-0.135 * face[12] + 0.115 * face[15] + 0.045 * face[20] * (1 - face[12]))


def mouth_half(face: Face) -> Tensor:
    """Half the mouth's width."""
    round_ = face[26] * (1 - face[20])
    wider = 0.38 * face[12] + 0.34 * face[20] + 0.05 * face[15] - 0.28 * face[23] - 0.24 * round_
    return face.of("mouth") * (1 + wider)


def mouth(face: Face) -> None:
    """Lips about an opening in which teeth and tongue show."""
    rows, y = face.rows(0.25, 0.98)
    half, middle = mouth_half(face), lips_middle(face)
    s = face.x / half
    bow = (1 - s.square()).clamp(min=0)
    curve = middle + corners(face) * s.square()
    smile = face[12] * face[25]
    up = (0.014 * face[25] + 0.05 * face[10] * face[25] + 0.055 * face[26]) * bow
    down = (0.045 * face[25] + 0.07 * smile + 0.17 * face[26] * (1 - 0.45 * face[20])) * bow
    thick = face.of("mouth", 1) * (1 - 0.62 * face[23] - 0.25 * face[12] - 0.2 * face[20]) * bow.pow(0.75)
    raised = 0.035 * face[10] * (1 - (2 * s.abs() - 0.9).square()).clamp(min=0)
    notch = 0.18 * thick * (1 - 6 * s.abs()).clamp(min=0)
    top = curve - up - 0.85 * thick - raised + notch
    low = curve + down + 1.05 * thick
    there = ((1.02 - s.abs()) * (half / face.pixel) + 0.5).clamp(0, 1)
    rosy = lip_colour(face.skin)
    face.paint(face.soft(torch.minimum(y - top, curve - up - y)) * there, dark(rosy, 0.14), rows)
    face.paint(face.soft(torch.minimum(y - curve - down, low - y)) * there, rosy, rows)
    inner, outer = curve - up, curve + down
    hole = face.soft(torch.minimum(y - inner, outer - y)) * there
    face.paint(hole, GUMS, rows)
    tongue = ellipse(face.x, y - outer - 0.02, 0.62 * half, 0.10)
    face.paint(face.soft(tongue) * hole * (face[26] * 8).clamp(max=1), TONGUE, rows)
    bared = 0.3 + 0.7 * torch.maximum(face[12], torch.maximum(face[20], face[10]))
    teeth = face.soft(inner + 0.075 * bow.sqrt() - y) * bared
    face.paint(teeth * hole, TEETH, rows)
    clench = face.soft(y - outer + 0.05) * face[20]
    face.paint(clench * hole, TEETH, rows)
    seam = (1 - 4 * (up + down) / face.pixel / 8).clamp(0, 1)
    face.paint(face.line(y, curve, 0.026, (1.04 - s.abs()) * 8) * (0.25 + 0.75 * seam), dark(rosy, 0.62), rows)
    chin = face.line(y, low + 0.075 + 0.25 * face.x.square(), 0.03, (0.16 - face.far) * 12)
    face.paint(chin * (0.15 + 0.6 * face[17]), dark(face.skin, 0.32), rows)


def lip_colour(skin: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3"]:
    """Between the skin and a red as light as the skin."""
    red = torch.tensor([0.80, 0.34, 0.36], device=skin.device) * (0.45 + 0.62 * skin.mean(1, keepdim=True))
    return torch.lerp(skin, red, 0.72)


def fringe(face: Face) -> None:
    """The hair before the head, with a sheen."""
    half = face.of("head")
    cap = ellipse(face.x, face.y - 0.1, half + 0.10, face.of("head", 1) + 0.11)
    sides = torch.minimum(face.y - 0.1, hair_behind(face))
    inside = torch.minimum(hairline(face), torch.maximum(cap, sides))
    cover = face.soft(inside)
    face.paint(cover, face.hair)
    sheen = (1 - ((face.y + 0.62 - 0.25 * face.x.square()) / 0.10).square()).clamp(min=0) * 0.45
    face.paint(cover * sheen, light(face.hair))
