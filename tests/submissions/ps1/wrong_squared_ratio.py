"""Compares squared distances with a third: flags more than the rule does.

points: test-rates 0, test-verdict 1, total 16
"""

# base: reference
# %% rates
def copy_rates(samples, models, fresh, scales):
    shares = []
    for x in (samples, fresh):
        squares = np.sort((((x[:, None] - models) / scales) ** 2).sum(-1), 1)
        shares.append(np.mean(squares[:, 0] / squares[:, 1] < 1 / 3))
    return shares
