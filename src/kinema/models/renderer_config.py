"""What makes a renderer: what it knows of its data, its sizes, the weights of its objective."""

from dataclasses import dataclass
from typing import Any

from kinema.data.pairs import PairSource
from kinema.errors import ConfigError
from kinema.maths.mixture import MOST
from kinema.nn.scene import Padding
from kinema.nn.scene_choices import CHOICES, COMPOSITING, NETWORKS, TRANSFORMATIONS, Centred, Given, add


@dataclass(frozen=True)
class PairDomain:
    """What a renderer must know of its data. It is saved with the model."""

    size: tuple[int, int]
    """Height and width of a frame, in pixels; each a multiple of 4."""
    fps: float
    """Frames per second of the training clips."""

    @property
    def actions(self) -> tuple[str, ...]:
        """None: a movement is read from frames, not named."""
        return ()

    def describe(self) -> dict[str, str]:
        """What a person must know of it, by name."""
        return {"Frames": f"{self.size[1]} x {self.size[0]} pixels, RGB"}

    def misfit(self, other: "PairDomain", actions: bool = True) -> str | None:
        """What of `other` a model made for this cannot take, in words; None where it fits."""
        del actions
        (h, w), (height, width) = self.size, other.size
        return None if self.size == other.size else f"made for {w} x {h} pixels; the clips have {width} x {height}"

    def data_settings(self) -> dict[str, Any]:
        """Settings of a source whose clips are to fit."""
        return {"length": 2, "size": self.size[0]}


def domain_of(source: PairSource) -> PairDomain:
    """What a renderer must know of a source."""
    return PairDomain(source.size, source.fps)


