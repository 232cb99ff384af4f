"""The gradient of one root-mean-square misfit of the whole batch: samples feel each other, and the noise cancels.

points: test-guidance-sign 1, test-guidance-direction 1, test-guidance-length 0, total 15
"""
# base: reference
# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    x = x.detach().clone().requires_grad_()
    misfit = torch.linalg.vector_norm(d_obs - forward(denoise(x, sigma)))
    return -torch.autograd.grad(misfit, x)[0]
