"""Forgets the half of the total variation.

points: test-shares 1, test-floor 0, total 15
"""
# base: reference
# %% floor
def floor(weights, number):
    total = 0.0
    for k in range(500):
        draws = torch.multinomial(weights, number, replacement=True, generator=seeded(k))
        found = torch.bincount(draws, minlength=len(weights)) / number
        total += float((found - weights).abs().sum()) / 500
    return total
