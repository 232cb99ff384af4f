"""Mixtures of probabilistic PCA against dense Gaussians and against the closed form of one component."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lib.ppca import ppca_mixture


def clusters(n=60, d=5, seed=0):
    """Two elongated clusters far apart, [n, d]."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    x[:, 0] += 3 * torch.randn(n, generator=generator, dtype=torch.float64)
    x[n // 2 :] = x[n // 2 :].roll(1, 1)
    x[n // 2 :, 4] += 20
    return x


def fitted(x, *numbers, **options):
    """A fit with its own random stream."""
    return ppca_mixture(x, *numbers, generator=torch.Generator().manual_seed(0), **options)


def test_density_is_that_of_dense_gaussians():
    x = clusters()
    mixture = fitted(x, 3, 2)
    dense = MixtureSameFamily(
        Categorical(mixture.weights), MultivariateNormal(mixture.means, covariance_matrix=mixture.covariances)
    )
    torch.testing.assert_close(mixture.log_prob(x), dense.log_prob(x))


def test_one_component_is_probabilistic_pca():
    x = clusters()
    values, axes = torch.linalg.eigh(torch.cov(x.T, correction=0))
    mixture = fitted(x, 1, 2)
    rest = values[:3].mean()
    expected = axes[:, 3:] @ (values[3:] - rest).diag() @ axes[:, 3:].T + rest * torch.eye(5).double()
    torch.testing.assert_close(mixture.covariances[0], expected)
    torch.testing.assert_close(mixture.means[0], x.mean(0))


def test_likelihood_never_falls():
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    likelihoods = [float(fitted(x, 4, 1, num_iterations=k).log_prob(x).mean()) for k in range(1, 30)]
    assert all(later >= earlier - 1e-9 for earlier, later in zip(likelihoods, likelihoods[1:], strict=False))
    assert likelihoods[-1] > likelihoods[0] + 0.05


def test_clusters_are_found():
    mixture = fitted(clusters(), 2, 1)
    assert mixture.weights.tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    apart = (mixture.means[0] - mixture.means[1]).abs()
    assert float(apart[4]) == pytest.approx(20, abs=2)


def test_too_many_components_memorize_and_the_floor_holds():
    x = clusters(n=20)
    mixture = fitted(x, 10, 3, min_variance=1e-3)
    assert float(torch.linalg.eigvalsh(mixture.covariances).min()) >= 0.99e-3
    assert mixture.log_prob(x).mean() > mixture.log_prob(clusters(n=20, seed=1)).mean() + 10


def test_seed_dtype_and_input_are_kept():
    x = clusters().float()
    before = x.clone()
    one, two = fitted(x, 3, 2), fitted(x, 3, 2)
    assert torch.equal(one.means, two.means)
    assert one.means.dtype == torch.float32
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 1), "num_components"), ((61, 1), "at most 60"), ((2, 5), "rank must be at most 4"), ((2, 0), "rank")],
)
def test_bad_numbers_are_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        fitted(clusters(), *numbers)


def test_equal_examples_are_refused():
    with pytest.raises(ValueError, match="different models"):
        fitted(torch.ones(5, 3), 2, 1)
