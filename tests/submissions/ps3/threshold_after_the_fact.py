"""Moves the threshold until the null has no copies left: a rule that was chosen after looking.

points: test-rate 0, test-interval 0, test-null-prior 1, test-null-posterior 1,
    test-memorized 1, test-numbers 0, total 13
"""
# base: reference
# %% evidence
def evidence(samples, null, threshold):
    threshold = float(ratio(null).min())
    found = memorization_rate(shallow(samples), shallow(training), shallow(null), rule="nearest-ratio",
                              threshold=threshold, generator=seeded(0))
    return {"rate": found.rate, "null_rate": found.null_rate, "interval": found.interval}
