"""Reports a rate with an interval of its own and no null: both priors come out as memorized.

points: test-rate 0, test-interval 0, test-null-prior 1, test-null-posterior 1,
    test-memorized 1, test-numbers 0, total 13
"""
# base: reference
# %% evidence
def evidence(samples, null, threshold):
    copied = (ratio(samples) < threshold).double()
    rate, half = float(copied.mean()), 1.96 * float(copied.var() / len(copied)) ** 0.5
    return {"rate": rate, "null_rate": 0.0, "interval": (rate - half - 1e-9, rate + half + 1e-9)}
