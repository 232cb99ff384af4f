"""Right, with the library wherever it has something, a larger null of its own and the normal interval.

points: test-guidance-length 1, test-null-posterior 1, total 16
"""
# base: empty
# %% misfit
def misfit(data, d_obs, noise_std):
    return torch.nn.functional.mse_loss(data, d_obs.expand_as(data), reduction="none").mean(-1) / noise_std**2

# %% band
def band(m):
    half = 3 * (2 / m) ** 0.5
    return torch.tensor(1 - half), torch.tensor(1 + half)

# %% lookup
def lookup(misfits, m):
    from lib.posterior import lookup_weights
    # The lookup for data of one number: its misfit is |0 - sqrt(m misfit)|^2.
    return lookup_weights(misfits[:, None], lambda x: (m * x).sqrt(), torch.zeros(1), 1.0)

# %% effective-size
def effective_size(log_weights):
    return effective_sample_size(log_weights)

# %% guidance
def guidance(x, sigma, denoise, forward, d_obs, noise_std):
    from lib.guidance import denoise_and_gradient
    return denoise_and_gradient(denoise, forward, d_obs, x, sigma)[1] / noise_std**2

# %% shares
def shares(samples, examples):
    from lib.diagnostics import nearest_distances
    nearest = nearest_distances(samples, examples, 1)[1][:, 0]
    return torch.nn.functional.one_hot(nearest, len(examples)).double().mean(0)

# %% floor
def floor(weights, number):
    draws = [torch.multinomial(weights, number, replacement=True, generator=seeded(k)) for k in range(300)]
    distances = [total_variation(torch.bincount(d, minlength=len(weights)).double() / number, weights) for d in draws]
    return sum(distances) / len(distances)

# %% evidence
def evidence(samples, null, threshold):
    p, q = ((ratio(x) < threshold).double().mean().item() for x in (samples, null))
    half = 1.96 * math.sqrt(p * (1 - p) / len(samples) + q * (1 - q) / len(null))
    return {"rate": p, "null_rate": q, "interval": (p - q - half, p - q + half)}

# %% null-for
more = dps(priors["population"], forward, d_obs, noise_std, levels, (32, 12), generator=seeded(99), denoise_last=False)

def null_for(question):
    return field.sample(1000, generator=seeded(98)) if question == "prior" else torch.cat([runs["population"], more])

# %% memorized
rates = {name: evidence(drawn[name], null_for("prior"), THRESHOLD)["rate"] for name in ("A", "B")}
memorized = max(rates, key=rates.get)

# %% numbers
numbers = {name: evidence(runs[name], null_for("posterior"), THRESHOLD) for name in ("A", "B")}
