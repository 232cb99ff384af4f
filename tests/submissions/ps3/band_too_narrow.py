"""Takes the mean of m squares to scatter by 1 / sqrt(m): the square of a normal number has variance 2, not 1.

points: test-misfit 1, test-band 0, total 15
"""
# base: reference
# %% band
def band(m):
    return 1 - 3 / m**0.5, 1 + 3 / m**0.5
