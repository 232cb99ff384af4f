"""Variants of the tiny assignment: the factor is another one."""


def replacements(seed):
    """Pairs of old and new text."""
    if seed == 0:
        return []
    factor = 2 + seed
    return [
        ("VARIANT = 0\nFACTOR = 2", f"VARIANT = {seed}\nFACTOR = {factor}"),
        ("Multiply `x` by 2.", f"Multiply `x` by {factor}."),
        ("x * FACTOR", f"x * {factor}.0"),
        ("scale(3.5), 7.0", f"scale(3.5), {3.5 * factor}"),
    ]
