"""The renderer: its formula by hand, its beginnings, what every option changes, and that it learns."""

from itertools import permutations

import pytest
import torch

from kinema.data.pairs import PairBatch
from kinema.errors import ConfigError
from kinema.maths import affine
from kinema.models.renderer import Renderer
from kinema.models.renderer_config import PairDomain, RendererConfig
from kinema.nn.registration import centred, landing_error, practice, pyramid_error, whole_middle

SIZE = (16, 16)
SMALL = {"width": 8, "features": 8, "hidden": 16}


def made(**options):
    torch.manual_seed(0)
    return Renderer(RendererConfig(**{**SMALL, **options}), PairDomain(SIZE, 5.0)).eval()


def pictures(count, seed=0):
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def squares(count, seed):
    """Pairs in which a dark square of 5 pixels moves by up to 5 pixels on a plain canvas of a random colour."""
    generator = torch.Generator().manual_seed(seed)
    canvas = torch.randint(60, 256, (count, 3, 1, 1), generator=generator)
    places = torch.randint(1, 10, (2, 2, count), generator=generator)
    row, column = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    frames = []
    for top, left in places:
        inside = (row >= top[:, None, None]) & (row < top[:, None, None] + 5)
        inside &= (column >= left[:, None, None]) & (column < left[:, None, None] + 5)
        frames.append(torch.where(inside[:, None], 0, canvas.expand(-1, -1, *SIZE)).to(torch.uint8))
    return PairBatch(*frames)


def test_compose_is_the_formula_of_the_paper():
    model = made()
    torch.nn.init.normal_(model.head.head.last.weight, std=0.05)
    c, first, second, b = (pictures(3, seed) for seed in range(4))
    f_c, f_b = model.character_encoder, model.background_encoder
    z1, z2 = f_c(first - 0.5), f_c(second - 0.5)
    theta = model.head.head(z1, z2)[:, 0]
    grid = torch.nn.functional.affine_grid(theta, [3, 8, 4, 4], align_corners=False)
    moved = torch.nn.functional.grid_sample(f_c(c - 0.5), grid, align_corners=False)
    torch.testing.assert_close(model.compose(c, first, second, b), model.decoder(moved + f_b(b - 0.5)))
    assert not torch.allclose(theta, affine.identity(3)), "the case moves something"


@pytest.mark.parametrize(
    "options", [{}, {"parts": 3}, {"compositing": "over"}, {"transformation": "frames"}, {"character": "rest"}]
)
def test_it_begins_with_the_identity(options):
    model = made(**options)
    first, second = pictures(2), pictures(2, 1)
    theta = model.transformation(first, second)
    torch.testing.assert_close(theta, affine.identity(2, options.get("parts", 1)))
    z = model.encode_character(first)
    torch.testing.assert_close(model.move(z, theta), z, atol=1e-5, rtol=1e-5)


def test_the_order_of_a_pair_counts():
    model = made()
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    first, second = pictures(2), pictures(2, 1)
    assert not torch.allclose(model.transformation(first, second), model.transformation(second, first), atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"transformation": "frames"}, {"character": "rest"}])
def test_one_first_frame_may_serve_all_seconds(options):
    model = made(**options)
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    first, second = pictures(1), pictures(3, 1)
    torch.testing.assert_close(
        model.transformation(first, second), model.transformation(first.expand_as(second), second)
    )


def test_the_background_alone_is_held_against_the_other_frame():
    model, batch = made(solo=0.5, character="rest"), squares(4, 0)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    losses = model.losses(batch)
    off = torch.cat([model.solo_background(first) - second, model.solo_background(second) - first]).abs()
    expected = torch.where(off < 0.3, off.square() / 0.6, off - 0.15).mean()
    torch.testing.assert_close(losses.terms["solo"], expected)
    z = model.encode_character(first)
    seen = torch.cat([first - 0.5, first - model.solo_background(first)], 1)
    torch.testing.assert_close(z[:, 0], model.character_encoder(seen))
    moved = model.move(z, model.transformation(first, second))
    scene = (model.render(moved, model.encode_background(first)) - second).square().mean()
    torch.testing.assert_close(losses.terms["scene"], scene)


