"""Private variants of assignment 1: other data and numbers, another noise process, metric, weighting and field."""

import random

# The noise process: what the model is multiplied by before the noise comes on top, in formulas and in code.
KEEP = {
    "preserving": (r"\sqrt{1 - t^2}\,", "np.sqrt(1 - level**2)", "(1 - middle**2)"),
    "interpolant": ("(1 - t)\\,", "(1 - level)", "(1 - middle) ** 2"),
}


def replacements(seed):
    """Pairs (old text, new text) that turn the published assignment into the variant of this seed; none for seed 0.

    They are applied one after the other, each to all places. The published one has the process x_0 + sigma z, one scale
    for each parameter, counts, and asks for the score; a variant differs in all of these but the last, which may stay.
    """
    if seed == 0:
        return []
    choose = random.Random(seed)
    process, metric = choose.choice(sorted(KEEP)), choose.choice(["variances", "covariance"])
    weights, field = choose.choice(["entries", "log_shares"]), choose.choice(["score", "energy", "noise"])
    return [
        ("VARIANT = 0", f"VARIANT = {seed}"),
        *_field(field, *KEEP[process]),
        *_process(*KEEP[process]),
        *_metric(metric, powers=field != "noise"),
        *_weights(weights),
    ]


def _process(formula, keep, squared):
    return [
        (
            "add noise of *noise level* $\\sigma$\nthat respects the units:",
            "shrink it and add noise\nthat respects the units, both set by the *noise level* $t$:",
        ),
        (
            "$$x_\\sigma = x_0 + \\sigma z, \\qquad z \\sim \\mathcal{N}(0, S), \\qquad \\sigma > 0.$$",
            f"$$x_t = {formula} x_0 + t z, \\qquad z \\sim \\mathcal{{N}}(0, S), \\qquad 0 < t < 1.$$",
        ),
        (
            "Look at one place $u$ while the noise falls, starting with much.",
            f"Follow the noisy point $x = {formula} u$ of one place $u$ while the noise falls, starting near $t = 1$.",
        ),
        (
            "Find the\nlargest level at which",
            "Find the\nlargest level below 1 at which",
        ),
        ("x[:, None] - models", f"x[:, None] - {keep} * models"),
        ("centre = models", f"centre = {keep} * models"),
        ("place = u[None]", f"place = {keep} * u[None]"),
        ("squares / (2 * middle**2)", f"{squared} * squares / (2 * middle**2)"),
        ("low, high = 1e-9, 1e9", "low, high = 1e-9, 1 - 1e-9"),
        ("keep = 1.0", f"keep = {keep}"),
        ("\\sigma", "t"),
    ]


def _field(kind, formula, keep, squared):
    """The field asked for, its numbers in the tests, and the denoiser made from it (all with the factor ``keep``)."""
    toward, away = f"({keep} * back - x)", f"(x - {keep} * back)"
    if kind == "score":
        return [
            ("(back - x) / level**2", f"{toward} / level**2"),
            ("return x + level**2 * field(x) * scales**2", f"return (x + level**2 * field(x) * scales**2) / {keep}"),
        ]
    other_way = [("direction = -u", "direction = u")]
    if kind == "energy":
        return other_way + [
            ("denoiser, score, and the way back", "denoiser, energy gradient, and the way back"),
            (
                "the *score* is the gradient\n$\\nabla_x \\log p_\\sigma(x)$.",
                "the *energy gradient*, which\nsome codes store, is $\\nabla_x \\bigl[-\\log p_\\sigma(x)\\bigr]$.",
            ),
            ("def score(", "def energy_gradient("),
            ("call(score,", "call(energy_gradient,"),
            ('"score": right_field', '"energy_gradient": right_field'),
            ('"""The gradient of log_density at', '"""The gradient of the energy, -log_density, at'),
            (
                "wrong sign: the gradient of the log-density points to where the density grows, to the model",
                "wrong sign: the gradient of the energy points to where the density falls, away from the model",
            ),
            ("gives you its score,", "gives you its energy gradient,"),
            ("returns $\\nabla \\log p_\\sigma$ there", "returns $-\\nabla \\log p_\\sigma$ there"),
            ("(back - x) / level**2", f"{away} / level**2"),
            ("expected = slopes", "expected = -slopes"),
            ("return x + level**2 * field(x) * scales**2", f"return (x - level**2 * field(x) * scales**2) / {keep}"),
            ("return -(x - keep * m)", "return (x - keep * m)"),
        ]
    return other_way + [
        ("denoiser, score, and the way back", "denoiser, predicted noise, and the way back"),
        (
            "the *score* is the gradient\n$\\nabla_x \\log p_\\sigma(x)$.",
            "the *predicted noise*, which\nmost networks return, is the mean of $z$ given $x_\\sigma = x$.",
        ),
        ("def score(", "def predicted_noise("),
        ("call(score,", "call(predicted_noise,"),
        ('"score": right_field', '"predicted_noise": right_field'),
        ('"""The gradient of log_density at', '"""E[z | noisy point x] for'),
        (
            "wrong sign: the gradient of the log-density points to where the density grows, to the model",
            "wrong sign: the noise leads from the model to the noisy point",
        ),
        ("gives you its score,", "gives you its predicted noise,"),
        ("returns $\\nabla \\log p_\\sigma$ there", "returns the mean of $z$ there"),
        ("(back - x) / level**2 / scales**2", f"{away} / level"),
        ("expected = slopes", "expected = -level * slopes @ np.diag(scales**2)"),
        ("return x + level**2 * field(x) * scales**2", f"return (x - level * field(x)) / {keep}"),
        ("return -(x - keep * m) / total @ np.diag(1 / scales**2)", "return level * (x - keep * m) / total"),
    ]


