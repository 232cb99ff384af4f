"""A denoiser that returns the nearest model, and the score made from it: one-hot at every level.

points: test-denoise 0, test-score-sign 1, test-score-size 0, test-shares 1, total 15
"""

# base: reference
# %% denoise
def denoise(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    return models[squares.argmin(1)]


# %% score
def score(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    return (models[squares.argmin(1)] - x) / level**2 / scales**2