PIXELS = {"networks": "pixels", "patch": 2, "character": "rest", "compositing": "over", "transformation": "centred"}


@pytest.mark.parametrize(("filling", "due", "bound"), [(0, True, 0.3), (2, False, 0.3), (2, True, 1.0)])
def test_where_a_character_covers_the_other_frame_says_nothing_of_the_background(filling, due, bound):
    model, batch = made(solo=1.0, filling=filling, **PIXELS), squares(4, 0)
    model.due = due
    painted = model.background_encoder.painted if filling else model.background_encoder
    torch.nn.init.normal_(painted.last.weight, std=0.3)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    backgrounds = model.alone(model.encode_background(torch.cat([first, second])))
    cover = model.outline(model.encode_character(torch.cat([second, first])))
    assert 0.05 < cover.mean() < 0.95, "some is covered, some is not"
    off = (backgrounds - torch.cat([second, first])).abs()
    huber = torch.where(off < bound, off.square(), 2 * bound * off - bound**2) / 0.6
    torch.testing.assert_close(model.losses(batch).terms["solo"], ((1 - cover) * huber).mean())


def test_with_pixels_a_frame_is_its_own_background_at_first_and_nobody_is_seen():
    model, x = made(**PIXELS), pictures(2)
    torch.testing.assert_close(model.solo_background(x), x)
    torch.testing.assert_close(model.compose(x, x, x, x), x, atol=1e-5, rtol=1e-5)
    assert model.outline(model.encode_character(x)).max() < 0.02


def test_what_differs_from_the_background_covers_it_at_first():
    """Where the background, rendered alone, leaves a tenth and more of a frame out, the character begins."""
    model, x = made(**PIXELS), 0.4 + 0.2 * pictures(1)
    alone = x.clone()
    alone[..., :8] += 0.3
    cover = model.outline(model.encode_character(x, alone))
    assert cover[..., :8].min() > 0.95
    assert cover[..., 8:].max() < 0.02


def test_the_other_terms_by_hand():
    options = {"itself": 0.5, "align": 0.25, "practice": 2.0, "cover": 0.1}
    model, batch = made(**options, **PIXELS), squares(4, 0)
    for layer in (model.background_encoder.last, model.character_encoder.last):
        torch.nn.init.normal_(layer.weight, std=0.2)
    torch.nn.init.normal_(model.head.head.last.weight, std=0.02)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    frames = torch.cat([first, second])
    torch.manual_seed(1)
    losses = model.losses(batch)
    z, b = model.encode_character(frames), model.encode_background(frames)
    moved = model.move(z[:4], model.transformation(first, second))
    torch.testing.assert_close(losses.terms["itself"], (model.render(z, b) - frames).square().mean())
    torch.testing.assert_close(losses.terms["align"], pyramid_error(moved[:, 0], z[4:, 0]))
    torch.testing.assert_close(losses.terms["cover"], z[:, :, -1].mean())
    torch.manual_seed(1)
    truth, at, seen = practice(model.outline(z[:4]), 60.0)
    again = model.move(z[:4], truth[:, None])
    theta = model.read(first, first, z[:4], again)
    torch.testing.assert_close(losses.terms["practice"], landing_error(theta, truth, at)[seen].mean())
    weights = {"scene": 1.0, "equivariance": 0.1, "invariance": 0.1, **options}
    torch.testing.assert_close(losses.total, sum(weight * losses.terms[name] for name, weight in weights.items()))


