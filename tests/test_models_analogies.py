"""The rivals of the renderer: their formulas, what each ignores, that every part learns, that analogies are made."""

import copy

import pytest
import torch

from kinema.data.moving_digits import MovingDigits, MovingDigitsConfig
from kinema.errors import ConfigError
from kinema.evaluation.families import EVALUATORS
from kinema.evaluation.scene_errors import SceneModel, evaluate_scenes
from kinema.evaluation.scene_examples import draw_examples
from kinema.models.registry import FAMILIES
from kinema.models.rivals.analogies import (
    Add,
    AddConfig,
    AnalogyDomain,
    Disentangled,
    DisentangledConfig,
    domain_of,
)
from kinema.training.loop import draw_batch
from kinema.training.recipe import build_recipe, read_recipe
from kinema.training.sampler import StepSampler
from scene_doubles import Squares

CPU = torch.device("cpu")
SIZES = {"width": 8, "features": 8, "hidden": 64, "units": 24}
KINDS = {
    "add": (Add, AddConfig(**SIZES)),
    "dis": (Disentangled, DisentangledConfig(**SIZES, character=10)),
    "dis+cls": (Disentangled, DisentangledConfig(**SIZES, character=10, classifier=0.1)),
}
every = pytest.mark.parametrize("kind", KINDS)


def made(kind, domain=None):
    torch.manual_seed(0)
    cls, config = KINDS[kind]
    return cls(config, domain or domain_of(Squares())).eval()


def lively(kind):
    """One whose codes and pictures differ from input to input, which those of new weights hardly do."""
    model = made(kind)
    for layer in (model.encoder[-1], model.encoder[-3], model.decoder.dense[0], model.decoder.maps[-2]):
        torch.nn.init.normal_(layer.weight, std=0.5)
    a, b = pictures(1), pictures(1, 1)
    with torch.no_grad():
        differ = (model.compose(a, a, a, a) - model.compose(b, b, b, b)).abs().mean()
    assert float(differ) > 0.05
    return model


