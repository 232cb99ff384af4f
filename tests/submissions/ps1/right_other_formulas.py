"""Right: whitened coordinates, repeated entries in place of shares, SciPy's routines, closed form where there is one.

points: total 17
"""

# base: reference
# %% limit
def limit_log_likelihood(b, weights, counts, scales):
    from scipy.stats import entropy

    q = np.array(counts) / np.sum(counts)
    cross_entropy = entropy(q) + entropy(q, weights)
    volume = np.prod(np.sqrt(2 * np.pi) * b * scales)
    return -cross_entropy - np.log(volume)


# %% density
def log_density(x, level, models, counts, scales):
    from scipy.special import logsumexp

    all_entries = np.repeat(models, counts, axis=0)
    here, there = x / scales, all_entries / scales
    squares = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
    log_sum = logsumexp(-squares / 2 / level**2, axis=1)
    return log_sum - np.log(len(all_entries)) - np.log(np.sqrt(2 * np.pi) * level * scales).sum()


# %% responsibilities
def responsibilities(x, level, models, counts, scales):
    from scipy.spatial.distance import cdist
    from scipy.special import softmax

    return softmax(np.log(counts) - cdist(x / scales, models / scales) ** 2 / (2 * level**2), axis=1)


# %% decision
def decision_level(u, sure, models, counts, scales):
    from scipy.optimize import brentq

    squares = np.sum(((models - u) / scales) ** 2, axis=1)
    first = np.argmin(squares)
    gap, odds = np.delete(squares - squares[first], first), np.delete(counts / counts[first], first)
    if len(gap) == 1:  # closed form
        return float(np.sqrt(gap[0] / (2 * np.log(odds[0] * sure / (1 - sure)))))
    excess = lambda p: (odds * np.exp(-np.exp(p) * gap)).sum() - (1 / sure - 1)  # p: log of 1 / (2 level^2)
    return float(np.exp(-0.5 * brentq(excess, -30, 30)) / np.sqrt(2))


# %% denoise
def denoise(x, level, models, counts, scales):
    # all models but the last as corrections of the last
    r = responsibilities(x, level, models, counts, scales)
    return models[-1] + r[:, :-1] @ (models[:-1] - models[-1])


# %% score
def score(x, level, models, counts, scales):
    # central differences of the log-density, five points
    h, columns = 1e-3, []
    for i in range(x.shape[1]):
        e = np.zeros(x.shape[1])
        e[i] = h
        f = [log_density(x + k * e, level, models, counts, scales) for k in (-2, -1, 1, 2)]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h))
    return np.stack(columns, 1)


# %% tweedie
def denoise_with(field, x, level, scales):
    return x + field(x) @ np.diag(np.square(level * scales))


# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    values = []
    for n in range(len(models)):
        keep = np.arange(len(models)) != n
        values.append(log_density(models[n : n + 1], b, models[keep], counts[keep], scales)[0])
    return np.average(values, weights=counts)


# %% bandwidth
def find_bandwidth(models, counts, scales):
    from scipy.optimize import minimize_scalar

    loss = lambda p: -left_out_log_likelihood(np.exp(p), models, counts, scales)
    found = minimize_scalar(loss, bounds=(np.log(0.01), np.log(10)), method="bounded")
    return float(np.exp(found.x))


# %% rates
def copy_rates(samples, models, fresh, scales):
    from scipy.spatial import KDTree

    tree = KDTree(models / scales)
    return np.array([np.mean(tree.query(x / scales, 2)[0] @ np.array([3, -1]) < 0) for x in (samples, fresh)])


# %% verdict
def holds_copies(samples, models, fresh, scales):
    from scipy.stats import fisher_exact

    rate, null = copy_rates(samples, models, fresh, scales)
    a, b = round(rate * len(samples)), round(null * len(fresh))
    return fisher_exact([[a, len(samples) - a], [b, len(fresh) - b]], alternative="greater")[1] < 0.001