def test_the_scene_and_the_price_count_once_things_have_settled():
    model, batch = made(settle=0.2, cover=0.5, practice=1.0, **PIXELS), squares(4, 0)
    for share, part in ((0.0, 0.0), (0.2, 0.0), (0.3, 0.5), (0.4, 1.0), (0.9, 1.0)):
        model.anneal(share)
        torch.manual_seed(0)
        found = model.losses(batch)
        rest = found.terms["equivariance"] * 0.1 + found.terms["invariance"] * 0.1 + found.terms["practice"]
        late = part * (found.terms["scene"] + 0.5 * found.terms["cover"])
        torch.testing.assert_close(found.total, rest + late)


def test_the_background_rehearses_for_its_share_of_the_steps_once_it_is_due():
    model, steps = made(settle=0.1, rehearsal=0.6, solo=1.0, **PIXELS), 20_000
    seen = []
    for step in range(steps):
        model.anneal(step / steps)
        seen.append(model.rehearses)
    seen = torch.tensor(seen)
    assert not seen[: 3 * steps // 10].any()
    assert seen[3 * steps // 10 :].float().mean().item() == pytest.approx(0.6, abs=0.02)  # blocks of 40 steps
    assert seen[3 * steps // 10 :].unfold(0, 100, 100).any(1).all(), "never long without"
    assert not seen[-1]


def test_a_rehearsal_is_of_the_background_alone_in_every_order_of_colours_and_in_the_mirror():
    model, batch = made(solo=2.0, rehearsal=0.5, filling=2, **PIXELS), squares(4, 0)
    for layer in (model.background_encoder.painted.last, model.character_encoder.last):
        torch.nn.init.normal_(layer.weight, std=0.3)
    model.rehearses = True
    first, second = batch.first.float() / 255, batch.second.float() / 255
    expected = {}
    for order in permutations(range(3)):
        for mirrored in (False, True):
            x, y = ((f[:, list(order)].flip(-1) if mirrored else f[:, list(order)]) for f in (first, second))
            cover = model.outline(model.encode_character(torch.cat([y, x])))
            off = model.alone(model.encode_background(torch.cat([x, y]))) - torch.cat([y, x])
            expected[order, mirrored] = ((1 - cover) * off.square() / 0.6).mean().item()
    assert len({round(value, 7) for value in expected.values()}) == 12
    met = set()
    for seed in range(120):
        torch.manual_seed(seed)
        losses = model.losses(batch)
        solo = losses.terms["solo"].item()
        met.add(min(expected, key=lambda key: abs(expected[key] - solo)))
        assert min(abs(value - solo) for value in expected.values()) < 1e-6
        torch.testing.assert_close(losses.total, 2.0 * losses.terms["solo"] + 0.1 * losses.terms["invariance"])
    assert len(met) == 12
    losses.total.backward()
    for part in (model.character_encoder, model.head):
        assert all(w.grad is None for w in part.parameters())
    assert all(w.grad is not None for w in model.background_encoder.parameters())


def test_the_background_does_not_learn_from_itself_nor_codes_from_being_read():
    model, batch = made(itself=1.0, align=1.0, practice=1.0, equivariance=0.0, invariance=0.0, **PIXELS), squares(4, 0)
    torch.nn.init.normal_(model.background_encoder.last.weight, std=0.2)
    for term, learns in (("itself", model.character_encoder), ("align", model.head), ("practice", model.head)):
        model.zero_grad()
        model.losses(batch).terms[term].backward()
        for part in (model.character_encoder, model.background_encoder, model.head):
            touched = any(w.grad is not None and bool(w.grad.any()) for w in part.parameters())
            assert touched == (part is learns), (term, part)


def test_losses_are_means_of_squares():
    model, batch = made(equivariance=0.3, invariance=0.7), squares(4, 0)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    z1, z2 = model.encode_character(first), model.encode_character(second)
    moved = model.move(z1, model.transformation(first, second))
    b1, b2 = model.encode_background(first), model.encode_background(second)
    losses = model.losses(batch)
    expected = {
        "scene": torch.nn.functional.mse_loss(model.render(moved, b1), second),
        "equivariance": torch.nn.functional.mse_loss(moved, z2),
        "invariance": torch.nn.functional.mse_loss(b1, b2),
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses.terms[name], value)
    total = expected["scene"] + 0.3 * expected["equivariance"] + 0.7 * expected["invariance"]
    torch.testing.assert_close(losses.total, total)


def test_parts_share_the_features_and_one_part_is_the_paper():
    model = made(parts=4)
    z = model.encode_character(pictures(2))
    assert z.shape == (2, 4, 8, 4, 4)
    raw = model.character_encoder(pictures(2) - 0.5)
    torch.testing.assert_close(z.sum(1), raw[:, :8])
    one = made()
    torch.testing.assert_close(one.encode_character(pictures(2))[:, 0], one.character_encoder(pictures(2) - 0.5))


@pytest.mark.parametrize("options", [{}, {"networks": "pixels", "patch": 2, "compositing": "over"}])
def test_parts_begin_different_and_so_come_to_move_apart(options):
    """Equal masks have equal gradients: parts that begin equal would be one part for ever."""
    model, batch = made(parts=3, **options), squares(8, 0)
    adam = torch.optim.Adam(model.parameters(), lr=4e-3)
    x = batch.first.float() / 255
    outlines = model.outlines(model.encode_character(x))
    assert (outlines - outlines.mean(1, keepdim=True)).abs().mean() > 0.01 * outlines.mean(), "masks"
    for _ in range(5):
        adam.zero_grad()
        model.losses(batch).total.backward()
        adam.step()
    theta = model.transformation(x, batch.second.float() / 255)
    assert (theta - theta.mean(1, keepdim=True)).abs().max() > 1e-4, "matrices"


def test_over_hides_the_background_where_the_character_covers():
    model = made(compositing="over")
    z = model.encode_character(pictures(2))
    z = torch.cat([z[:, :, :-1], torch.ones_like(z[:, :, -1:])], 2)
    b1, b2 = model.encode_background(pictures(2)), model.encode_background(pictures(2, 5))
    torch.testing.assert_close(model.render(z, b1), model.render(z, b2))
    nobody = torch.zeros_like(z)
    torch.testing.assert_close(model.render(nobody, b1), model.decoder(b1))
    torch.testing.assert_close(model.solo_background(pictures(2)), model.decoder(b1))


def test_the_inverse_loss_vanishes_for_inverses():
    model = made(inverse=1.0)
    assert model.losses(squares(4, 0)).terms["inverse"].item() < 1e-10
    torch.nn.init.normal_(model.head.head.last.weight, std=0.3)
    assert model.losses(squares(4, 0)).terms["inverse"].item() > 1e-4


def test_given_transformations_are_used():
    model = made(transformation="given")
    batch = squares(2, 0)
    theta = affine.from_parts(torch.zeros(2), torch.tensor([[0.5, 0.0], [0.0, -0.25]]))
    losses = model.losses(PairBatch(batch.first, batch.second, theta))
    assert (
        losses.terms["equivariance"]
        != model.losses(PairBatch(batch.first, batch.second, affine.identity(2).clone())).terms["equivariance"]
    )
    with pytest.raises(ConfigError, match="given"):
        model.losses(batch)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"transformation": "pixels"},
            "transformation: 'pixels' is unknown; known: features, frames, centred, posed, given",
        ),
        ({"compositing": "under"}, "known: add, over"),
        ({"parts": 0}, "model.parts is 0"),
        ({"cover": 1.0}, "set model.compositing to over"),
        ({"cleared": 0.5}, "model.cleared: only a character that covers"),
        ({"cleared": 1.0, "compositing": "over"}, "model.cleared is 1.0"),
        ({"inverse": 1.0, "transformation": "given"}, "model.inverse"),
        ({"jitter": -1.0}, "model.jitter is -1.0"),
        ({"still": 1.5}, "model.still is 1.5; a share"),
        ({"movements": 65}, "model.movements is 65; 0"),
        ({"repaint": -8}, "model.repaint is -8"),
        ({"components": 0}, "model.components is 0"),
        ({"apart": True, "solo": 1.0}, "model.apart: codes then learn from model.itself"),
        ({"practice": 1.0, "transformation": "given"}, "model.practice"),
        ({"field": 0.0}, "model.field is 0.0"),
        ({"rehearsal": 1.0, "solo": 1.0}, "model.rehearsal is 1.0"),
        ({"rehearsal": 0.5}, "model.rehearsal: f_b then learns from model.solo"),
        ({"networks": "pixels", "features": 2}, "need 3 at least"),
    ],
)
def test_settings_that_cannot_be(options, said):
    with pytest.raises(ConfigError, match=said):
        RendererConfig(**options)


