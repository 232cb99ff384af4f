"""Convicts by any excess over the null, however small: chance is forgotten.

points: test-rates 1, test-verdict 0, total 16
"""

# base: reference
# %% verdict
def holds_copies(samples, models, fresh, scales):
    rate, null = copy_rates(samples, models, fresh, scales)
    return rate > null