def pictures(count, seed=0, size=(16, 16)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def batch_of(model, source, step=0, size=16):
    analogies = model.prepared(source)
    return draw_batch(analogies, StepSampler(len(analogies), size, 0), step, True, CPU)


def test_add_is_its_formula():
    model = lively("add")
    a, b, c, background = (pictures(3, seed) for seed in range(4))
    f_a, f_b, f_c = (model.encoder(x - 0.5) for x in (a, b, c))
    torch.testing.assert_close(model.compose(c, a, b, background), model.decoder(f_b - f_a + f_c))
    assert not torch.allclose(model.compose(c, a, b, background), model.compose(c, b, a, background))


def test_add_of_no_difference_is_the_character_decoded():
    model = made("add")
    a, c = pictures(3), pictures(3, 1)
    torch.testing.assert_close(model.compose(c, a, a, a), model.render(model.encode(c)), rtol=0, atol=1e-6)


def test_dis_is_its_formula():
    model = lively("dis")
    a, b, c, background = (pictures(3, seed) for seed in range(4))
    switch = (torch.arange(24) < 10).float()
    code = switch * model.encode(c) + (1 - switch) * model.encode(b)
    assert torch.equal(model.compose(c, a, b, background), model.render(code))
    assert torch.equal(model.compose(c, pictures(3, 9), b, background), model.render(code)), "a is not needed"


def test_dis_sees_neither_the_pose_of_c_nor_the_character_of_b():
    model = lively("dis")
    a, b, c = (torch.randn(3, 24, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    shown = model.render(model.answer(a, b, c))
    posed, worn = c.clone(), b.clone()
    posed[:, 10:], worn[:, :10] = 7.0, -7.0
    assert torch.equal(model.render(model.answer(a, worn, posed)), shown)
    worn[:, 10:] = 7.0
    assert not torch.allclose(model.render(model.answer(a, worn, c)), shown, atol=1e-4)
    posed[:, :10] = -7.0
    assert not torch.allclose(model.render(model.answer(a, b, posed)), shown, atol=1e-4)


@every
def test_the_objective_is_the_mean_over_all_four_answers(kind):
    model = lively(kind)
    batch = batch_of(model, Squares())
    a, b, c, d = (x.float() / 255 for x in (batch.a, batch.b, batch.c, batch.d))
    wanted = [(c, a, b, d), (d, b, a, c), (a, c, d, b), (b, d, c, a)]
    errors = [
        (model.compose(character, one, two, one) - truth).square().mean() for character, one, two, truth in wanted
    ]
    losses = model.losses(batch)
    torch.testing.assert_close(losses.terms["analogy"], torch.stack(errors).mean())
    extra = 0.1 * losses.terms["classifier"] if kind == "dis+cls" else 0
    torch.testing.assert_close(losses.total, losses.terms["analogy"] + extra)


def test_the_classifier_reads_the_character_units_by_cross_entropy():
    model = lively("dis+cls")
    batch = batch_of(model, Squares())
    entropies, right = [], []
    for shown, truth in (
        (batch.a, batch.character),
        (batch.b, batch.character),
        (batch.c, batch.other),
        (batch.d, batch.other),
    ):
        code = model.encode(shown.float() / 255)[:, :10]
        logits = code @ model.classifier.weight.T + model.classifier.bias
        for column, part in enumerate((logits[:, :4], logits[:, 4:])):
            log_share = part - part.exp().sum(1, keepdim=True).log()
            entropies.append(-log_share.gather(1, truth[:, column : column + 1]).mean())
            right.append((part.argmax(1) == truth[:, column]).float().mean())
    terms = model.losses(batch).terms
    torch.testing.assert_close(terms["classifier"], torch.stack(entropies).mean())
    torch.testing.assert_close(terms["accuracy"], torch.stack(right).mean())


@every
def test_gradients_reach_every_part(kind):
    model = made(kind).train()
    model.losses(batch_of(model, Squares())).total.backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_the_classifier_teaches_no_pose_units():
    model = made("dis+cls").train()
    model.losses(batch_of(model, Squares())).terms["classifier"].backward()
    last = model.encoder[-1]
    assert bool(last.weight.grad[:10].any())
    assert not bool(last.weight.grad[10:].any())


@every
@pytest.mark.parametrize("size", [(60, 60), (64, 64), (32, 48)])
def test_any_size_in_fours(kind, size):
    model = made(kind, AnalogyDomain(size, 5.0, ("colour",), (4,)))
    x = pictures(2, size=size)
    assert isinstance(model, SceneModel)
    assert model.compose(x, x, x, x).shape == x.shape


def trained(kind, steps=150):
    source = Squares()
    model = made(kind).train()
    adam = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    for step in range(steps):
        losses = model.losses(batch_of(model, source, step, 24))
        adam.zero_grad()
        losses.total.backward()
        adam.step()
    return model.eval(), losses


@pytest.mark.slow
@every
def test_analogies_of_unseen_characters_are_learned(kind):
    """Clearly better than c shown again, of which an untrained network has four times the error."""
    model, losses = trained(kind)
    results = evaluate_scenes(model, draw_examples(Squares("test"), 60, 0), CPU)
    assert results["transformation/of copy"] < 0.5
    assert results["transformation/sse01"] < 0.5 * results["video frames/sse01"]
    if kind == "dis+cls":
        assert float(losses.terms["accuracy"]) > 0.95


def test_the_families_are_whole():
    source = MovingDigits(MovingDigitsConfig(size=16, backgrounds=2, videos=32), "test")
    for name in ("rival-add", "rival-dis", "rival-dis-cls"):
        recipe = build_recipe(read_recipe(name), name)
        family = FAMILIES[recipe.family]
        domain = family.domain_of(Squares())
        assert (domain.attributes, domain.values) == (("colour", "height"), (4, 2))
        assert "colour (4), height (2)" in domain.describe()["Attributes of characters"]
        model = family.build(recipe.model, domain)
        assert (getattr(model, "classifier", None) is not None) == (name == "rival-dis-cls")
    model = made("add", domain_of(source))
    results = EVALUATORS["pairs"].measure(model, source, source, 0, 4, CPU)
    assert {"transformation/sse01", "background/sse01"} <= set(results), "digits too: a rival has no T_Z to be read"


@pytest.mark.parametrize(
    ("cls", "options", "said"),
    [
        (AddConfig, {"units": 0}, "model.units is 0; 1 or more"),
        (DisentangledConfig, {"character": 512}, "model.character is 512; 1 to 511 are possible"),
        (DisentangledConfig, {"character": 0}, "model.character is 0"),
        (DisentangledConfig, {"classifier": -1.0}, "model.classifier is -1.0"),
        (DisentangledConfig, {"classifier": float("nan")}, "model.classifier is nan"),
    ],
)
def test_settings_that_cannot_be(cls, options, said):
    with pytest.raises(ConfigError, match=said):
        cls(**options)


def test_domains_that_cannot_be():
    with pytest.raises(ConfigError, match="multiples of 4"):
        made("add", AnalogyDomain((18, 16), 5.0))
    with pytest.raises(ConfigError, match="names no attributes"):
        made("dis+cls", AnalogyDomain((16, 16), 5.0))
    made("dis", AnalogyDomain((16, 16), 5.0))


def test_a_copy_of_the_weights_gives_the_same():
    model = made("dis+cls")
    again = copy.deepcopy(model)
    again.load_state_dict(model.state_dict())
    x, y = pictures(2), pictures(2, 1)
    assert torch.equal(again.compose(x, y, y, x), model.compose(x, y, y, x))
