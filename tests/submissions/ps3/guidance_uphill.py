"""Follows the gradient of the misfit, away from the data.

points: test-guidance-sign 0, test-guidance-direction 1, test-guidance-length 1, total 15
"""
# base: reference
# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    x = x.clone().requires_grad_()
    squares = ((forward(denoise(x, sigma)) - d_obs) / noise_std).square().sum() / 2
    squares.backward()
    return x.grad
