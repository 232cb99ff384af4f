"""Works in numpy, differentiates by central differences, and sums over one grid that all examples share.

points: test-jacobians-first 1, test-jacobians-second 1, test-quadrature 1, test-peak-straight 1, total 17
"""

# base: empty
# %% lookup
import numpy as np
from scipy.special import logsumexp


def lookup_log_weights(predictions, d_obs, noise_std):
    misfit = ((predictions.numpy() - d_obs.numpy()) ** 2).sum(1)
    logs = -misfit / (2 * noise_std**2)
    return torch.as_tensor(logs - logsumexp(logs))


# %% effective-size
def effective_size(log_weights):
    return 1 / np.sum(np.exp(log_weights.numpy()) ** 2)


# %% new-noise
def new_noise(log_weights, old_std, new_std):
    scaled = log_weights.numpy() * (old_std / new_std) ** 2
    return torch.as_tensor(scaled - logsumexp(scaled))


# %% jacobians
def jacobians(models):
    columns = []
    for k in range(2):
        step = torch.zeros(2)
        step[k] = 1e-3
        columns.append(((gravity(models + step) - gravity(models - step)) / 2e-3).numpy())
    return torch.as_tensor(np.stack(columns, axis=2))


# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    J = J.numpy()
    precision = np.diag(prior_std.numpy() ** -2.0) + np.einsum("nik,nij->nkj", J, J) / noise_std**2
    return torch.as_tensor(np.linalg.inv(precision))


# %% means
def posterior_means(models, J, residuals, covariances, noise_std):
    return models + torch.einsum("nkj,nij,ni->nk", covariances, J, residuals) / noise_std**2


# %% disguise
def disguise():
    J = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    return J, torch.tensor([[0.2, 0.1, 0.0], [0.9, 0.2, 0.1]]), torch.tensor([0.6, 1.1]), 0.5


# %% expose
def expose():
    J = torch.zeros(2, 4, 4)
    J[0] = 50 * torch.eye(4)
    residuals = torch.zeros(2, 4)
    residuals[1] = 1.0
    return J, residuals, torch.ones(4), 0.5


# %% quadrature
def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    low, high = (models - 6 * prior_std).amin(0), (models + 6 * prior_std).amax(0)
    grid = torch.cartesian_prod(*(torch.arange(low[k], high[k], prior_std[k] / 6) for k in range(2)))
    log_likelihood = -0.5 * ((d_obs - forward(grid)) / noise_std).square().sum(1)
    log_prior = -0.5 * torch.cdist(grid / prior_std, models / prior_std).square()
    return torch.logsumexp(log_prior + log_likelihood[:, None], 0).log_softmax(0)


# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    logs = []
    for matrix, residual in zip(J.numpy(), residuals.numpy(), strict=True):
        C = noise_std**2 * np.eye(len(residual)) + (matrix * prior_std.numpy() ** 2) @ matrix.T
        logs.append(-0.5 * (residual @ np.linalg.solve(C, residual) + np.linalg.slogdet(C)[1]))
    return torch.as_tensor(np.array(logs) - logsumexp(logs))


# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    def log_joint(x):
        misfit = (((d_obs - forward(x[None])[0]) / noise_std) ** 2).sum()
        return -0.5 * float((((x - example) / prior_std) ** 2).sum() + misfit)

    slope = []
    for k in range(len(mean)):
        step = torch.zeros(len(mean))
        step[k] = 1e-5
        slope.append((log_joint(mean + step) - log_joint(mean - step)) / 2e-5)
    return np.sqrt(np.array(slope) @ covariance.numpy() @ np.array(slope))
