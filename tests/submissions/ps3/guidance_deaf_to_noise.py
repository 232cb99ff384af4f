"""Leaves out the noise: a pull of the same length however precise the data are.

points: test-guidance-sign 1, test-guidance-direction 1, test-guidance-length 0, total 15
"""
# base: reference
# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    x = x.detach().clone().requires_grad_()
    (-(d_obs - forward(denoise(x, sigma))).pow(2).sum() / 2).backward()
    return x.grad
