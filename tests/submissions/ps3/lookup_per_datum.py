"""Forgets that the log-likelihood is a sum over m data: weights from the misfit per datum.

points: test-lookup-weights 0, test-lookup-stable 1, test-effective-size 1, total 15
"""
# base: reference
# %% lookup
def lookup(misfits, m):
    return torch.log_softmax(-misfits / 2, 0)
