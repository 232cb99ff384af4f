"""Euclidean distances: metres and km/s are added up as they are, and the determinant of S is missing.

The cells about a distance, a gradient or a volume are lost; signs, shares, the far field and the verdict are kept.

points: test-limit-slope 1, test-limit-level 0, test-density-normalizer 0, test-density-exponent 0,
    test-density-share 1, test-density-far 1, test-shares 0, test-shares-far 1, test-score-sign 1,
    test-score-size 0, test-tweedie 0, test-rates 0, total 10
"""

# base: reference
# %% limit
def limit_log_likelihood(b, weights, counts, scales):
    return counts / counts.sum() @ np.log(weights) - 0.5 * len(scales) * np.log(2 * np.pi * b**2)


# %% density
def log_density(x, level, models, counts, scales):
    logits = np.log(counts / counts.sum()) - ((x[:, None] - models) ** 2).sum(-1) / (2 * level**2)
    return np.logaddexp.reduce(logits, 1) - 0.5 * len(scales) * np.log(2 * np.pi * level**2)


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    logits = np.log(counts) - ((x[:, None] - models) ** 2).sum(-1) / (2 * level**2)
    return np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])


# %% score
def score(x, level, models, counts, scales):
    return (denoise(x, level, models, counts, scales) - x) / level**2


# %% tweedie
def denoise_with(field, x, level, scales):
    return x + level**2 * field(x)


# %% rates
def copy_rates(samples, models, fresh, scales):
    shares = []
    for x in (samples, fresh):
        far = np.sort(np.linalg.norm(x[:, None] - models, axis=-1), 1)
        shares.append(np.mean(3 * far[:, 0] < far[:, 1]))
    return shares
