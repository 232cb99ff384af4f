"""Loops over examples, data and grid rows with plain numbers wherever it can; a hand-made log-sum-exp.

points: test-lookup-log-domain 1, test-quadrature 1, test-repair 1, test-peak-curved 1, total 17
"""
# base: empty
# %% lookup
def normalized(logs):
    top = max(logs)
    total = top + math.log(sum(math.exp(value - top) for value in logs))
    return torch.tensor([value - total for value in logs])


def lookup_log_weights(predictions, d_obs, noise_std):
    logs = []
    for row in predictions.tolist():
        misfit = sum((a - b) ** 2 for a, b in zip(row, d_obs.tolist(), strict=True))
        logs.append(-misfit / (2 * noise_std**2))
    return normalized(logs)


# %% effective-size
def effective_size(log_weights):
    return 1 / sum(math.exp(value) ** 2 for value in log_weights.tolist())


# %% new-noise
def new_noise(log_weights, old_std, new_std):
    scaled = [value * old_std**2 / new_std**2 for value in log_weights.tolist()]
    top = max(scaled)
    total = top + math.log(sum(math.exp(value - top) for value in scaled))
    return [value - total for value in scaled]


# %% jacobians
def jacobians(models):
    result = torch.zeros(len(models), len(stations), 2)
    for n, (p, z) in enumerate(models.tolist()):
        for i, s in enumerate(stations.tolist()):
            r2 = (p - s) ** 2 + z**2
            result[n, i, 0] = -z * 2 * (p - s) / r2**2
            result[n, i, 1] = 1 / r2 - 2 * z**2 / r2**2
    return result


# %% covariances
def posterior_covariances(J, prior_std, noise_std):
    result = []
    for matrix in J:
        precision = torch.zeros(J.shape[2], J.shape[2])
        for row in matrix:
            precision += torch.outer(row, row) / noise_std**2
        for k in range(len(prior_std)):
            precision[k, k] += 1 / prior_std[k] ** 2
        result.append(precision.inverse())
    return torch.stack(result)


# %% means
def posterior_means(models, J, residuals, covariances, noise_std):
    result = models.clone()
    for n in range(len(models)):
        for i in range(J.shape[1]):
            result[n] += covariances[n] @ J[n, i] * residuals[n, i] / noise_std**2
    return result


# %% disguise
def disguise():
    J = torch.tensor([[[3.0]], [[-3.0]]])
    return J, torch.tensor([[0.1], [1.6]]), torch.tensor([0.3]), 0.4


# %% expose
def expose():
    J = torch.tensor([[[100.0]], [[0.0]]])
    return J, torch.tensor([[0.0], [0.0306]]), torch.tensor([10.0]), 0.01


# %% quadrature
def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    logs = []
    for p0, z0 in models.tolist():
        pieces = []
        for a in range(-60, 61):
            a = a / 10
            b = torch.arange(-60, 61) / 10
            column = torch.stack([(p0 + a * prior_std[0]).expand(121), z0 + b * prior_std[1]], 1)
            misfit = (d_obs - forward(column)).square().sum(1) / noise_std**2
            pieces.append(torch.logsumexp(-0.5 * (a**2 + b**2 + misfit), 0))
        logs.append(float(torch.logsumexp(torch.stack(pieces), 0)))
    top = max(logs)
    total = top + math.log(sum(math.exp(value - top) for value in logs))
    return torch.tensor([value - total for value in logs])


# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    logs = []
    for matrix, residual in zip(J, residuals, strict=True):
        C = noise_std**2 * torch.eye(len(residual))
        for k in range(len(prior_std)):
            C = C + prior_std[k] ** 2 * torch.outer(matrix[:, k], matrix[:, k])
        L = torch.linalg.cholesky(C)
        half_log_determinant = sum(math.log(value) for value in L.diagonal().tolist())
        logs.append(float(-0.5 * residual @ torch.cholesky_solve(residual[:, None], L)[:, 0]) - half_log_determinant)
    top = max(logs)
    total = top + math.log(sum(math.exp(value - top) for value in logs))
    return torch.tensor([value - total for value in logs])


# %% peak-distance
def peak_distance(forward, example, mean, covariance, prior_std, d_obs, noise_std):
    J = torch.autograd.functional.jacobian(lambda x: forward(x[None])[0], mean)
    slope = []
    for k in range(len(mean)):
        data = sum(J[i, k] * (d_obs[i] - forward(mean[None])[0, i]) for i in range(len(d_obs))) / noise_std**2
        slope.append(float(data - (mean[k] - example[k]) / prior_std[k] ** 2))
    square = sum(slope[k] * float(covariance[k, j]) * slope[j] for k in range(len(mean)) for j in range(len(mean)))
    return math.sqrt(square)


# %% [markdown] verdict
# The loops say the same as the matrices.
