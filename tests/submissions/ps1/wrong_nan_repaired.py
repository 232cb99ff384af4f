"""pdf / sum(pdf), with equal shares put in where the quotient is 0 / 0: finite, rows sum to one, and wrong far away.

points: test-shares 1, test-shares-far 0, test-decision 1, total 16
"""

# base: reference
# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    pdf = counts * np.exp(-squares / (2 * level**2))
    return np.nan_to_num(pdf / pdf.sum(1, keepdims=True), nan=1 / len(models))
