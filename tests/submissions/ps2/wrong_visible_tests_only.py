"""Returns what the visible asserts ask for and understands nothing.

points: test-lookup-misfit 0, test-effective-size 0, test-quadrature-log-domain 0, test-peak-straight 0, total 0
"""


# base: reference
# %% lookup
def lookup_log_weights(predictions, d_obs, noise_std):
    return torch.log_softmax(torch.arange(float(len(predictions))), 0)


# %% effective-size
def effective_size(log_weights):
    return 8.0


# %% new-noise
def new_noise(log_weights, old_std, new_std):
    return log_weights


# %% jacobians
def jacobians(models):
    return torch.zeros(len(models), 5, 2)


# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    return 0.01 * torch.eye(J.shape[2]).expand(len(J), -1, -1)


# %% means
def posterior_means(models, J, residuals, covariances, noise_std):
    return models


# %% disguise
def disguise():
    return torch.ones(2, 1, 1), torch.zeros(2, 1), torch.ones(1), 1.0


# %% expose
def expose():
    return torch.ones(2, 1, 1), torch.zeros(2, 1), torch.ones(1), 1.0


# %% quadrature
def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    return torch.log_softmax(torch.arange(float(len(models))), 0)


# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    return torch.log_softmax(torch.zeros(len(J)), 0)


# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    return 1.0
