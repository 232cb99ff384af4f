"""Exponentiates first and normalizes as pdf / sum(pdf): right in exact arithmetic, zero over zero for real records.

points: test-lookup-misfit 1, test-lookup-log-domain 0, test-quadrature 1, test-quadrature-log-domain 0, total 15
"""


# base: reference
# %% lookup
def lookup_log_weights(predictions, d_obs, noise_std):
    pdf = torch.exp(-(predictions - d_obs).square().sum(1) / (2 * noise_std**2))
    return (pdf / pdf.sum()).log()


# %% quadrature
def quadrature_log_weights(forward, models, prior_std, d_obs, noise_std):
    grid = torch.cartesian_prod(*2 * [torch.linspace(-6, 6, 121)])
    pdf = torch.exp(-0.5 * grid.square().sum(1))
    mass = []
    for x in models:
        residuals = (d_obs - forward(x + grid * prior_std)) / noise_std
        mass.append((pdf * torch.exp(-0.5 * residuals.square().sum(1))).sum())
    weights = torch.stack(mass) / torch.stack(mass).sum()
    return weights.log()
