"""Takes every standard deviation for a variance: the noise in the lookup, noise and prior in the covariances.

points: test-lookup-misfit 1, test-lookup-noise 0, test-lookup-log-domain 1, test-covariances 0, test-means 1, total 15
"""


# base: reference
# %% lookup
def lookup_log_weights(predictions, d_obs, noise_std):
    return torch.log_softmax(-(predictions - d_obs).square().sum(1) / (2 * noise_std), 0)


# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    return torch.linalg.inv(torch.diag(1 / prior_std) + J.mT @ J / noise_std)
