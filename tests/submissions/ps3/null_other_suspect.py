"""Takes the other suspect for the null: whoever copies less is called clean by what was to be shown.

points: test-null-prior 0, test-null-posterior 0, total 14
"""
# base: reference
# %% null-for
def null_for(question):
    return {"prior": drawn, "posterior": runs}[question]["A"]

# %% numbers
numbers = {name: evidence(runs[name], runs["population"], THRESHOLD) for name in ("A", "B")}
