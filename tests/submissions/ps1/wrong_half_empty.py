"""Density, responsibilities and left-out likelihood were never written; the later answers call them and are right.

What is missing costs its own points only: right versions stand in while the answers that call them are tested.

points: test-density-normalizer 0, test-density-exponent 0, test-density-share 0, test-density-far 0, test-shares 0,
    test-shares-far 0, test-left-out 0, test-decision 1, test-denoise 1, test-score-sign 1, test-score-size 1,
    test-bandwidth 1, total 10
"""

# base: reference
# %% density
def log_density(x, level, models, counts, scales):
    raise NotImplementedError()


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    raise NotImplementedError()


# %% decision
def decision_level(u, sure, models, counts, scales):
    nearest = (((u - models) / scales) ** 2).sum(1).argmin()
    low, high = 1e-6, 1e6
    for _ in range(100):
        middle = math.sqrt(low * high)
        if responsibilities(u[None], middle, models, counts, scales)[0, nearest] >= sure:
            low = middle
        else:
            high = middle
    return low


# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    raise NotImplementedError()
