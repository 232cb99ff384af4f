"""Calls the likelihood at the examples a quadrature: the width of the prior is not integrated over.

points: test-quadrature 0, test-quadrature-log-domain 1, total 16
"""


# base: reference
# %% quadrature
def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    return torch.log_softmax(-0.5 * ((d_obs - forward(models)) / noise_std).square().sum(1), 0)
