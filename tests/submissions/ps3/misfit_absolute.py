"""Sums absolute residuals: the misfit is not squared.

points: test-misfit 0, test-band 1, test-lookup-weights 1, total 15
"""
# base: reference
# %% misfit
def misfit(data, d_obs, noise_std):
    return ((data - d_obs) / noise_std).abs().mean(1)
