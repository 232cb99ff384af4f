"""Leaves every component on its example: the covariance shrinks and the mean does not move.

points: test-covariances 1, test-means 0, total 16
"""


# base: reference
# %% means
def posterior_means(models, J, residuals, covariances, noise_std):
    return models
