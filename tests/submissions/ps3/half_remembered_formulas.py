"""Formulas half remembered: each slip costs its own point and nothing else.

The squares are divided by the noise's standard deviation; the square of a normal number is taken to have variance 1;
the log-likelihood is per datum; the guidance leaves out the noise; the total variation lacks its half.

points: test-misfit 0, test-band 0, test-lookup-weights 0, test-lookup-stable 1, test-effective-size 1,
    test-guidance-sign 1, test-guidance-direction 1, test-guidance-length 0, test-shares 1, test-floor 0, total 11
"""
# base: reference
# %% misfit
def misfit(data, d_obs, noise_std):
    return ((data - d_obs) ** 2).mean(dim=1) / noise_std

# %% band
def band(m):
    return 1 - 3 / m**0.5, 1 + 3 / m**0.5

# %% lookup
def lookup(misfits, m):
    return torch.log_softmax(-misfits / 2, 0)

# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    x = x.detach().clone().requires_grad_()
    (-(d_obs - forward(denoise(x, sigma))).pow(2).sum() / 2).backward()
    return x.grad

# %% floor
def floor(weights, number):
    total = 0.0
    for k in range(500):
        draws = torch.multinomial(weights, number, replacement=True, generator=seeded(k))
        found = torch.bincount(draws, minlength=len(weights)) / number
        total += float((found - weights).abs().sum()) / 500
    return total
