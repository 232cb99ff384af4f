"""Takes the size of a Jacobian for its determinant: two of equal norm, but one of them leans on the wider coordinate.

points: test-disguise 0, test-expose 1, test-repair 1, total 16
"""


# base: reference
# %% disguise
def disguise():
    J = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]])
    return J, torch.tensor([[0.5, 0.0], [0.0, 1.5]]), torch.tensor([0.2, 1.0]), 0.5
