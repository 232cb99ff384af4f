"""Habits of code: absolute residuals, weights as pdf / sum(pdf), one norm for the whole batch, a count as a size.

With tens of thousands of data the weights are 0 / 0. The gradient of one norm over the batch couples the samples, and
the noise cancels in it. The number of models with a noticeable weight is not the effective sample size.

points: test-misfit 0, test-band 1, test-lookup-weights 1, test-lookup-stable 0, test-effective-size 0,
    test-guidance-sign 1, test-guidance-direction 1, test-guidance-length 0, test-shares 1, test-floor 1, total 12
"""
# base: reference
# %% misfit
def misfit(data, d_obs, noise_std):
    return ((data - d_obs) / noise_std).abs().mean(1)

# %% lookup
def lookup(misfits, m):
    likelihood = torch.exp(-m * misfits / 2)
    return torch.log(likelihood / likelihood.sum())

# %% effective-size
def effective_size(log_weights):
    return int((log_weights.exp() > 0.01).sum())

# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    x = x.detach().clone().requires_grad_()
    misfit = torch.linalg.vector_norm(d_obs - forward(denoise(x, sigma)))
    return -torch.autograd.grad(misfit, x)[0]