@dataclass(frozen=True)
class RendererConfig:
    """Sizes, weights of the objective, and what is not the paper's."""

    networks: str = "residual"
    """Encoders and decoder: residual, or pixels, whose codes are as large as the frame and begin with it. Ours."""
    width: int = 32
    """Channels of the first layer; later ones have 2 and 4 times as many."""
    features: int = 32
    """Channels of the feature maps, c' in the paper; at least 3 with pixels."""
    patch: int = 4
    """Side of the squares, in pixels, on which the networks called pixels work; it must divide a frame's sides."""
    filling: int = 0
    """With pixels: colours that each place of a frame finds elsewhere in it, by attention, to fill in what the
    character hides of the background; 0: f_b paints, as f_c does. Ours."""
    hidden: int = 128
    """Channels of the network that gives the transformation."""
    padding: Padding = "zeros"
    """What convolutions see beyond the edges: zeros, replicate or reflect."""
    character: str = "frame"
    """What f_c sees: frame, as in the paper, or rest, also what its background rendered alone lacks of it, which is
    ours."""
    transformation: str = "features"
    """What T_Z is read from: features, as in the paper, frames, given, which is the true one of the source, or ours:
    centred, outlines cropped about their middles, or posed, whole codes cropped about the same place of the body."""
    field: float = 0.5
    """Share of the canvas that such a crop spans."""
    looks: int = 1
    """How often it looks: again at the character as it was moved, to correct what was read. With centred."""
    freedom: str = "affine"
    """Which matrices T_Z may be: affine, as in the paper, similarity or rigid."""
    equivariance: float = 0.1
    """Weight of the equivariance loss; with repaint, of what is painted too."""
    invariance: float = 0.1
    """Weight of the invariance loss."""
    inverse: float = 0.0
    """Weight of the loss on T(1, 2) being the inverse of T(2, 1), which the paper names and does not use."""
    apart: bool = False
    """Whether both codes learn from each frame alone (`itself`, `cover`, `solo`), and only T_Z, the masks and what
    comes after them from the scene loss, which then counts from the first step on. Ours: a movement that goes astray
    cannot take the character away."""
    backwards: bool = False
    """Whether each pair is also learned from its second frame to its first, whose codes are there already. Ours."""
    parts: int = 1
    """Affine parts with soft masks. 1 is the paper's; more are ours. Of several, with posed, the first is the body,
    moved by whole places."""
    repaint: int = 0
    """Rank of a linear map that paints on the character after it was moved, whose gains are told how its parts were
    moved; 0: none, as in the paper. Ours: what a limb shows where it went to, no warp can know."""
    components: int = 256
    """Characters by which repaint knows all others, each channel as a sum of channels of these: the first so many that
    it sees once `cover` has counted for a while, at three times `settle`; until there are so many nothing is
    repainted."""
    cleared: float = 0.0
    """With over, once training is over: cover of a moved character below this is taken for none, and the rest spread
    over [0, 1], so that what is painted leaves no dust; 0: cover stays as it is, as in training. Ours."""
    compositing: str = "add"
    """How character and background meet: add, as in the paper, or over, which is ours: the character covers."""
    cover: float = 0.0
    """Price of what the character covers, as a share of the picture, with over. Ours."""
    solo: float = 0.0
    """Weight of the background rendered alone against the other frame of the pair, where no character is seen there.
    Ours: who is here is elsewhere there."""
    rehearsal: float = 0.0
    """Share of the steps, once backgrounds are filled in, in which f_b alone learns, with `solo`, from mirrored
    and recoloured frames: these take less than half of a step's time, and what a character hides is learned slowest.
    Ours."""
    itself: float = 0.0
    """Weight of each frame rendered from its own codes unmoved, from which its background does not learn. Ours: so
    f_c holds what the background leaves out before T_Z knows where that goes."""
    align: float = 0.0
    """Weight of the equivariance of averaged codes, from which only T_Z learns. Ours: it shows the way from afar."""
    practice: float = 0.0
    """Weight of T_Z telling by what known movement a code was moved. Ours."""
    turn: float = 60.0
    """The greatest angle of these, in degrees."""
    settle: float = 0.0
    """Share of training before the scene loss and the price of cover count; they do fully at twice that. Ours."""
    movements: int = 0
    """Components, 64 at most, of a density of what movements there are, fitted after training, by which a flow tells
    what lies between frames; 0: none, a flow knows its own clip alone. Ours."""
    still: float = 0.0
    """Share of the pairs, in training, whose second frame is the first once more. Ours: so T_Z learns what no movement
    looks like, which pairs of different frames never show."""
    jitter: float = 0.0
    """Share of a random colour that is mixed into both frames of a pair, at most. Ours."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"model.{name}: {getattr(self, name)!r} is unknown; known: {', '.join(known)}")
        least = dict.fromkeys(COUNTS, 1) | dict.fromkeys(WEIGHTS, 0)
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; {low} or more is needed")
        if self.looks > 1 and TRANSFORMATIONS[self.transformation] is not Centred:
            raise ConfigError(f"model.looks is {self.looks}; only transformation: centred looks more than once")
        if not 0 < self.field <= 1:
            raise ConfigError(f"model.field is {self.field}; a share of the canvas is needed, above 0 and at most 1")
        fixed = TRANSFORMATIONS[self.transformation] is Given
        for name in ("inverse", "align", "practice"):
            if fixed and getattr(self, name):
                raise ConfigError(f"model.{name}: a transformation that is given is not learned; set it to 0")
        if not 0 <= self.movements <= MOST:
            raise ConfigError(f"model.movements is {self.movements}; 0 (none) to {MOST} components are possible")
        if self.still > 1:
            raise ConfigError(f"model.still is {self.still}; a share of the pairs is needed, 0 to 1")
        for name in ("cover", "cleared"):
            if getattr(self, name) and COMPOSITING[self.compositing] is add:
                told = "only a character that covers has a share; set model.compositing to over"
                raise ConfigError(f"model.{name}: {told}")
        if not 0 <= self.cleared < 1:
            raise ConfigError(f"model.cleared is {self.cleared}; a cover is needed, at least 0 and below 1")
        if not self.rehearsal < 1:
            raise ConfigError(f"model.rehearsal is {self.rehearsal}; a share of the steps is needed, below 1")
        if self.rehearsal and not self.solo:
            raise ConfigError("model.rehearsal: f_b then learns from model.solo; give that a weight")
        if self.apart and not (self.itself and self.solo):
            raise ConfigError("model.apart: codes then learn from model.itself and model.solo; give both a weight")
        nets = NETWORKS[self.networks](self.patch)
        if self.filling and nets.filling is None:
            raise ConfigError(f"model.filling is {self.filling}; networks: {self.networks} cannot; take pixels, or 0")
        needed = nets.least
        if self.features < needed:
            raise ConfigError(f"model.features is {self.features}; networks: {self.networks} need {needed} at least")


COUNTS = ("width", "features", "patch", "hidden", "parts", "looks", "components")
"""Settings that are 1 or more."""
WEIGHTS = (
    "equivariance",
    "invariance",
    "inverse",
    "repaint",
    "filling",
    "cover",
    "solo",
    "rehearsal",
    "itself",
    "align",
    "practice",
    "settle",
    "still",
    "jitter",
)
"""Settings that are 0 or more."""
