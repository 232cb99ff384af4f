"""Whitens model and data, uses Woodbury's identity and the determinant of the small matrix; Gauss-Hermite nodes.

points: test-covariances 1, test-means 1, test-quadrature 1, test-repair 1, test-repair-many-data 1, total 17
"""


# base: empty
# %% lookup
def lookup_log_weights(predictions, d_obs, noise_std):
    return MultivariateNormal(d_obs, noise_std**2 * torch.eye(len(d_obs))).log_prob(predictions).log_softmax(0)


# %% effective-size
def effective_size(log_weights):
    return 1 / log_weights.exp().square().sum()


# %% new-noise
def new_noise(log_weights, old_std, new_std):
    unnormalized = log_weights * old_std**2 * new_std**-2
    return unnormalized - unnormalized.logsumexp(0)


# %% jacobians
def jacobians(models):
    return torch.func.vmap(torch.func.jacfwd(lambda x: gravity(x[None])[0]))(models)


# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    P = torch.diag(prior_std**2)
    C = noise_std**2 * torch.eye(J.shape[1]) + J @ P @ J.mT
    return P - P @ J.mT @ torch.linalg.inv(C) @ J @ P


# %% means
def posterior_means(models, J, residuals, covariances, noise_std):
    information = torch.linalg.inv(covariances) @ models[:, :, None]
    information = information + J.mT @ residuals[:, :, None] / noise_std**2
    return torch.linalg.solve(torch.linalg.inv(covariances), information)[:, :, 0]


# %% disguise
def disguise():
    J = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(5))
    J = torch.cat([J, J.flip(1)])  # the same rays in another order
    residuals = torch.tensor([[0.2, 0.1, -0.1, 0.3], [0.9, 0.8, -0.7, 0.5]])
    return J, residuals, torch.tensor([0.2, 0.3, 0.4]), 0.3


# %% expose
def expose():
    J = torch.stack([100 * torch.eye(3), torch.zeros(3, 3)])
    residuals = torch.tensor([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    return J, residuals, torch.tensor([5.0, 5.0, 5.0]), 1.0


# %% quadrature
import numpy as np


def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    nodes, weights = (torch.as_tensor(part) for part in np.polynomial.hermite_e.hermegauss(80))
    steps, log_prior = torch.cartesian_prod(nodes, nodes), torch.cartesian_prod(weights, weights).log().sum(1)
    points = models[:, None, :] + prior_std * steps
    residuals = (d_obs - forward(points.reshape(-1, 2)).reshape(len(models), len(steps), -1)) / noise_std
    return torch.logsumexp(log_prior - 0.5 * residuals.square().sum(2), 1).log_softmax(0)


# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    A, r = J * prior_std / noise_std, residuals / noise_std  # prior and noise are white now
    small = torch.eye(J.shape[2]) + A.mT @ A
    seen = A.mT @ r[:, :, None]
    misfit = r.square().sum(1) - (seen.mT @ torch.linalg.solve(small, seen))[:, 0, 0]
    return (-0.5 * misfit - 0.5 * torch.logdet(small)).log_softmax(0)


# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    F, pull = torch.func.vjp(lambda x: forward(x[None])[0], mean)
    slope = pull((d_obs - F) / noise_std**2)[0] - (mean - example) / prior_std**2
    return torch.linalg.vector_norm(torch.linalg.cholesky(covariance).T @ slope)
