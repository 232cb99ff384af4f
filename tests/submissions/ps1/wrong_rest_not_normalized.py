"""Leaves the model out but keeps the shares of the others, which then do not sum to one.

The constant that is missing does not move the best bandwidth, so that point is kept.

points: test-left-out 0, test-bandwidth 1, total 16
"""

# base: reference
# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    q = counts / counts.sum()
    squares = (((models[:, None] - models) / scales) ** 2).sum(-1)
    logits = np.log(q) - squares / (2 * b**2)
    np.fill_diagonal(logits, -np.inf)
    constant = 0.5 * len(scales) * np.log(2 * np.pi * b**2) + np.log(scales).sum()
    return q @ np.logaddexp.reduce(logits, 1) - constant
