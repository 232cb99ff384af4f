"""A tiny number added under the logarithm and the quotient: finite far away, and wrong there.

points: test-density-normalizer 1, test-density-far 0, test-shares 1, test-shares-far 0, total 15
"""

# base: reference
# %% density
def log_density(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    pdf = np.exp(-squares / (2 * level**2)) / np.prod(np.sqrt(2 * np.pi) * level * scales)
    return np.log(pdf @ (counts / counts.sum()) + 1e-300)


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    squares = (((x[:, None] - models) / scales) ** 2).sum(-1)
    pdf = counts * np.exp(-squares / (2 * level**2))
    return pdf / (pdf.sum(1, keepdims=True) + 1e-300)
