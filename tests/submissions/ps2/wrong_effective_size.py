"""Counts the examples by one over the largest weight, and scales log-weights with the ratio of the deviations.

points: test-effective-size 0, test-new-noise 0, total 15
"""


# base: reference
# %% effective-size
def effective_size(log_weights):
    return 1 / log_weights.max().exp()


# %% new-noise
def new_noise(log_weights, old_std, new_std):
    return torch.log_softmax(log_weights * old_std / new_std, 0)
