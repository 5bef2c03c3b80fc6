"""The settings of a HALO."""

from dataclasses import dataclass

from kinema.errors import ConfigError
from kinema.maths.mixture import MOST


@dataclass(frozen=True)
class HaloConfig:
    """What a HALO is made of, and the weights of its objective."""

    operator: str = "definite"
    """What moves the state. Hamiltonians: definite (bounded for ever), orthogonal (rotations only), symplectic (the
    paper's). Rivals (supplement, section 3.3), which run forwards only: linear, rnn, positional."""
    conditional: bool = True
    """One operator per action, chosen by the label; false: all operators at once, no labels (supplement, eq. 9)."""
    blocks: int = 3
    """Number of operators of an unconditional model; a conditional one has one per action."""
    found_actions: int = 0
    """Actions that a model without labels tells apart by where pictures change, with one operator for each: not the
    paper's. 0: none; a conditional model goes by its labels."""
    d: int = 6
    """Degrees of freedom of one operator: its state has d positions and d momenta."""
    content: int = 64
    """Dimension of z; of the bilinear network the principal components of all channels together."""
    period: float = 8.0
    """First guess of the cycle, in frames; the frequencies are learned from there."""
    closed: bool = False
    """Whether every frequency is held at a whole number of turns in `period` frames, for data of one known cycle: then
    motions close exactly, for ever, and in training windows of that length the last frame comes before the first;
    false: the frequencies are learned, as in the paper."""
    network: str = "compact"
    """compact (convolutions), dense (small pictures of figures in one place), basis (the same, in principal components
    of the training frames: fastest), bilinear (in those of channels, appearance carried: for strangers), posed (a map
    of appearance for each pose of clips of one known cycle, fitted at once: best for strangers), paper (supplement,
    tables 3-5) or paper-mnist (tables 6-8)."""
    width: int = 32
    """Channels of the compact network's first convolution."""
    features: int = 256
    """Dimension of a frame's feature vector h."""
    rank: int = 512
    """Directions in which the bilinear network moves appearance."""
    asked: int = 16
    """Numbers that the gains of the bilinear network know of an appearance, such as which way a figure looks, so that
    they cannot learn clothes by heart; 0: on the way out none, on the way in all."""
    components: int = 384
    """Principal components that the basis network knows frames by, and the posed one each channel."""
    views: int = 1
    """Ways in which content is seen, such as from the left, that the posed network has maps for; they are found from
    the training clips. Several take as many numbers of the content."""
    paints: int = 16
    """Colours that the compact decoder mixes."""
    window: int = 2
    """Frames that the momentum is read from: frame t and those before it."""
    state_everywhere: bool = False
    """Whether the state of a clip is the mean of those that are read at each of its frames, carried to one moment by
    the flow; false: it is read at one frame, as in the paper. In training it is always read at one."""
    content_frames: int = 0
    """Frames, drawn at random, that the content is read from in training; 0: the whole clip, as in the paper."""
    content_noise: float = 0.0
    """Standard deviation of noise, on the scale [0, 1], in every coordinate of the frames that the content is read from
    in training: what is read then stands firm, as in ridge regression, for strangers too; the posed network's maps are
    fitted with it. 0: none, as in the paper."""
    content_elsewhere: bool = False
    """Whether the content is read, in training, from any clip of the same person and view, which the data must tell:
    nothing of what this one does is then in it. Not the paper's; false: from the clip itself."""
    decoded_frames: int = 0
    """Frames, drawn at random, that the likelihood is estimated from in training; 0: all, as in the paper."""
    std: float = 0.1
    """a: standard deviation of a pixel around the decoded mean, on the scale [0, 1]."""
    std_last: float = 0.0
    """What a has come to at the last step of training, falling evenly in its logarithm; 0: it stays what it was."""
    content_weight: float = 1.0
    """Weight of KL(z). Above 1 it is a bottleneck that keeps the action out of the content."""
    state_weight: float = 1.0
    """Weight of KL(q) and KL(p)."""
    prior: str = "standard"
    """What the state is drawn from: standard, N(0, I) at any one time (the paper's); learned, a Gaussian for each
    action at the beginning of a clip, for clips that begin alike."""
    content_components: int = 0
    """Components, 64 at most, of the mixture of Gaussians that new contents are drawn from, fitted to the posteriors
    after training; 0: none, N(0, I), the paper's."""
    state_components: int = 0
    """The same for the state at a clip's beginning, for each action; 0: it is drawn from the prior."""
    content_parts: int = 0
    """Parts that new contents are put together from in the place of a mixture, each drawn on its own, such as hair and
    garments: sets of vectors whose sums the posteriors are, found after training without labels; 0: none."""
    content_values: int = 6
    """Vectors in each of these sets, 64 at most in all."""
    alone: float = 0.0
    """Share of the clips, in training, whose momentum is read without the frames before t, as for a single picture."""
    blend: float = 0.0
    """Share of the clips, in training, that are moved towards another clip of the same action by a random part of the
    difference of their mean frames: people who do not exist, between those who do, where these are few. With
    `content_elsewhere` the clip that the content is read from goes the same way."""
    action_weight: float = 1.0
    """Weight of the action head's cross-entropy; its gradient stays out of the encoder."""

    @property
    def one_moves(self) -> bool:
        """Whether each clip is moved by one operator alone, its action's, be it named or found."""
        return self.conditional or self.found_actions > 0

    def __post_init__(self) -> None:
        for name in ("blocks", "d", "content", "width", "features", "rank", "components", "views", "paints", "window"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; at least 1 is needed")
        if self.found_actions < 0:
            raise ConfigError(f"model.found_actions is {self.found_actions}; 0 (none) or more are possible")
        if self.found_actions and self.conditional:
            raise ConfigError("model.found_actions go without labels; they need model.conditional: false")
        if not 0 <= self.blend <= 1:
            raise ConfigError(f"model.blend is {self.blend}; a share of the clips, 0 to 1, is needed")
        if self.content_parts and self.content_components:
            raise ConfigError("model: new contents are of content_parts or of content_components; give one of them")
        for name in ("content_components", "state_components"):
            if not 0 <= getattr(self, name) <= MOST:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; 0 (none) to {MOST} are possible")
        if not self.content_noise >= 0:
            raise ConfigError(f"model.content_noise is {self.content_noise}; 0 (none) or a positive number is needed")
        if not self.std_last >= 0:
            raise ConfigError(f"model.std_last is {self.std_last}; 0 (constant) or a positive number is needed")
        if self.asked < 0:
            raise ConfigError(f"model.asked is {self.asked}; 0 (nothing) or more numbers are possible")
        for name in ("std", "period"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; a positive number is needed")
