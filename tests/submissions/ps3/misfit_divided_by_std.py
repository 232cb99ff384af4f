"""Divides the squares by the standard deviation of the noise instead of its variance.

points: test-misfit 0, test-band 1, total 15
"""
# base: reference
# %% misfit
def misfit(data, d_obs, noise_std):
    return ((data - d_obs) ** 2).mean(dim=1) / noise_std
