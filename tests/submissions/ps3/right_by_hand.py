"""Right, with loops, formulas and quantiles in place of the library.

points: test-misfit 1, test-numbers 1, total 16
"""
# base: empty
# %% misfit
def misfit(data, d_obs, noise_std):
    return torch.stack([torch.dot(row - d_obs, row - d_obs) / (len(d_obs) * noise_std**2) for row in data])

# %% band
def band(m):
    from scipy.stats import chi2
    return chi2.ppf(0.0015, m) / m, chi2.ppf(0.9985, m) / m

# %% lookup
def lookup(misfits, m):
    logs = -0.5 * m * (misfits - misfits.min())
    return logs - math.log(sum(math.exp(v) for v in logs.tolist()))

# %% effective-size
def effective_size(log_weights):
    return sum(math.exp(2 * v) for v in log_weights.tolist()) ** -1

# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    rows = []
    for row in x:
        state = row[None].clone().detach().requires_grad_()
        denoised = denoise(state, sigma)
        data = forward(denoised)
        (pulled_back,) = torch.autograd.grad(data, denoised, (d_obs - data).detach() / noise_std**2, retain_graph=True)
        rows.append(torch.autograd.grad(denoised, state, pulled_back)[0][0])
    return torch.stack(rows)

# %% shares
def shares(samples, examples):
    counts = [0] * len(examples)
    for x in samples:
        distances = ((x - examples) ** 2).sum(1)
        counts[int(distances.argmin())] += 1
    return torch.tensor(counts) / len(samples)

# %% floor
def floor(weights, number):
    # E|K/n - w| of a binomial K, summed outcome by outcome; no simulation.
    from scipy.stats import binom
    total = 0.0
    for w in weights.tolist():
        total += sum(binom.pmf(k, number, w) * abs(k / number - w) for k in range(number + 1))
    return total / 2

# %% evidence
def evidence(samples, null, threshold):
    import numpy as np
    random_numbers = np.random.default_rng(1)
    mine, others = [(ratio(x) < threshold).numpy().astype(float) for x in (samples, null)]
    again = lambda values: random_numbers.choice(values, len(values)).mean()
    resampled = [again(mine) - again(others) for _ in range(3000)]
    return {"rate": mine.mean(), "null_rate": others.mean(), "interval": tuple(np.quantile(resampled, [0.025, 0.975]))}

# %% null-for
def null_for(question):
    if question == "prior":
        return torch.cat([fresh, candidates])
    return runs["population"]

# %% memorized
memorized = "B"

# %% numbers
numbers = {"A": evidence(runs["A"], runs["population"], 0.3), "B": evidence(runs["B"], runs["population"], 0.3)}

# %% [markdown] verdict
# B copies beside its null, A does not.
