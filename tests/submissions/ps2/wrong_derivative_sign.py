"""Differentiates with respect to the station instead of the body: the sign of one column is wrong.

points: test-jacobians-first 0, test-jacobians-second 1, total 16
"""


# base: reference
# %% jacobians
def jacobians(models):
    u, z = models[:, :1] - stations, models[:, 1:]
    distance = u**2 + z**2
    return torch.stack([2 * u * z / distance**2, (u**2 - z**2) / distance**2], 2)
