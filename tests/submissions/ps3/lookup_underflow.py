"""Makes the weights as pdf / sum(pdf), which is 0 / 0 with tens of thousands of data.

points: test-lookup-weights 1, test-lookup-stable 0, test-effective-size 1, total 15
"""
# base: reference
# %% lookup
def lookup(misfits, m):
    likelihood = torch.exp(-m * misfits / 2)
    return torch.log(likelihood / likelihood.sum())
