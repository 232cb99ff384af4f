"""The constant of the Gaussian without the power d: once in the limit of Task 1 and once in the log-density.

The same idea in two tasks costs one point in each; all that depends on differences is kept.

points: test-limit-slope 0, test-limit-level 1, test-density-normalizer 0, test-density-exponent 1,
    test-density-share 1, test-density-far 1, total 15
"""

# base: reference
# %% limit
def limit_log_likelihood(b, weights, counts, scales):
    q = counts / counts.sum()
    return q @ np.log(weights) - 0.5 * np.log(2 * np.pi * b**2) - np.log(scales).sum()


# %% density
def log_density(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    logits = np.log(counts / counts.sum()) - squares / (2 * level**2)
    return np.logaddexp.reduce(logits, 1) - 0.5 * np.log(2 * np.pi * level**2) - np.log(scales).sum()