def test_sizes_that_cannot_be():
    with pytest.raises(ConfigError, match="multiples of 4"):
        Renderer(RendererConfig(**SMALL), PairDomain((18, 16), 5.0))
    with pytest.raises(ConfigError, match="multiples of 3"):
        Renderer(RendererConfig(**{**SMALL, "networks": "pixels", "patch": 3}), PairDomain((15, 16), 5.0))
    Renderer(RendererConfig(**{**SMALL, "networks": "pixels", "patch": 3}), PairDomain((15, 18), 5.0))


def blobs(count, seed):
    """Pairs in which a light spot moves by up to 6 pixels on a plain gray canvas."""
    places = torch.randint(2, 9, (2, 2, count), generator=torch.Generator().manual_seed(seed)) + 2.5
    row, column = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    frames = []
    for top, left in places:
        distance = (row - top[:, None, None]) ** 2 + (column - left[:, None, None]) ** 2
        light = (60 + 140 * torch.exp(-distance / 10)).to(torch.uint8)
        frames.append(light[:, None].expand(-1, 3, -1, -1).contiguous())
    return PairBatch(*frames)


def test_apart_the_scene_moves_the_codes_and_does_not_change_them():
    """Of the scene loss T_Z, masks, what is repainted and the decoder learn; colours, cover and background do not."""
    others = {"itself": 1.0, "solo": 2.0, "equivariance": 0.0, "invariance": 0.1}
    for apart in (True, False):
        model = acquainted(apart=apart, settle=0.2, **others)
        for layer in (model.repaint.painted, model.decoder.learned[-1]):
            torch.nn.init.normal_(layer.weight, std=0.1)
        model.anneal(0.0)
        losses = model.losses(squares(4, 0))
        rest = sum(weight * losses.terms[name] for name, weight in others.items())
        torch.testing.assert_close(losses.total, rest + apart * losses.terms["scene"], msg="it counts at once")
        losses.terms["scene"].backward()
        masks = 2 * model.config.patch**2
        last = model.character_encoder.last.weight.grad
        learns = [last[:-masks], model.background_encoder.last.weight.grad]
        assert [gradient is not None and bool(gradient.any()) for gradient in learns] == [not apart] * 2
        for gradient in (last[-masks:], model.head.head.last.weight.grad, model.repaint.features.weight.grad):
            assert gradient.any()


