"""Windows beside others of the same content: who accompanies whom, and that nothing else changes."""

from dataclasses import replace

import torch
from torch.testing import assert_close

from kinema.data.accompanied import Accompanied, same_content
from kinema.data.registry import build_source
from kinema.data.sprites import SpritesConfig
from kinema.models.base import domain_of
from kinema.models.halo import Halo
from kinema.models.halo_config import HaloConfig


def sprites():
    return build_source("sprites", SpritesConfig(size=16), "train")


def test_groups_are_who_is_seen_and_from_where():
    source = sprites()
    group = same_content(source)
    rows = {}
    for clip in range(len(source)):
        key = (int(source.identity[clip]), *(int(source.labels[name][clip]) for name in source.content))
        rows.setdefault(key, set()).add(int(group[clip]))
    assert all(len(found) == 1 for found in rows.values())
    assert len(rows) == len(set(group.tolist()))


def test_every_clip_of_the_same_content_accompanies_a_clip_once():
    source = sprites()
    group = same_content(source)
    both = Accompanied(source, group)
    clip = 7
    rooms, own = int(both.rooms(True)[clip]), int(source.rooms(True)[clip])
    members = (group == group[clip]).nonzero()[:, 0]
    assert rooms == own * len(members)
    assert len(members) == len(source.actions)
    shown = both.window(torch.full((rooms,), clip), torch.arange(rooms))
    expected = source.window(torch.full((rooms,), clip), torch.arange(rooms) // len(members))
    assert torch.equal(shown.frames, expected.frames)
    seen = torch.stack([shown.companion.factors[name] for name in source.content], 1)
    assert (seen == torch.stack([source.labels[name][clip] for name in source.content])).all()
    assert shown.companion.factors["action"].bincount().tolist() == [own] * len(source.actions)


def test_a_content_from_elsewhere_knows_nothing_of_the_clip_itself():
    source = sprites()
    config = HaloConfig(network="dense", content=4, features=8, d=2, content_elsewhere=True, decoded_frames=1)
    torch.manual_seed(0)
    halo = Halo(config, domain_of(source)).eval()  # a batch norm would mix what both show
    with torch.no_grad():
        halo.action_head.per_action.normal_()  # at first it has no opinion
    shown = halo.prepared(source)
    batch = shown.window(torch.arange(0, 40, 5), torch.arange(8))

    def terms(frames):
        torch.manual_seed(3)
        return halo(frames, *batch.inputs()[1:])

    kept, changed = terms(batch.frames), terms(255 - batch.frames)
    assert_close(kept["kl_content"], changed["kl_content"], rtol=0, atol=0)
    assert_close(kept["action"], changed["action"], rtol=0, atol=0)  # of the companion
    assert not torch.equal(kept["likelihood"], changed["likelihood"])
    own, theirs = (replace(b, factors={"action": (b.factors["action"] + 1) % 3}) for b in (batch, batch.companion))
    asked = [
        halo(*replace(batch, factors=mine.factors, companion=other).inputs())["action"]
        for mine, other in ((batch, batch.companion), (own, batch.companion), (batch, theirs))
    ]
    assert asked[0] == asked[1] != asked[2]  # of the companion, its own action
    alone = halo(*batch.inputs()[:3])
    assert not torch.equal(alone["kl_content"], kept["kl_content"])


def test_noise_is_on_what_the_content_is_read_from_and_in_training_alone():
    source = sprites()
    shown = source.window(torch.arange(4), torch.zeros(4, dtype=torch.int64))
    read = {}
    for noise in (0.0, 0.2):
        torch.manual_seed(0)
        config = HaloConfig(network="dense", content=4, features=8, d=2, content_noise=noise)
        halo = Halo(config, domain_of(source)).eval()
        with torch.no_grad():
            for weight in halo.content.parameters():
                weight.mul_(3)  # so that an untrained content says something of the frames

        def told(seed, halo=halo):
            torch.manual_seed(seed)
            return halo(*shown.inputs())["kl_content"].item()

        read[noise] = told(1), told(2), halo.content(halo.encode(shown.frames.float() / 255)).mean
    assert read[0.0][0] == read[0.0][1]
    assert len({*read[0.2][:2], read[0.0][0]}) == 3
    assert torch.equal(read[0.0][2], read[0.2][2])


def test_a_clip_and_the_one_its_content_is_read_from_are_moved_towards_the_same_person():
    source = sprites()
    config = HaloConfig(network="dense", content=4, features=8, d=2, content_elsewhere=True, blend=1.0)
    halo = Halo(config, domain_of(source))
    clips = torch.randint(len(source), (96,), generator=torch.Generator().manual_seed(0))
    starts = torch.arange(96) % halo.prepared(source).rooms(True)[clips]
    batch = halo.prepared(source).window(clips, starts)
    torch.manual_seed(2)
    own, there = (offset.flatten(1) for offset in halo._blend(batch, batch.companion))
    mean, mean_there = (halo.known(b.frames).mean(1).flatten(1) for b in (batch, batch.companion))
    doing = torch.stack([batch.factors["action"], batch.companion.factors["action"]], 1)
    for index in range(len(clips)):
        alike = (doing == doing[index]).all(1)
        ways, ways_there = mean[alike] - mean[index], mean_there[alike] - mean_there[index]
        both, moved = torch.cat([ways, ways_there], 1), torch.cat([own[index], there[index]])
        part = (both @ moved) / both.square().sum(1).clamp_min(1e-9)
        left = (part[:, None] * both - moved).norm(dim=1)
        assert left.min() < 1e-3
        assert -1e-4 <= part[left.argmin()] <= 1 + 1e-4
    assert (own.norm(dim=1) > 1e-3).float().mean() > 0.5
    assert (there.norm(dim=1) > 1e-3).float().mean() > 0.5


def test_content_and_motion_are_moved_each_by_its_own(monkeypatch):
    source = sprites()
    config = HaloConfig(network="dense", content=4, features=8, d=2, content_elsewhere=True)
    torch.manual_seed(0)
    halo = Halo(config, domain_of(source)).eval()
    shown = halo.prepared(source)
    batch = shown.window(torch.arange(0, 40, 5), torch.arange(8))
    far = 0.3 * torch.rand(8, 1, *batch.frames.shape[2:], generator=torch.Generator().manual_seed(1))

    def terms(own, there):
        monkeypatch.setattr(halo, "_blend", lambda batch, elsewhere: (own, there))
        torch.manual_seed(3)
        return halo(*batch.inputs())

    nowhere, own, there = terms(0.0, 0.0), terms(far, 0.0), terms(0.0, far)
    assert torch.equal(own["kl_content"], nowhere["kl_content"])
    assert not torch.equal(own["kl_position"], nowhere["kl_position"])
    assert not torch.equal(there["kl_content"], nowhere["kl_content"])
    assert torch.equal(there["kl_position"], nowhere["kl_position"])
