"""Leaves out one entry, not the model: its other copies stay in and know the answer.

points: test-left-out 0, test-bandwidth 0, total 15
"""

# base: reference
# %% left-out
def left_out_log_likelihood(b, models, counts, scales):
    entries = np.repeat(models, counts, axis=0)
    squares = (((entries[:, None] - entries) / scales) ** 2).sum(-1)
    logits = -squares / (2 * b**2) - np.log(len(entries) - 1)
    np.fill_diagonal(logits, -np.inf)
    constant = 0.5 * len(scales) * np.log(2 * np.pi * b**2) + np.log(scales).sum()
    return np.logaddexp.reduce(logits, 1).mean() - constant


# %% bandwidth
def find_bandwidth(models, counts, scales):
    entries = np.repeat(models, counts, axis=0)
    squares = (((entries[:, None] - entries) / scales) ** 2).sum(-1)
    squares[np.diag_indices(len(entries))] = np.inf
    candidates = np.geomspace(0.01, 10, 200)
    values = [
        np.logaddexp.reduce(-squares / (2 * b**2), 1).mean() - len(scales) * np.log(b) for b in candidates
    ]
    return candidates[np.argmax(values)]
