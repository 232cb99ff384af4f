"""Adds half the log-determinant: rewards freedom instead of charging for it.

points: test-disguise 1, test-expose 1, test-repair 0, test-repair-many-data 0, total 15
"""


# base: reference
# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    C = noise_std**2 * torch.eye(J.shape[1]) + (J * prior_std**2) @ J.mT
    misfit = (residuals * torch.linalg.solve(C, residuals)).sum(1)
    return torch.log_softmax(-0.5 * misfit + 0.5 * torch.logdet(C), 0)
