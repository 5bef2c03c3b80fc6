"""Tensors joined part by part."""

import weakref

import torch

from kinema.data.joined import joined


def test_parts_stand_where_cat_puts_them():
    parts = torch.randn(23, 2, 3, dtype=torch.float64).split([1, 0, 7, 15])
    assert torch.equal(joined(iter(parts), 23), torch.cat(parts))
    assert joined(iter(parts), 23).dtype == torch.float64


def test_a_part_is_let_go_when_the_one_after_the_next_is_made():
    made = []

    def part(number):
        assert all(known() is None for known in made[:-1])
        fresh = torch.full((2, 3), float(number))
        made.append(weakref.ref(fresh))
        return fresh

    assert torch.equal(joined(map(part, range(4)), 8)[:, 0], torch.arange(4.0).repeat_interleave(2))
