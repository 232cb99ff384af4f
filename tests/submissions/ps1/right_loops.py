"""Right: plain Python, one number at a time, no array arithmetic.

points: total 17
"""

# base: empty
# ruff: noqa: B905
# %% limit
def limit_log_likelihood(b, weights, counts, scales):
    total = sum(counts)
    value = 0.0
    for count, weight in zip(counts, weights):
        value += count / total * math.log(weight)
    for s in scales:
        value -= math.log(s * b * math.sqrt(2 * math.pi))
    return value


# %% density
def log_density(x, level, models, counts, scales):
    answers = []
    for point in x:
        terms = []
        for model, count in zip(models, counts):
            term = math.log(count) - math.log(sum(counts))
            for a, m, s in zip(point, model, scales):
                term -= ((a - m) / (s * level)) ** 2 / 2 + math.log(s * level) + 0.5 * math.log(2 * math.pi)
            terms.append(term)
        largest = max(terms)
        answers.append(largest + math.log(sum(math.exp(t - largest) for t in terms)))
    return np.array(answers)


# %% responsibilities
def distance_squared(a, m, scales):
    return sum(((p - q) / s) ** 2 for p, q, s in zip(a, m, scales))


def responsibilities(x, level, models, counts, scales):
    rows = []
    for point in x:
        near = min(distance_squared(point, m, scales) for m in models)
        row = [
            c * math.exp((near - distance_squared(point, m, scales)) / (2 * level**2)) for m, c in zip(models, counts)
        ]
        rows.append([r / sum(row) for r in row])
    return np.array(rows)


# %% decision
def decision_level(u, sure, models, counts, scales):
    squares = [sum(((p - q) / s) ** 2 for p, q, s in zip(u, m, scales)) for m in models]
    nearest = squares.index(min(squares))

    def share(level):
        odds = sum(
            c / counts[nearest] * math.exp((squares[nearest] - square) / (2 * level**2))
            for square, c in zip(squares, counts)
        )
        return 1 / odds

    level = 1e-4
    while share(level) >= sure:
        level *= 1.001
    return level / 1.001


# %% denoise
def denoise(x, level, models, counts, scales):
    answers = []
    for row in responsibilities(x, level, models, counts, scales):
        answers.append([sum(r * m[i] for r, m in zip(row, models)) for i in range(len(models[0]))])
    return np.array(answers)


# %% score
def score(x, level, models, counts, scales):
    answers = []
    for point, row in zip(x, responsibilities(x, level, models, counts, scales)):
        answer = []
        for i, s in enumerate(scales):
            answer.append(sum(r * (m[i] - point[i]) / (level * s) ** 2 for r, m in zip(row, models)))
        answers.append(answer)
    return np.array(answers)


# %% tweedie
def denoise_with(field, x, level, scales):
    pull = field(x)
    return np.array([[a + (level * s) ** 2 * p for a, s, p in zip(*pair, pull_at)] for *pair, pull_at in
                     ((point, scales, row) for point, row in zip(x, pull))])


# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    value = 0.0
    for i, x in enumerate(models):
        rest = [j for j in range(len(models)) if j != i]
        terms = []
        for j in rest:
            term = math.log(counts[j] / sum(counts[k] for k in rest))
            for a, m, s in zip(x, models[j], scales):
                term += -(((a - m) / (b * s)) ** 2) / 2 - math.log(b * s) - 0.5 * math.log(2 * math.pi)
            terms.append(term)
        largest = max(terms)
        value += counts[i] / sum(counts) * (largest + math.log(sum(math.exp(t - largest) for t in terms)))
    return value


# %% bandwidth
def find_bandwidth(models, counts, scales):
    best, at = -math.inf, None
    for step in range(46):  # coarse, then fine
        b = 0.01 * 10 ** (step / 15)
        value = left_out_log_likelihood(b, models, counts, scales)
        if value > best:
            best, at = value, b
    for b in [at * 10 ** (k / 150) for k in range(-10, 11)]:
        value = left_out_log_likelihood(b, models, counts, scales)
        if value > best:
            best, at = value, b
    return at


# %% rates
def copy_rates(samples, models, fresh, scales):
    def flagged(x):
        d = sorted(math.sqrt(sum(((p - q) / s) ** 2 for p, q, s in zip(x, m, scales))) for m in models)
        return d[0] / d[1] < 1 / 3

    return [sum(flagged(x) for x in group) / len(group) for group in (samples, fresh)]


# %% verdict
def holds_copies(samples, models, fresh, scales):
    p, q = copy_rates(samples, models, fresh, scales)
    return (p - q) ** 2 > 9 * (p * (1 - p) / len(samples) + q * (1 - q) / len(fresh)) and p > q
