"""Looks for the peak of the likelihood: the pull of the prior back to its example is forgotten.

points: test-peak-straight 0, test-peak-curved 0, total 15
"""


# base: reference
# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    x = mean.clone().requires_grad_()
    log_likelihood = -0.5 * ((d_obs - forward(x[None])[0]) / noise_std).square().sum()
    (slope,) = torch.autograd.grad(log_likelihood, x)
    return (slope @ covariance @ slope).sqrt()