def test_backwards_is_the_mean_of_both_orders():
    options = {"equivariance": 0.3, "invariance": 0.7, "parts": 2}
    both, one = made(backwards=True, **options), made(**options)
    batch = squares(4, 0)
    for model in (both, one):
        torch.manual_seed(3)
        torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    there = one.losses(batch)
    back = one.losses(PairBatch(batch.second, batch.first))
    found = both.losses(batch)
    for name in ("scene", "equivariance", "invariance"):
        assert there.terms[name] != back.terms[name] or name == "invariance"
        torch.testing.assert_close(found.terms[name], (there.terms[name] + back.terms[name]) / 2)


def test_backwards_knows_the_inverse_of_what_is_given():
    theta = affine.from_parts(torch.tensor([0.3, -0.2]), torch.tensor([[0.5, 0.0], [0.0, -0.25]]))
    batch = squares(2, 0)
    both, one = (made(transformation="given", backwards=back) for back in (True, False))
    there = one.losses(PairBatch(batch.first, batch.second, theta))
    back = one.losses(PairBatch(batch.second, batch.first, affine.invert(theta)))
    found = both.losses(PairBatch(batch.first, batch.second, theta))
    torch.testing.assert_close(found.terms["scene"], (there.terms["scene"] + back.terms["scene"]) / 2)


