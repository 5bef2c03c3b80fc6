import pytest
import torch
from scipy.cluster.vq import kmeans2
from torch.testing import assert_close

from kinema.maths.kmeans import distortion, fit_centres, nearest, spread_centres


def clouds(per=40, seed=0):
    middles = torch.tensor([[-6.0, 0.0], [0.0, 7.0], [6.0, -2.0], [9.0, 9.0]], dtype=torch.float64)
    noise = torch.randn(4, per, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (middles[:, None] + noise).flatten(0, 1)


def test_the_centres_are_where_scipy_ends_from_the_same_ones():
    x = clouds()
    found = fit_centres(x, 4, 0)
    reference, label = kmeans2(x.numpy(), found.numpy(), minit="matrix")
    assert_close(found, torch.from_numpy(reference), atol=1e-9, rtol=0)
    assert nearest(x, found).tolist() == label.tolist()


def test_each_cloud_gets_a_centre():
    label = nearest(clouds(), fit_centres(clouds(), 4, 3)).view(4, -1)
    assert (label == label[:, :1]).all()
    assert len(label[:, 0].unique()) == 4


def test_more_centres_come_nearer_and_as_many_as_points_are_the_points():
    x = clouds(per=6)
    apart = [distortion(x, fit_centres(x, count, 0)) for count in (1, 2, 4, 8, len(x))]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] == pytest.approx(0, abs=1e-9)
    assert apart[0] == pytest.approx((x - x.mean(0)).square().sum(1).mean().item())


def test_points_that_are_all_alike_are_no_trouble():
    x = torch.ones(5, 3)
    assert_close(fit_centres(x, 3, 0), torch.ones(3, 3))


def test_far_points_are_drawn_more_often():
    x = torch.cat([torch.zeros(99, 1), torch.full((1, 1), 50.0)])
    drawn = [99 in spread_centres(x, 2, seed).tolist() for seed in range(20)]
    assert all(drawn)


def test_more_centres_than_points_are_refused():
    with pytest.raises(ValueError, match="6 centres for 5 points"):
        fit_centres(torch.zeros(5, 2), 6, 0)
