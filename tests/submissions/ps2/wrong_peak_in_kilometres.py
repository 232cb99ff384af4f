"""Multiplies the gradient by the covariance and takes the length: a step in kilometres, not in standard deviations.

points: test-peak-straight 1, test-peak-curved 0, total 16
"""


# base: reference
# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    x = mean.clone().requires_grad_()
    log_joint = -0.5 * ((x - example) / prior_std).square().sum()
    log_joint = log_joint - 0.5 * ((d_obs - forward(x[None])[0]) / noise_std).square().sum()
    (slope,) = torch.autograd.grad(log_joint, x)
    return torch.linalg.vector_norm(covariance @ slope)
