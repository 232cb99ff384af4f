"""Every different model weighs the same: how often it was stored is forgotten, in all tasks.

One cell of each task that depends on it; at a single model, far away and for the copies nothing is lost. The best
bandwidth hardly moves, and two digits were asked for.

points: test-limit-slope 1, test-limit-level 0, test-density-normalizer 1, test-density-exponent 1,
    test-density-share 0, test-shares 0, test-decision 0, test-left-out 0, test-denoise 1, test-score-size 1, total 12
"""

# base: reference
# %% limit
def limit_log_likelihood(b, weights, counts, scales):
    return np.log(weights).mean() - 0.5 * len(scales) * np.log(2 * np.pi * b**2) - np.log(scales).sum()


# %% density
def log_density(x, level, models, counts, scales):
    logits = -(((x[:, None] - models) / scales) ** 2).sum(-1) / (2 * level**2) - np.log(len(models))
    return np.logaddexp.reduce(logits, 1) - 0.5 * len(scales) * np.log(2 * np.pi * level**2) - np.log(scales).sum()


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    logits = -(((x[:, None] - models) / scales) ** 2).sum(-1) / (2 * level**2)
    return np.exp(logits - np.logaddexp.reduce(logits, 1)[:, None])


# %% decision
def decision_level(u, sure, models, counts, scales):
    squares = (((u - models) / scales) ** 2).sum(-1)
    levels = np.geomspace(1e-4, 1e4, 100_000)[:, None]
    odds = np.exp((squares.min() - squares) / (2 * levels**2)).sum(1)
    return levels[1 / odds >= sure].max()


# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    logits = -(((models[:, None] - models) / scales) ** 2).sum(-1) / (2 * b**2) - np.log(len(models) - 1)
    np.fill_diagonal(logits, -np.inf)
    constant = 0.5 * len(scales) * np.log(2 * np.pi * b**2) + np.log(scales).sum()
    return np.logaddexp.reduce(logits, 1).mean() - constant
