"""Subtracts the whole log-determinant where the density has its square root.

points: test-repair 0, test-repair-many-data 0, total 15
"""


# base: reference
# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    C = noise_std**2 * torch.eye(J.shape[1]) + (J * prior_std**2) @ J.mT
    misfit = (residuals * torch.linalg.solve(C, residuals)).sum(1)
    return torch.log_softmax(-0.5 * misfit - torch.logdet(C), 0)
