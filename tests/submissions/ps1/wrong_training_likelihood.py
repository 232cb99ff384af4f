"""The bandwidth that makes the training likelihood largest: it ends at the lower end of the range.

points: test-left-out 1, test-bandwidth 0, total 16
"""

# base: reference
# %% bandwidth
def find_bandwidth(models, counts, scales):
    candidates = np.geomspace(0.01, 10, 200)
    q = counts / counts.sum()
    return max(candidates, key=lambda b: q @ log_density(models, b, models, counts, scales))
