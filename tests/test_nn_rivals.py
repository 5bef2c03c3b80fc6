import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from kinema.errors import ClipError
from kinema.nn.rivals import RIVALS, Linear, Positional, Recurrent

K, D, B = 3, 4, 5


def states(seed=0):
    return torch.randn(B, K, 2 * D, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=RIVALS)
def rival(request):
    torch.manual_seed(0)
    return RIVALS[request.param](K, D, 8.0)


def test_linear_is_a_power_of_one_affine_matrix():
    torch.manual_seed(1)
    linear = Linear(K, D, 8.0).double()
    linear.bias.data.normal_()
    s = states().double()
    flow = linear.flow(s, torch.tensor([0.0, 1.0, 7.0], dtype=torch.float64))
    for k in range(K):
        whole = torch.zeros(2 * D + 1, 2 * D + 1, dtype=torch.float64)
        whole[-1, -1] = 1
        whole[:-1, :-1] = linear.b_matrix[k]
        for b in range(B):
            whole[:-1, -1] = linear.a_matrix[k] @ s[b, k] + linear.bias[k]
            for column, power in enumerate((0, 1, 7)):
                expected = torch.linalg.matrix_power(whole, power) @ torch.cat([s[b, k], torch.ones(1).double()])
                assert_close(flow[b, column, k], expected[:-1])


def test_recurrent_is_the_gated_unit_of_torch():
    torch.manual_seed(2)
    ours = Recurrent(K, D, 8.0, hidden=6)
    ours.bias.data.normal_()
    s, steps = states(), 5
    flow = ours.flow(s, torch.arange(steps + 1.0, dtype=torch.float64))
    for k in range(K):
        cell = nn.GRUCell(2 * D, 6)
        cell.weight_ih.data = ours.told[k].flatten(0, 1)
        cell.weight_hh.data = ours.kept[k].flatten(0, 1)
        cell.bias_ih.data = ours.bias[k].flatten()
        cell.bias_hh.data.zero_()
        h = (s[:, k] @ ours.enter[k].T).tanh()
        for step in range(steps + 1):
            assert_close(flow[:, step, k], h @ ours.leave[k].T)
            h = cell(s[:, k], h)


def test_positional_is_equation_13():
    s, times = states(), torch.tensor([0.0, 2.5, 8.0], dtype=torch.float64)
    flow = Positional(K, D, 8.0).flow(s, times)
    for b, t, k in ((0, 1, 2), (4, 2, 0)):
        phi = math.tanh(s[b, k, 0]) + times[t].item() / 8
        q = [math.sin(2 * phi), math.cos(2 * phi), math.sin(4 * phi), math.cos(4 * phi)]
        assert_close(flow[b, t, k, :D], torch.tensor(q), atol=1e-6, rtol=0)


def test_the_state_is_that_of_time_zero_except_where_it_is_a_code(rival):
    s = states()
    first, again = (rival.flow(s, torch.tensor([0.0, t], dtype=torch.float64)) for t in (3.0, 6.0))
    assert_close(first[:, 0], again[:, 0])
    if isinstance(rival, Linear):
        assert_close(first[:, 0], s)


def test_each_clip_has_its_own_times_and_straight_lines_between(rival):
    s = states()
    shared = rival.flow(s, torch.arange(5, dtype=torch.float64))
    own = rival.flow(s, torch.arange(B, dtype=torch.float64)[:, None])
    for b in range(B):
        assert_close(own[b, 0], shared[b, b])
    if not isinstance(rival, Positional):
        half = rival.flow(s, torch.tensor([1.5], dtype=torch.float64))
        assert_close(half[:, 0], (shared[:, 1] + shared[:, 2]) / 2)


def test_what_does_not_move_stays_at_zero(rival):
    for parameter in rival.parameters():
        parameter.data.normal_()
    s = states()
    s[:, 1] = 0
    flow = rival.flow(s, torch.arange(6, dtype=torch.float64))
    assert not flow[:, :, 1].any()
    assert flow[:, :, 0].any()


@pytest.mark.parametrize("name", ["linear", "rnn"])
def test_there_is_no_way_back(name):
    with pytest.raises(ClipError, match="forwards only"):
        RIVALS[name](K, D, 8.0).flow(states(), torch.tensor([-1.0], dtype=torch.float64))