def acquainted(**options):
    """A renderer that repaints, and has met as many characters as it needs."""
    model = made(parts=2, repaint=8, components=4, **{**PIXELS, "transformation": "posed", **options})
    z = model.encode_character(pictures(4, 7)).detach()
    assert model.repaint.meet(z.sum(1), model.outline(z))
    torch.nn.init.normal_(model.head.head.last.weight, std=0.1)
    return model


def test_repaint_meets_characters_when_their_codes_have_settled(monkeypatch):
    """The first that come then, each from its own middle; a model that is loaded between two steps goes on as if
    nothing had been."""
    corner = torch.zeros(8, 1, *SIZE)
    corner[:, :, :6, 10:] = 1
    options = {**PIXELS, "transformation": "posed", "parts": 2, "repaint": 8, "components": 10, "settle": 0.1}
    model, resumed = made(**options), made(**options)
    first, second = squares(4, 0), squares(4, 1)
    model.anneal(0.29)
    model.losses(first)
    assert model.repaint.met == 0
    model.anneal(0.31)
    with monkeypatch.context() as changed:
        changed.setattr(model, "outline", lambda z: corner[: len(z)])
        model.losses(first)
    z = model.encode_character(torch.cat([first.first, first.second]).float() / 255)
    here = centred(z.sum(1), whole_middle(corner)).flatten(1)
    torch.testing.assert_close(model.repaint.components.view(10, -1)[:8], here)
    resumed.load_state_dict(model.state_dict())
    for each in (model, resumed):
        each.anneal(0.4)
        for batch in (second, first):
            each.losses(batch)
        assert each.repaint.met == 10
    assert torch.equal(model.repaint.components, resumed.repaint.components)


def test_what_is_repainted_comes_between_the_warp_and_the_background():
    model = acquainted()
    x, y = pictures(2), pictures(2, 1)
    z, theta = model.encode_character(x), model.transformation(x, y)
    torch.testing.assert_close(model.move(z, theta).sum(1), model.warp(z, theta).sum(1))
    torch.nn.init.normal_(model.repaint.painted.weight, std=2.0)
    theta = model.transformation(x, y)
    warped = model.warp(z, theta)
    expected = model.repaint(z.sum(1), warped.sum(1), theta)
    assert not torch.allclose(expected, warped.sum(1), atol=1e-3)
    torch.testing.assert_close(model.move(z, theta)[:, 0], expected)
    shown = model.render(expected[:, None], model.encode_background(y)).clamp(0, 1)
    torch.testing.assert_close(model.compose(x, x, y, y), shown)


def test_equivariance_counts_what_was_painted():
    """T z, painted on, against f_c of the second frame: both as whole characters, in both orders."""
    model = acquainted(backwards=True, character="frame")
    torch.nn.init.normal_(model.repaint.painted.weight, std=2.0)
    batch = squares(4, 0)
    x, y = (frames.float() / 255 for frames in (batch.first, batch.second))
    z, w = model.encode_character(x), model.encode_character(y)
    moved = [model.move(z, model.transformation(x, y)), model.move(w, model.transformation(y, x))]
    expected = torch.stack([(moved[0][:, 0] - w.sum(1)).square().mean(), (moved[1][:, 0] - z.sum(1)).square().mean()])
    assert expected.mean() > 1e-3
    torch.testing.assert_close(model.losses(batch).terms["equivariance"], expected.mean())


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"character": "rest", "solo": 0.5}])
def test_it_learns(options):
    """In some hundred steps it is better than the first frame shown again; to find the movement takes far more."""
    model = made(**options).train()
    adam = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.99))
    for step in range(400):
        torch.manual_seed(step)
        losses = model.losses(blobs(16, step))
        adam.zero_grad()
        losses.total.backward()
        adam.step()
    model.eval()
    batch = blobs(64, 10_000)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    with torch.no_grad():
        error = (model.compose(first, first, second, first) - second).square().mean()
    assert error.item() < 0.6 * (first - second).square().mean().item()


