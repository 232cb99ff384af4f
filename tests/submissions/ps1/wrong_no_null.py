"""Convicts by the rate alone, above a threshold that looks strict; the null is computed and forgotten.

points: test-rates 1, test-verdict 0, total 16
"""

# base: reference
# %% verdict
def holds_copies(samples, models, fresh, scales):
    rate, null = copy_rates(samples, models, fresh, scales)
    return rate > 0.1
