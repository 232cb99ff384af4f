"""Returns the Jacobians with a row for each parameter.

points: test-jacobians-first 0, test-jacobians-second 0, test-covariances 1, test-means 1, total 15
"""


# base: reference
# %% jacobians
def jacobians(models):
    u, z = models[:, :1] - stations, models[:, 1:]
    distance = u**2 + z**2
    return torch.stack([-2 * u * z / distance**2, (u**2 - z**2) / distance**2], 1)
