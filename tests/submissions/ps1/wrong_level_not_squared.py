"""The level in place of its square: in the exponent of density and responsibilities, under the score, in the way back.

Five functions hold that square, and each loses the cell about it; sign, shares, constants and the far field are kept.

points: test-density-normalizer 1, test-density-exponent 0, test-density-share 1, test-density-far 1, test-shares 0,
    test-shares-far 1, test-decision 0, test-score-sign 1, test-score-size 0, test-tweedie 0, total 12
"""

# base: reference
# %% density
def log_density(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    logits = np.log(counts / counts.sum()) - squares / (2 * level)
    return np.logaddexp.reduce(logits, 1) - 0.5 * len(scales) * np.log(2 * np.pi * level**2) - np.log(scales).sum()


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    logits = np.log(counts) - squares / (2 * level)
    return np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])


# %% decision
def decision_level(u, sure, models, counts, scales):
    squares = (((u - models) / scales) ** 2).sum(-1)
    levels = np.geomspace(1e-4, 1e4, 100_000)[:, None]
    odds = (counts / counts[squares.argmin()] * np.exp((squares.min() - squares) / (2 * levels))).sum(1)
    return levels[1 / odds >= sure].max()


# %% score
def score(x, level, models, counts, scales):
    return (denoise(x, level, models, counts, scales) - x) / level / scales**2


# %% tweedie
def denoise_with(field, x, level, scales):
    return x + level * field(x) * scales**2
