"""From where a user's characters are seen: what a swap keeps, and what a content may be read from."""

import numpy as np
import pytest
from PIL import Image

from kinema.data.accompanied import same_content
from kinema.data.folders import FolderClips, FolderConfig
from kinema.errors import ConfigError
from strangers import aseprite

VIEW = "_(left|front)"


@pytest.fixture
def folder(tmp_path):
    for action in ("walk", "slash"):
        for who in ("ada", "bo"):
            for view in ("left", "front"):
                file = tmp_path / "clips" / action / f"{who}_{view}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((16, 64, 3), len(f"{action}{who}{view}"), np.uint8)).save(file)
    return tmp_path / "clips"


def load(root, **settings):
    return FolderClips(FolderConfig(root=str(root), identity="(ada|bo)", **settings), "all")


def test_the_view_is_a_factor_and_content(folder):
    source = load(folder, view=VIEW)
    assert source.factors == {"action": ("slash", "walk"), "view": ("front", "left")}
    assert source.content == ("view",)
    for clip, header in enumerate(source.headers):
        assert source.factors["view"][int(source.labels["view"][clip])] in header.name.rpartition("/")[2]


def test_only_clips_of_one_person_and_view_share_a_content(folder):
    source = load(folder, view=VIEW)
    group = same_content(source)
    names = [header.name.rpartition("/")[2] for header in source.headers]
    for a, one in enumerate(names):
        assert [names[b] == one for b in range(len(names))] == (group == group[a]).tolist()
    told_less = same_content(load(folder))
    assert len(set(told_less.tolist())) == 2  # two people, whichever way they look


def test_without_it_nothing_is_told(folder):
    source = load(folder)
    assert source.factors == {"action": ("slash", "walk")}
    assert source.content == ()


def test_tags_of_a_sheet_tell_it_too(tmp_path):
    aseprite(tmp_path / "hero.json")
    tags = [header.name.partition("#")[2] for header in load_sheet(tmp_path).headers]
    source = load_sheet(tmp_path, view=f"#({'|'.join(tags)})")
    assert set(source.factors["view"]) == set(tags)


def load_sheet(root, **settings):
    return FolderClips(FolderConfig(root=str(root / "hero.json"), loop=True, **settings), "all")


def test_a_view_that_is_nowhere_is_one_line(folder):
    with pytest.raises(ConfigError, match=r"data.view '\(back\)' is not found in '.*'; give one that every path holds"):
        load(folder, view="(back)")
    with pytest.raises(ConfigError, match=r"data.view: '\(left' is no regex .*; one is \(left\|front\|right\)"):
        FolderConfig(view="(left")
