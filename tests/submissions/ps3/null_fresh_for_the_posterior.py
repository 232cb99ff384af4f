"""Holds posterior samples against fresh models, which feel no data: the prior that has not memorized is convicted, too.

points: test-rate 1, test-interval 1, test-null-prior 1, test-null-posterior 0,
    test-memorized 1, test-numbers 0, total 14
"""
# base: reference
# %% null-for
def null_for(question):
    return fresh
