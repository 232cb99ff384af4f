"""Convicts the prior whose samples fit best, for knowing the answers: a fit shows no memory.

points: test-memorized 0, test-numbers 1, total 15
"""
# base: reference
# %% memorized
best = {name: float(misfit(run_data[name], d_obs, noise_std).median()) for name in ("A", "B")}
memorized = min(best, key=best.get)
