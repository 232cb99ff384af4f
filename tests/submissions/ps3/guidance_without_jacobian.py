"""Pulls on the denoised model and takes that for the pull on the state: the denoiser's Jacobian is missing.

points: test-guidance-sign 1, test-guidance-direction 0, test-guidance-length 1, total 15
"""
# base: reference
# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    with torch.no_grad():
        denoised = denoise(x, sigma)
    denoised = denoised.clone().requires_grad_()
    log_likelihood = -((d_obs - forward(denoised)) ** 2).sum() / (2 * noise_std**2)
    return torch.autograd.grad(log_likelihood, denoised)[0]
