import hashlib
import json

import numpy as np
import pytest

from kinema.data.splits import Split, read_split, split_identities, write_split
from kinema.errors import ConfigError, FileError

SPLIT = Split("toy", 7, "by hand", train=("0001", "0003", "person3"), test=("0002", "Zoë"))


@pytest.mark.parametrize(("count", "test"), [(2, 1), (10, 3), (1296, 296)])
def test_parts_are_disjoint_sorted_and_complete(count, test):
    train, held_out = split_identities(count, test, seed=5)
    assert len(held_out) == test
    assert train.tolist() == sorted(train.tolist())
    assert held_out.tolist() == sorted(held_out.tolist())
    assert sorted(train.tolist() + held_out.tolist()) == list(range(count))


def test_the_seed_decides_by_numpys_permutation():
    _, held_out = split_identities(50, 10, seed=11)
    assert set(held_out.tolist()) == set(np.random.default_rng(11).permutation(50)[:10].tolist())
    assert held_out.tolist() != split_identities(50, 10, seed=12)[1].tolist()


@pytest.mark.parametrize("test", [0, 10, -1])
def test_an_empty_part_is_refused(test):
    with pytest.raises(ConfigError, match=f"{test} of 10 identities cannot be held out; 1 to 9 can"):
        split_identities(10, test, seed=0)


def test_a_split_survives_its_file(tmp_path):
    write_split(tmp_path / "split.json", SPLIT)
    assert read_split(tmp_path / "split.json") == SPLIT
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


def test_the_hash_is_that_of_the_content(tmp_path):
    write_split(tmp_path / "split.json", SPLIT)
    tree = json.loads((tmp_path / "split.json").read_text())
    stated = tree.pop("sha256")
    assert stated == hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: tree["test"].append(tree["train"].pop()),
        lambda tree: tree.update(seed=8),
        lambda tree: tree.update(rule="by another hand"),
        lambda tree: tree.update(note="a new key"),
    ],
)
def test_an_edited_file_is_refused_in_one_line(tmp_path, edit):
    path = tmp_path / "split.json"
    write_split(path, SPLIT)
    tree = json.loads(path.read_text())
    edit(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(FileError, match="it was edited") as caught:
        read_split(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"source": "toy"}', "{"])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(FileError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_split(tmp_path / "split.json")


def test_members_by_name():
    assert SPLIT.members("all") == ("0001", "0002", "0003", "Zoë", "person3")
    assert SPLIT.members("train") == SPLIT.train
    with pytest.raises(ConfigError, match="no split 'tset'; there are train, test, all"):
        SPLIT.members("tset")