def _metric(name, powers):
    """What stands for the units: variances, or a covariance matrix; ``powers``: the field that is asked for holds S."""
    new = {
        "variances": {
            "text": "- `variances` [d] holds one variance $v_i$ for each parameter, in that parameter's unit squared.\n"
            "  Put $S = \\operatorname{diag}(v_1, \\dots, v_d)$. All distances are measured in these units:\n"
            "  $\\lVert u \\rVert_S^2 = u^{\\top} S^{-1} u = \\sum_i u_i^2 / v_i$.",
            "invent": "variances = rng.uniform(0.4, 2.5, d) ** 2",
            "library": "library_variances = np.array([64.0, 0.09, 0.1225])  # m^2, km^2/s^2, km^2/s^2",
            "unit": "unit = np.ones(2)",
            "log": "0.5 * np.log(variances).sum()",
            "spread": "* np.sqrt(library_variances)",
            "precision": "np.diag(1 / variances)",
            "matrix": "np.diag(variances)",
            "divide": "/ variances",
            "times": "* variances",
            "whiten": "/ np.sqrt(variances))",
        },
        "covariance": {
            "text": "- `covariance` [d, d] is a symmetric, positive matrix $S$ in the parameters' units. Parameters\n"
            "  that vary together have entries off its diagonal. All distances are measured with it:\n"
            "  $\\lVert u \\rVert_S^2 = u^{\\top} S^{-1} u$.",
            "invent": "mix = rng.standard_normal((d, d))\n    covariance = mix @ mix.T / d + 0.2 * np.eye(d)",
            "library": "library_covariance = np.array([[64.0, 0.5, 0.3], [0.5, 0.09, 0.06], [0.3, 0.06, 0.1225]])"
            "  # from m and km/s",
            "unit": "unit = np.eye(2)",
            "log": "0.5 * np.linalg.slogdet(covariance)[1]",
            "spread": "@ np.linalg.cholesky(library_covariance).T",
            "precision": "np.linalg.inv(covariance)",
            "matrix": "covariance",
            "divide": "@ np.linalg.inv(covariance)",
            "times": "@ covariance",
            "whiten": "@ np.linalg.inv(np.linalg.cholesky(covariance)).T)",
        },
    }[name]
    return [
        (
            "- `scales` [d] holds one length $s_i$ for each parameter, in that parameter's unit. Put\n"
            "  $S = \\operatorname{diag}(s_1^2, \\dots, s_d^2)$. All distances are measured in these units:\n"
            "  $\\lVert u \\rVert_S^2 = u^{\\top} S^{-1} u = \\sum_i (u_i / s_i)^2$.",
            new["text"],
        ),
        ("scales = rng.uniform(0.4, 2.5, d)", new["invent"]),
        ("library_scales = np.array([8.0, 0.3, 0.35])  # m, km/s, km/s", new["library"]),
        ("unit = np.ones(2)", new["unit"]),
        ("np.log(scales).sum()", new["log"]),
        ("* library_scales", new["spread"]),
        ("np.diag(1 / scales**2)", new["precision"]),
        ("np.diag(scales**2)", new["matrix"]),
        *([("/ scales**2", new["divide"]), ("* scales**2", new["times"])] if powers else []),
        ("/ scales)", new["whiten"]),
        ("scales", name),
    ]


def _weights(name):
    """How the library says what was stored several times: a list of entries, or logarithms of shares."""
    new = {
        "entries": {
            "text": "Entry $k$ of the library is a copy of\n  model `entries[k]`, counted from 0; `entries` [C] holds "
            "these integers, and $c_n$ of them equal $n$.",
            "invent": "stored = rng.permutation(np.arange(n) % 4 + 1)\n"
            "    entries = rng.permutation(np.repeat(np.arange(n), stored))",
            "library": "stored_times = rng.permutation(np.arange(24) % 4 + 1)\n"
            "library_entries = rng.permutation(np.repeat(np.arange(24), stored_times))",
            "of_library": "np.bincount(library_entries) / len(library_entries)",
            "shares": "np.bincount(entries) / len(entries)",
        },
        "log_shares": {
            "text": "Model $n$ was stored $c_n$ times, but these\n  numbers were lost: `log_shares` [N] holds "
            "$\\log q_n$ instead.",
            "invent": "stored = rng.permutation(np.arange(n) % 4 + 1)\n    log_shares = np.log(stored / stored.sum())",
            "library": "stored_times = rng.permutation(np.arange(24) % 4 + 1)\n"
            "library_log_shares = np.log(stored_times / stored_times.sum())",
            "of_library": "np.exp(library_log_shares)",
            "shares": "np.exp(log_shares)",
        },
    }[name]
    return [
        ("Model $n$ was stored $c_n$ times; `counts` [N]\n  holds these integers.", new["text"]),
        ("library_counts = rng.permutation(np.arange(24) % 4 + 1)", new["library"]),
        ("library_counts / library_counts.sum()", new["of_library"]),
        (" counts = rng.permutation(np.arange(n) % 4 + 1)", " " + new["invent"]),
        ("counts / counts.sum()", new["shares"]),
        ("counts", name),
    ]
