"""Knows the determinant but takes the logarithm of a number that underflows with a few hundred data.

points: test-repair 1, test-repair-many-data 0, total 16
"""


# base: reference
# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    C = noise_std**2 * torch.eye(J.shape[1]) + (J * prior_std**2) @ J.mT
    misfit = (residuals * torch.linalg.solve(C, residuals)).sum(1)
    return torch.log_softmax(-0.5 * misfit - 0.5 * torch.log(torch.linalg.det(C)), 0)
