"""Takes the training models for the null: their own ratio is zero, so that nobody copies more than they do.

points: test-rate 1, test-interval 1, test-null-prior 0, test-null-posterior 0,
    test-memorized 1, test-numbers 0, total 13
"""
# base: reference
# %% null-for
def null_for(question):
    return training
