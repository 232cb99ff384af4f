"""Densities first, logarithm and quotient afterwards: pdf / sum(pdf), which is 0 / 0 far away.

points: test-density-normalizer 1, test-density-exponent 1, test-density-share 1, test-density-far 0, test-shares 1,
    test-shares-far 0, total 15
"""

# base: reference
# %% density
def log_density(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    pdf = np.exp(-squares / (2 * level**2)) / np.prod(np.sqrt(2 * np.pi) * level * scales)
    return np.log(pdf @ (counts / counts.sum()))


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    pdf = counts * np.exp(-squares / (2 * level**2))
    return pdf / pdf.sum(1, keepdims=True)