@pytest.mark.slow
def test_ours_finds_the_movement():
    """Squares on canvases of any colour: from pairs alone T_Z tells where they went, and the background is bare."""
    model = made(solo=2.0, itself=1.0, align=0.1, practice=1.0, cover=0.01, settle=0.1, turn=10.0, **PIXELS).train()
    adam = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    steps = 500
    for step in range(steps):
        torch.manual_seed(step)
        model.anneal(step / steps)
        losses = model.losses(squares(16, step))
        adam.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
    model.eval()
    batch = squares(64, 10_000)
    first, second = batch.first.float() / 255, batch.second.float() / 255
    with torch.no_grad():
        error = (model.compose(first, first, second, first) - second).square().mean()
        canvas = first.amax((2, 3), keepdim=True)
        bare = (model.solo_background(first) - canvas).square().mean()
    assert error.item() < 0.1 * (first - second).square().mean().item()
    assert bare.item() < 0.1 * (first - canvas).square().mean().item()


@pytest.mark.parametrize("parts", [1, 2])
def test_faint_cover_is_cleared_from_what_moved_but_not_in_training(parts):
    """By what all parts cover together, and colours stay; 1 is left of 1."""
    model, plain = made(parts=parts, cleared=0.25, **PIXELS), made(parts=parts, **PIXELS)
    z = torch.rand(2, parts, 9, *SIZE, generator=torch.Generator().manual_seed(0)) / parts
    z[:, :, :-1] *= z[:, :, -1:]
    theta = affine.identity(2, parts)
    shown, as_it_was = model.move(z, theta), plain.move(z, theta)
    before, after = (code[:, :, -1].sum(1) for code in (as_it_was, shown))
    assert (before < 0.25).any()
    assert (before > 0.5).any()
    torch.testing.assert_close(after, ((before - 0.25) / 0.75).clamp_min(0))
    assert not shown.sum(1)[:, 0][before < 0.25].any()
    seen = before > 0.3
    for code in (shown, as_it_was):
        code[:, :, :-1] /= code[:, :, -1:].sum(1, keepdim=True).clamp_min(1e-9)
    torch.testing.assert_close(shown[:, :, 0].sum(1)[seen], as_it_was[:, :, 0].sum(1)[seen], atol=1e-4, rtol=1e-4)
    model.train()
    torch.testing.assert_close(model.move(z, theta), plain.train().move(z, theta), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"transformation": "given"}])
def test_pairs_may_stand_still(options):
    """All of them: as if the second frame were the first. Half of them: some rows of each kind."""
    batch = squares(64, 0)
    if options:
        batch = PairBatch(batch.first, batch.second, affine.identity(64) + 0.1 * torch.randn(64, 2, 3))
    frozen = PairBatch(batch.first, batch.first, None if batch.given is None else affine.identity(64))
    always, never = made(still=1.0, **options), made(**options)
    assert_terms(always.losses(batch).terms, never.losses(frozen).terms)
    first, second = batch.first.float(), batch.second.float()
    stilled, given = made(still=0.5)._stilled(first, second, batch.given)
    stays = (stilled == first).flatten(1).all(1)
    assert 16 < int(stays.sum()) < 48
    assert torch.equal(stilled[~stays], second[~stays])
    if given is not None and batch.given is not None:
        assert torch.equal(given[~stays], batch.given[~stays])
        assert torch.equal(given[stays], affine.identity(int(stays.sum())))


def assert_terms(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
