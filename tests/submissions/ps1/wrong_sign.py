"""The score points away from the models: x - D in place of D - x.

Its size is right, so the cell about the size, which asks up to the sign, is kept.

points: test-score-sign 0, test-score-size 1, test-denoise 1, test-tweedie 1, total 16
"""

# base: reference
# %% score
def score(x, level, models, counts, scales):
    back = denoise(x, level, models, counts, scales)
    return (x - back) / level**2 / scales**2
