"""Rivals of the equivariant renderer: arithmetic on codes of pictures (Reed, Zhang, Zhang and Lee, "Deep visual
analogy-making", NIPS 2015), trained on whole analogies a : b :: c : d where the renderer sees pairs of frames alone.

``Add`` and ``Disentangled`` share their networks f and g and differ in how the code of d is made of those of a, b, c.
Neither knows of backgrounds: what c stands on is in its code like all else.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from kinema.data.analogies import Analogies, AnalogyBatch, attributes
from kinema.data.pairs import PairSource
from kinema.errors import ConfigError
from kinema.models.base import Losses
from kinema.models.renderer_config import PairDomain
from kinema.nn.picture_codes import VectorDecoder, VectorEncoder

Pictures = Float[Tensor, "B 3 H W"]
Code = Float[Tensor, "B K"]


@dataclass(frozen=True)
class AnalogyDomain(PairDomain):
    """What a rival must know of its data: that of a renderer, and what tells characters apart."""

    attributes: tuple[str, ...] = ()
    """Names of the characters' attributes; none where the source names none."""
    values: tuple[int, ...] = ()
    """How many values each of them has."""

    def describe(self) -> dict[str, str]:
        """What a person must know of it, by name."""
        named = ", ".join(f"{name} ({count})" for name, count in zip(self.attributes, self.values, strict=True))
        return {**super().describe(), "Attributes of characters": named or "none are named"}


def domain_of(source: PairSource) -> AnalogyDomain:
    """What a rival must know of a source. Raises ConfigError where no analogy can be drawn from it."""
    named = attributes(Analogies(source).source)
    return AnalogyDomain(source.size, source.fps, tuple(named), tuple(named.values()))


@dataclass(frozen=True)
class AddConfig:
    """Sizes of f and g, and where analogies happen."""

    width: int = 32
    """Channels of the first layer; later ones have twice as many."""
    features: int = 32
    """Channels of the maps between convolutions and dense layers."""
    hidden: int = 1024
    """Units of the dense layers between these maps and the code."""
    units: int = 512
    """Units of the code."""
    elsewhere: bool = False
    """Whether in training c and d stand on another background than a and b, as scenes in tests do; false: all on one.
    Without backgrounds it makes no difference."""

    def __post_init__(self) -> None:
        for name in ("width", "features", "hidden", "units"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name} is {getattr(self, name)}; 1 or more is needed")


