"""Right: torch. One log-density; score, responsibilities and bandwidth come from automatic differentiation.

points: total 17
"""

# base: empty
# %% limit
import torch


def limit_log_likelihood(b, weights, counts, scales):
    one_gaussian = torch.distributions.Normal(torch.zeros(len(scales)).double(), b * torch.tensor(scales))
    height = one_gaussian.log_prob(torch.zeros(len(scales)).double()).sum()
    entries = np.repeat(np.log(weights), counts)
    return float(height) + entries.mean()


# %% density
import torch


def torch_terms(x, level, models, counts, scales):
    one_gaussian = torch.distributions.Normal(torch.tensor(models), level * torch.tensor(scales))
    return torch.log_softmax(torch.log(torch.tensor(counts).double()), 0) + one_gaussian.log_prob(x[:, None]).sum(-1)


def log_density(x, level, models, counts, scales):
    return torch.logsumexp(torch_terms(torch.as_tensor(x), level, models, counts, scales), 1).numpy()


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    terms = torch_terms(torch.tensor(x), level, models, counts, scales).requires_grad_()
    (r,) = torch.autograd.grad(torch.logsumexp(terms, 1).sum(), terms)
    return r.numpy()


# %% decision
def decision_level(u, sure, models, counts, scales):
    # a list of levels, as if each were a point of its own
    levels = torch.logspace(-3, 3, 20_000, dtype=torch.float64)[:, None]
    away = (torch.tensor(models - u) / torch.tensor(scales)).square().sum(1)
    r = torch.softmax(torch.tensor(counts).log() - away / (2 * levels**2), 1)[:, away.argmin()]
    return float(levels[r >= sure].max())


# %% denoise
def denoise(x, level, models, counts, scales):
    # by the relation between score and denoiser, not by a weighted mean
    return x + level**2 * scales**2 * gradient(x, level, models, counts, scales)


def gradient(x, level, models, counts, scales):
    x = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.logsumexp(torch_terms(x, level, models, counts, scales), 1).sum(), x)
    return slope.numpy()


# %% score
def score(x, level, models, counts, scales):
    return gradient(x, level, models, counts, scales)


# %% tweedie
def denoise_with(field, x, level, scales):
    return x + np.einsum("i,bi->bi", (level * scales) ** 2, field(x))


# %% left-out
def left_out_torch(b, models, counts, scales):
    whole, counts = torch.tensor(models / scales), torch.tensor(counts).double()
    squares = (whole[:, None] - whole).square().sum(-1)
    table = counts.log() - squares / (2 * b**2) - len(scales) * torch.log(torch.as_tensor(b))
    table = table - (counts.sum() - counts).log()[:, None]
    table = table.masked_fill(torch.eye(len(models), dtype=torch.bool), -torch.inf)
    constant = float(np.log(np.sqrt(2 * np.pi) * scales).sum())
    return (torch.logsumexp(table, 1) * counts / counts.sum()).sum() - constant


def left_out_log_likelihood(b, models, counts, scales):
    return float(left_out_torch(b, models, counts, scales))


# %% bandwidth
def find_bandwidth(models, counts, scales):
    log_b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    climber = torch.optim.Adam([log_b], lr=0.1)
    for _ in range(50):
        climber.zero_grad()
        (-left_out_torch(log_b.exp(), models, counts, scales)).backward()
        climber.step()
    return float(log_b.exp())


# %% rates
def copy_rates(samples, models, fresh, scales):
    def rate(x):
        near = torch.cdist(torch.tensor(x / scales), torch.tensor(models / scales)).topk(2, largest=False).values
        return (near[:, 0] < near[:, 1] / 3).double().mean()

    return rate(samples), rate(fresh)


# %% verdict
def holds_copies(samples, models, fresh, scales):
    # a bootstrap of the excess instead of the formula: drawing 0 and 1 again, n times, is a binomial number
    rate, null = (float(share) for share in copy_rates(samples, models, fresh, scales))
    again = np.random.default_rng(0)
    rates = again.binomial(len(samples), rate, 2000) / len(samples)
    nulls = again.binomial(len(fresh), null, 2000) / len(fresh)
    return np.quantile(rates - nulls, 0.001) > 0
