"""Keeps the prior's covariance: the data move the components but do not narrow them.

points: test-covariances 0, test-means 1, total 16
"""


# base: reference
# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    return torch.diag(prior_std**2).expand(len(J), -1, -1)