@dataclass(frozen=True)
class DisentangledConfig(AddConfig):
    """The same, and which units hold what."""

    character: int = 256
    """Units of the code that hold the character; the others hold the pose."""
    classifier: float = 0.0
    """Weight of reading the character's attributes off those units: 0 is Dis, more is Dis+Cls."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.character < self.units:
            raise ConfigError(f"model.character is {self.character}; 1 to {self.units - 1} are possible")
        if not self.classifier >= 0:
            raise ConfigError(f"model.classifier is {self.classifier}; 0 or more is needed")


class AnalogyNetwork(nn.Module):
    """f, g and the objective that the rivals share. Pictures are float in [0, 1]."""

    def __init__(self, config: AddConfig, domain: AnalogyDomain) -> None:
        """Raises ConfigError for pictures whose sides are no multiples of 4."""
        if any(side % 4 for side in domain.size):
            told = f"pictures of {domain.size[1]} x {domain.size[0]}"
            raise ConfigError(f"analogies: {told}; sides must be multiples of 4")
        super().__init__()
        self.config, self.domain = config, domain
        sizes = (domain.size, config.width, config.features, config.hidden, config.units)
        self.encoder, self.decoder = VectorEncoder(*sizes), VectorDecoder(*sizes)

    @abstractmethod
    def answer(self, a: Code, b: Code, c: Code) -> Code:
        """The code of d, of which c is what a is of b."""

    def encode(self, x: Pictures) -> Code:
        """f."""
        return self.encoder(x - 0.5)

    def render(self, code: Code) -> Pictures:
        """g."""
        return self.decoder(code)

    def compose(self, character: Pictures, first: Pictures, second: Pictures, background: Pictures) -> Pictures:
        """The character, moved as from `first` to `second`. The background is ignored: d stands where c stood."""
        del background
        return self.render(self.answer(self.encode(first), self.encode(second), self.encode(character)))

    def prepared(self, source: PairSource) -> Analogies:
        """The quadruples of a source, for training. Raises ConfigError where no analogy can be drawn from it."""
        return Analogies(source, self.config.elsewhere)

    def losses(self, batch: AnalogyBatch) -> Losses:
        """The mean square error of every picture of a quadruple, each answered from the other three.

        a : b :: c : d is as true as b : a :: d : c, c : d :: a : b and d : c :: b : a. The source draws each order as
        often, so this is Reed et al.'s objective with less noise. Their sum of squares is a mean here.
        """
        pictures = [x.float() / 255 for x in (batch.a, batch.b, batch.c, batch.d)]
        codes = self.encode(torch.cat(pictures)).float()
        a, b, c, d = codes.chunk(4)
        answers = self.answer(torch.cat([a, b, c, d]), torch.cat([b, a, d, c]), torch.cat([c, d, a, b]))
        error = (self.render(answers).float() - torch.cat(pictures[::-1])).square().mean()
        labels = torch.cat([batch.character, batch.character, batch.other, batch.other])
        more, weights = self.further(codes, labels)
        total = torch.stack([error, *(weight * more[name] for name, weight in weights.items())]).sum()
        return Losses(total, {"analogy": error, **more, "code": codes.square().mean()})

    def further(self, codes: Code, labels: Int[Tensor, "B F"]) -> tuple[dict[str, Tensor], dict[str, float]]:
        """More terms by name, of the codes of all pictures and who is in them, and the weights of those that count."""
        del codes, labels
        return {}, {}

    def forward(
        self,
        a: UInt8[Tensor, "B 3 H W"],
        b: UInt8[Tensor, "B 3 H W"],
        c: UInt8[Tensor, "B 3 H W"],
        d: UInt8[Tensor, "B 3 H W"],
        character: Int[Tensor, "B F"],
        other: Int[Tensor, "B F"],
    ) -> Mapping[str, Tensor]:
        """`losses` in plain tensors, which is what Fabric can hand through its wrappers; the total is ``loss``."""
        losses = self.losses(AnalogyBatch(a, b, c, d, character, other))
        return {"loss": losses.total, **losses.terms}


class Add(AnalogyNetwork):
    """d = g(f(b) - f(a) + f(c)), trained with L_add = ||d - g(f(b) - f(a) + f(c))||^2."""

    def answer(self, a: Code, b: Code, c: Code) -> Code:
        return b - a + c


class Disentangled(AnalogyNetwork):
    """d = g(s f(c) + (1 - s) f(b)) with a switch s that is 1 for the character's units and 0 for the pose's, trained
    with L_dis = ||d - g(s f(c) + (1 - s) f(b))||^2; a is not needed. With `classifier` it is Dis+Cls."""

    config: DisentangledConfig

    def __init__(self, config: DisentangledConfig, domain: AnalogyDomain) -> None:
        """Raises ConfigError as its parent does, and for a classifier where the source names no attributes."""
        if config.classifier and not domain.attributes:
            raise ConfigError("model.classifier: this source names no attributes of characters; set it to 0")
        super().__init__(config, domain)
        self.classifier = nn.Linear(config.character, sum(domain.values)) if config.classifier else None

    def answer(self, a: Code, b: Code, c: Code) -> Code:
        del a
        return torch.cat([c[:, : self.config.character], b[:, self.config.character :]], 1)

    def recognise(self, codes: Code) -> tuple[Float[Tensor, "B _"], ...]:
        """Logits of each attribute of the domain, read off the character's units; nothing without a classifier."""
        if self.classifier is None:
            return ()
        return self.classifier(codes[:, : self.config.character]).float().split(self.domain.values, 1)

    def further(self, codes: Code, labels: Int[Tensor, "B F"]) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The cross-entropy of the attributes in nats, a mean over them and the pictures, and how many are right."""
        logits = self.recognise(codes)
        if not logits:
            return {}, {}
        pairs = list(zip(logits, labels.unbind(1), strict=True))
        entropy = torch.stack([functional.cross_entropy(logit, truth) for logit, truth in pairs]).mean()
        right = torch.stack([(logit.argmax(1) == truth).float().mean() for logit, truth in pairs]).mean()
        return {"classifier": entropy, "accuracy": right}, {"classifier": self.config.classifier}
