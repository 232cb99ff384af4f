"""Measures the misfit by the norm of the residual, not by its square.

points: test-lookup-misfit 0, test-lookup-noise 1, test-lookup-log-domain 1, total 16
"""


# base: reference
# %% lookup
def lookup_log_weights(predictions, d_obs, noise_std):
    misfit = torch.linalg.vector_norm(predictions - d_obs, dim=1)
    return torch.log_softmax(-misfit / (2 * noise_std**2), 0)
