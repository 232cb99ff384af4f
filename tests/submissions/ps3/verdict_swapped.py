"""Mixes up the suspects: the other prior is convicted, by the other's numbers.

points: test-memorized 0, test-numbers 0, total 14
"""
# base: reference
# %% memorized
memorized = "A"

# %% numbers
numbers = {name: evidence(runs[other], null_for("posterior"), THRESHOLD) for name, other in (("A", "B"), ("B", "A"))}
