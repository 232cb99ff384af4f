"""Sees nothing wrong with the suspect: exposes it with large residuals alone, and repairs nothing.

points: test-disguise 1, test-expose 0, test-repair 0, test-repair-many-data 0, total 14
"""


# base: reference
# %% disguise
def disguise():
    J = torch.tensor([[[1.0]], [[-1.0]]])
    return J, torch.tensor([[0.3], [1.1]]), torch.tensor([0.4]), 0.5


# %% expose
def expose():
    J = torch.stack([2 * torch.eye(2), torch.eye(2)])
    return J, torch.tensor([[9.0, 9.0], [-5.0, 8.0]]), torch.tensor([1.0, 1.0]), 0.1


# %% repair
def repaired_log_weights(J, residuals, prior_std, noise_std):
    C = noise_std**2 * torch.eye(J.shape[1]) + (J * prior_std**2) @ J.mT
    return torch.log_softmax(-0.5 * (residuals * torch.linalg.solve(C, residuals)).sum(1), 0)
