"""Private variants of assignment 2: one seed changes the map, the noise, the prior, the suspect, data and hidden tests.

Every list below holds exact replacements on the text of ps2.md, applied in their order; each first text occurs there.
Whatever the seed, map, noise, prior, suspect and the question on the noise differ from the published assignment, so
that its solution does not fit. Whoever edits ps2.md edits the texts here too: a text that is not found is refused.
"""

import random

Replacements = list[tuple[str, str]]

# ---------------------------------------------------------------------------------------------------------------- maps
_BODY = "A thin, heavy, horizontal body is buried under"
_FORMULA = r"$$x = (p, z), \qquad F_i(x) = \frac{z}{(p - s_i)^2 + z^2}, \qquad i = 1, \dots, 5,$$"
_MEANING = "and $F_i$ is the vertical attraction at station $i$ in mGal, for a body of unit strength."
_PARAMETERS = "the position $p$ of the body along the profile and its depth $z$, both in km:"
_MAP = """    p, z = models[:, :1], models[:, 1:]
    return z / ((p - stations) ** 2 + z**2)"""
_DRAW = "return torch.stack([p, z], 1)"
_TRUTH = "torch.tensor([[0.3, 1.3]])"
_JACOBIAN = """    u, z = models[:, :1] - stations, models[:, 1:]  # [N, 5], [N, 1]
    distance = u**2 + z**2
    return torch.stack([-2 * u * z / distance**2, (u**2 - z**2) / distance**2], 2)"""

MAPS: dict[str, Replacements] = {
    "ball": [
        (_BODY, "A small, heavy ball is buried under"),
        (_FORMULA, r"$$x = (p, z), \qquad F_i(x) = \frac{z}{((p - s_i)^2 + z^2)^{3/2}}, \qquad i = 1, \dots, 5,$$"),
        (_MAP, _MAP.replace("((p - stations) ** 2 + z**2)", "((p - stations) ** 2 + z**2) ** 1.5")),
        (
            _JACOBIAN,
            """    u, z = models[:, :1] - stations, models[:, 1:]  # [N, 5], [N, 1]
    distance = u**2 + z**2
    return torch.stack([-3 * u * z / distance**2.5, (u**2 - 2 * z**2) / distance**2.5], 2)""",
        ),
    ],
    "gradient": [
        (
            _FORMULA,
            r"$$x = (z, p), \qquad F_i(x) = \frac{z^2 - (p - s_i)^2}{((p - s_i)^2 + z^2)^2}, \qquad i = 1, \dots, 5,$$",
        ),
        (_MEANING, _MEANING.replace("attraction", "gradient of the attraction")),
        (_PARAMETERS, "the depth $z$ of the body and its position $p$ along the profile, both in km:"),
        (
            _MAP,
            """    z, u = models[:, :1], models[:, 1:] - stations
    return (z**2 - u**2) / (u**2 + z**2) ** 2""",
        ),
        (_DRAW, "return torch.stack([z, p], 1)"),
        (_TRUTH, "torch.tensor([[1.3, 0.3]])"),
        (
            _JACOBIAN,
            """    z, u = models[:, :1], models[:, 1:] - stations  # [N, 1], [N, 5]
    distance = u**2 + z**2
    return torch.stack([2 * z * (3 * u**2 - z**2) / distance**3, 2 * u * (u**2 - 3 * z**2) / distance**3], 2)""",
        ),
        ("mGal", "eötvös"),
    ],
    "logarithm": [
        (_FORMULA, _FORMULA.replace("(p, z)", r"(p, \ln z)")),
        (_PARAMETERS, "the position $p$ of the body along the profile and the logarithm of its depth $z$, both in km:"),
        (_MAP, _MAP.replace("models[:, 1:]\n", "models[:, 1:].exp()\n")),
        (_DRAW, "return torch.stack([p, z.log()], 1)"),
        (_TRUTH, "torch.tensor([[0.3, math.log(1.3)]])"),
        (
            _JACOBIAN,
            """    u, z = models[:, :1] - stations, models[:, 1:].exp()  # [N, 5], [N, 1]
    distance = u**2 + z**2
    return torch.stack([-2 * u * z / distance**2, z * (u**2 - z**2) / distance**2], 2)""",
        ),
    ],
}

# --------------------------------------------------------------------------------------------------------------- noise
_NOISE_ROW = "| number | the noise in every datum is independent, with this standard deviation (mGal) |"
_NOISE_LIKE = "return float(size)"
_LOOKUP = "log_likelihood = -(predictions - d_obs).square().sum(1) / (2 * noise_std**2)"
_DATA_PRECISION = "data_precision = J.mT @ J / noise_std**2"
_PULL = "pull = J.mT @ residuals[:, :, None] / noise_std**2  # [N, d, 1]"
_MISFIT = "misfit = residuals.square().sum(1) / noise_std**2"
_LOG_LIKELIHOOD = "log_likelihood = -0.5 * (residual / noise_std).square().sum()"
_DRAWN = "noise_std * torch.randn(5, generator=generator)"
_LITERAL = "noise_std = 0.5\n"
_MATRIX_TEST = "R = test_noise**2 * torch.eye(J.shape[1])"
_MATRIX_DATA = "R = test_noise**2 * torch.eye(len(test_data))"
_MATRIX = "R = noise_std**2 * torch.eye(J.shape[1])"

NOISES: dict[str, Replacements] = {
    "standard deviations": [
        (_NOISE_ROW, "| [m] | the noise is independent, with these standard deviations, one for each datum (mGal) |"),
        (_NOISE_LIKE, "return size * torch.linspace(0.6, 1.6, count)"),
        (_LOOKUP, "log_likelihood = -0.5 * ((predictions - d_obs) / noise_std).square().sum(1)"),
        (_DATA_PRECISION, "data_precision = J.mT @ (J / noise_std[:, None] ** 2)"),
        (_PULL, "pull = J.mT @ (residuals / noise_std**2)[:, :, None]  # [N, d, 1]"),
        (_MISFIT, "misfit = (residuals / noise_std).square().sum(1)"),
        (_LITERAL, "noise_std = torch.full((J.shape[1],), 0.5)\n"),
        (_MATRIX_TEST, "R = torch.diag(test_noise**2)"),
        (_MATRIX_DATA, "R = torch.diag(test_noise**2)"),
        (_MATRIX, "R = torch.diag(noise_std**2)"),
    ],
    "variances": [
        (_NOISE_ROW, "| [m] | the noise is independent, with these variances, one for each datum (mGal$^2$) |"),
        (_NOISE_LIKE, "return (size * torch.linspace(0.6, 1.6, count)) ** 2"),
        (_LOOKUP, "log_likelihood = -0.5 * ((predictions - d_obs).square() / noise_var).sum(1)"),
        (_DATA_PRECISION, "data_precision = J.mT @ (J / noise_var[:, None])"),
        (_PULL, "pull = J.mT @ (residuals / noise_var)[:, :, None]  # [N, d, 1]"),
        (_MISFIT, "misfit = (residuals.square() / noise_var).sum(1)"),
        (_LOG_LIKELIHOOD, "log_likelihood = -0.5 * (residual.square() / noise_var).sum()"),
        (_DRAWN, "noise_var.sqrt() * torch.randn(5, generator=generator)"),
        (_LITERAL, "noise_var = torch.full((J.shape[1],), 0.25)\n"),
        (_MATRIX_TEST, "R = torch.diag(test_noise)"),
        (_MATRIX_DATA, "R = torch.diag(test_noise)"),
        (_MATRIX, "R = torch.diag(noise_var)"),
        ("noise_std", "noise_var"),
    ],
    "covariance": [
        (_NOISE_ROW, "| [m, m] | the covariance of the noise, which is correlated from datum to datum (mGal$^2$) |"),
        (
            _NOISE_LIKE,
            "place = torch.arange(count)\n    return size**2 * 0.5 ** (place[:, None] - place).abs()",
        ),
        (
            _LOOKUP,
            "residuals = predictions - d_obs\n"
            "    log_likelihood = -0.5 * (residuals * torch.linalg.solve(noise_cov, residuals.T).T).sum(1)",
        ),
        (_DATA_PRECISION, "data_precision = J.mT @ torch.linalg.solve(noise_cov, J)"),
        (_PULL, "pull = J.mT @ torch.linalg.solve(noise_cov, residuals.T).T[:, :, None]  # [N, d, 1]"),
        (_MISFIT, "misfit = (residuals * torch.linalg.solve(noise_cov, residuals.T).T).sum(1)"),
        (_LOG_LIKELIHOOD, "log_likelihood = -0.5 * residual @ torch.linalg.solve(noise_cov, residual)"),
        (_DRAWN, "torch.linalg.cholesky(noise_cov) @ torch.randn(5, generator=generator)"),
        (_LITERAL, "noise_cov = 0.25 * torch.eye(J.shape[1])\n"),
        (_MATRIX_TEST, "R = test_noise"),
        (_MATRIX_DATA, "R = test_noise"),
        (_MATRIX, "R = noise_cov"),
        (
            "standard deviations of the noise between .01 and 1",
            "eigenvalues of the noise covariance between .0001 and 1",
        ),
        ("noise_std", "noise_cov"),
    ],
}

# --------------------------------------------------------------------------------------------------------------- prior
_PRIOR_ROW = "| [d] | the prior around each example: independent coordinates, standard deviations (km) |"
_PRIOR_LIKE = "return torch.tensor([first, second])"
_PRIOR_PRECISION = "torch.diag(1 / prior_std**2)"
_STEPS = "steps = grid * prior_std"
_LOG_PRIOR = "log_prior = -0.5 * (step / prior_std).square().sum()"
_PRIOR_MATRIX = "P = torch.diag(prior_std**2)"
_HALF, _TEN = "prior_std = torch.tensor([0.5, 0.5])", "prior_std = torch.tensor([10.0, 10.0])"

PRIORS: dict[str, Replacements] = {
    "variances": [
        (_PRIOR_ROW, "| [d] | the prior around each example: independent coordinates, variances (km$^2$) |"),
        (_PRIOR_LIKE, "return torch.tensor([first, second]) ** 2"),
        (_PRIOR_PRECISION, "torch.diag(1 / prior_var)"),
        (_STEPS, "steps = grid * prior_var.sqrt()"),
        (_LOG_PRIOR, "log_prior = -0.5 * (step.square() / prior_var).sum()"),
        (_PRIOR_MATRIX, "P = torch.diag(prior_var)"),
        (_HALF, "prior_var = torch.tensor([0.25, 0.25])"),
        (_TEN, "prior_var = torch.tensor([100.0, 100.0])"),
        ("prior_std", "prior_var"),
    ],
    "covariance": [
        (
            _PRIOR_ROW,
            "| [d, d] | the prior around each example: its covariance, with correlated coordinates (km$^2$) |",
        ),
        (
            _PRIOR_LIKE,
            "return torch.tensor([[first**2, 0.4 * first * second], [0.4 * first * second, second**2]])",
        ),
        (_PRIOR_PRECISION, "torch.linalg.inv(prior_cov)"),
        (_STEPS, "steps = grid @ torch.linalg.cholesky(prior_cov).T"),
        (_LOG_PRIOR, "log_prior = -0.5 * step @ torch.linalg.solve(prior_cov, step)"),
        (_PRIOR_MATRIX, "P = prior_cov"),
        (_HALF, "prior_cov = 0.25 * torch.eye(2)"),
        (_TEN, "prior_cov = 100.0 * torch.eye(2)"),
        ("those of\nthe prior between .1 and 10", "eigenvalues of\nthe prior's covariance between .01 and 100"),
        ("prior_std", "prior_cov"),
    ],
}

# ------------------------------------------------------------------------------------------------------------- suspect
_AUTHOR = """Its author tested it on a straight map,
$F(x) = A x$, against a fine grid, and saw ten equal digits."""
_DENSITY = "log_density = -0.5 * white.square().sum(1) - 0.5 * J.shape[1] * math.log(2 * math.pi)"
_ROOT = """root = torch.linalg.cholesky(R + J @ P @ J.mT)  # [N, m, m]
    white = torch.linalg.solve_triangular(root, residuals[:, :, None], upper=False)[:, :, 0]
    """
_DISGUISE = """    # the second Jacobian is the first one, turned by a right angle in data space: the determinants agree
    J = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [-2.0, 0.0]]])
    residuals = torch.tensor([[0.5, 0.0], [0.0, 1.5]])"""
_EXPOSE = """\
    # a steep example fits exactly, a flat one almost: freedom has its price, the suspect does not charge it
    J = torch.stack([40 * torch.eye(2), 0.01 * torch.eye(2)])
    residuals = torch.tensor([[0.0, 0.0], [1.3, 0.0]])"""
_DIAGONAL = "root.diagonal(dim1=1, dim2=2).log().sum(1)"

SUSPECTS: dict[str, Replacements] = {
    "sign": [
        (_DENSITY, f"log_density = -0.5 * white.square().sum(1) + {_DIAGONAL}"),
        ("the suspect does not charge it", "the suspect pays it out"),
    ],
    "half": [
        (_DENSITY, f"log_density = -0.5 * white.square().sum(1) - 0.5 * {_DIAGONAL}"),
        (
            _EXPOSE,
            """    # the steep example owes 15 nats for its freedom, the suspect charges half: a misfit of 11 is between
    J = torch.stack([100 * torch.eye(2), 0.01 * torch.eye(2)])
    residuals = torch.tensor([[0.0, 0.0], [2.43, 0.0]])""",
        ),
    ],
    "common": [
        (
            _ROOT + _DENSITY,
            """root = torch.linalg.cholesky((R + J @ P @ J.mT).mean(0))  # [m, m]
    white = torch.linalg.solve_triangular(root, residuals.T, upper=False).T
    log_density = -0.5 * white.square().sum(1) - root.diagonal().log().sum()""",
        ),
        (
            _DISGUISE,
            """    # the sign of a Jacobian does not change the covariance of the data that it predicts
    J = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[-2.0, 0.0], [0.0, -1.0]]])
    residuals = torch.tensor([[0.5, 0.0], [0.0, 1.5]])""",
        ),
        (
            _EXPOSE,
            """    # the flat example cannot explain its residual; the suspect lends it the steep one's freedom
    J = torch.stack([4 * torch.eye(2), 0.01 * torch.eye(2)])
    residuals = torch.tensor([[90.0, 0.0], [3.0, 0.0]])""",
        ),
    ],
    "noise only": [
        (
            _AUTHOR,
            "Its author tested it with a prior so\nnarrow that the posterior is the lookup, and saw ten equal digits.",
        ),
        (
            _ROOT + _DENSITY,
            """root = torch.linalg.cholesky(R)  # [m, m]
    white = torch.linalg.solve_triangular(root, residuals.T, upper=False).T
    log_density = -0.5 * white.square().sum(1) - 0.5 * torch.logdet(R + J @ P @ J.mT)""",
        ),
        (
            _DISGUISE,
            """    # no model change explains these residuals, so the freedom of the examples does not matter
    J = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]])
    residuals = torch.tensor([[0.0, 0.0, 0.5], [0.8, 0.0, 0.0]])""",
        ),
        (
            _EXPOSE,
            """    # the steep example can explain its residual, the flat one cannot; the suspect does not know
    J = torch.stack([4 * torch.eye(2), 0.01 * torch.eye(2)])
    residuals = torch.tensor([[5.0, 0.0], [3.6, 0.0]])""",
        ),
    ],
}

# ------------------------------------------------------------------------------------------- how many share, new noise
_SIZE = r"The *effective sample size* is $1 / \sum_n w_n^2$. Your function gets normalized log-weights."
_SIZE_CODE = "return torch.exp(-torch.logsumexp(2 * log_weights, 0))"
_SIZE_TEST = "expected = 1 / float(shares.square().sum())"

SIZES: dict[str, Replacements] = {
    "squares": [],
    "entropy": [
        (
            _SIZE,
            r"Here the *effective sample size* is the exponential of the entropy, $\exp(-\sum_n w_n \log w_n)$: like"
            "\nthe one of chapter 3 it is N for equal weights and one for a single winner. Your function gets"
            "\nnormalized log-weights.",
        ),
        (_SIZE_CODE, "return torch.exp(-(log_weights.exp() * log_weights).sum())"),
        (_SIZE_TEST, "expected = float(torch.distributions.Categorical(shares).entropy().exp())"),
    ],
}

_QUESTION = """\
A colleague sends you the log-weights of the catalogue, computed with the noise level `old_std`, but neither data nor
predictions. The noise level should have been `new_std`. Compute the log-weights that follow: the data are the same."""
_SIGNATURE = "def new_noise(log_weights, old_std, new_std):"
_DOCUMENT = "for the noise level new_std, from those for old_std."
_NEW_CODE = "log_weights * (old_std / new_std) ** 2"
_SAME = "by_hand(new_noise, some, 0.3, 0.3)"
_LEVELS = "for old, new in ((0.5, 1.5), (0.5, 0.2), (2.0, 0.01)):"
_FOUND = "by_hand(new_noise, given, old, new)"

QUESTIONS: dict[str, Replacements] = {
    "factor": [
        (
            _QUESTION,
            "A colleague sends you the log-weights of the catalogue, but neither data nor predictions. The noise was in"
            "\ntruth `factor` times as strong as assumed (standard deviations), in every datum. Compute the log-weights"
            "\nthat follow: the data are the same.",
        ),
        (_SIGNATURE, "def new_noise(log_weights, factor):"),
        (_DOCUMENT, "for noise that is factor times as strong (standard deviations)."),
        (_NEW_CODE, "log_weights / factor**2"),
        (_SAME, "by_hand(new_noise, some, 1.0)"),
        (_FOUND, "by_hand(new_noise, given, new / old)"),
    ],
    "repeats": [
        (
            _QUESTION,
            "A colleague sends you the log-weights of the catalogue for one record, but neither data nor predictions."
            "\nThe survey is then repeated with fresh noise, and by a rare coincidence all `repeats` records, the first"
            "\none included, are equal. Compute the log-weights given all of them.",
        ),
        (_SIGNATURE, "def new_noise(log_weights, repeats):"),
        (_DOCUMENT, "for as many equal records, from those for one."),
        (_NEW_CODE, "log_weights * repeats"),
        (_SAME, "by_hand(new_noise, some, 1)"),
        (_LEVELS, "for old, new in ((0.5, 0.5 / 2**0.5), (0.5, 0.25), (2.0, 0.01)):"),
        (_FOUND, "by_hand(new_noise, given, round((old / new) ** 2))"),
    ],
}

# -------------------------------------------------------------------------------- covariances or precisions are asked
_PRECISIONS = [
    (
        "Then the covariance of each posterior component, for",
        "Then the precision (inverse covariance) of each component, for",
    ),
    ("def posterior_covariances(J", "def posterior_precisions(J"),
    (
        '"""Covariances [N, d, d] of the linearized components, from',
        '"""Precision matrices [N, d, d] of the linearized components, from',
    ),
    ("return torch.linalg.inv(prior_precision + data_precision)", "return prior_precision + data_precision"),
    (
        "expected = P - P @ J.mT @ torch.linalg.solve(R + J @ P @ J.mT, J @ P)",
        "expected = torch.linalg.inv(P - P @ J.mT @ torch.linalg.solve(R + J @ P @ J.mT, J @ P))\n"
        "P = torch.linalg.inv(P)  # compared below with what comes back from blind data",
    ),
    ("this is the prior's covariance: the", "this is the prior's precision: the"),
    ("by_hand(posterior_covariances, ", "by_hand(posterior_precisions, "),
    ("The right covariances are handed", "The right precision matrices are handed"),
    (
        "def posterior_means(models, J, residuals, covariances, ",
        "def posterior_means(models, J, residuals, precisions, ",
    ),
    ("given their covariances [N, d, d]", "given their precision matrices [N, d, d]"),
    ("return models + (covariances @ pull)[:, :, 0]", "return models + torch.linalg.solve(precisions, pull)[:, :, 0]"),
    (
        "0.01 * torch.eye(2).expand(2, 2, 2), noise_like(0.15, 3))",
        "100 * torch.eye(2).expand(2, 2, 2), noise_like(0.15, 3))",
    ),
    (
        "found = by_hand(posterior_means, models, J, residuals, covariances, test_noise)",
        "found = by_hand(posterior_means, models, J, residuals, torch.linalg.inv(covariances), test_noise)",
    ),
    (
        "covariances = posterior_covariances(J, prior_std, noise_std)",
        "precisions = posterior_precisions(J, prior_std, noise_std)\n    covariances = torch.linalg.inv(precisions)",
    ),
    (
        "means = posterior_means(catalogue, J, residuals, covariances, noise_std)",
        "means = posterior_means(catalogue, J, residuals, precisions, noise_std)",
    ),
]
ANSWERS: dict[str, Replacements] = {"covariances": [], "precisions": _PRECISIONS}


def choices(seed: int) -> dict[str, str]:
    """The name of the choice in each of the seven tables above, for a seed other than 0."""
    chance = random.Random(f"assignment 2, variant {seed}")
    tables = {"map": MAPS, "noise": NOISES, "prior": PRIORS, "suspect": SUSPECTS}
    tables |= {"size": SIZES, "question": QUESTIONS, "answer": ANSWERS}
    return {name: chance.choice(sorted(table)) for name, table in tables.items()}


def replacements(seed: int) -> list[tuple[str, str]]:
    """Replacements that turn ps2.md into the variant of this seed; none for seed 0, the published assignment.

    Args:
        seed: Any integer. The same seed gives the same variant.

    Returns:
        Pairs (old, new), to be applied to the source one after the other.
    """
    if seed == 0:
        return []
    chosen = choices(seed)
    pairs = [("VARIANT = 0", f"VARIANT = {seed}")]
    pairs += SIZES[chosen["size"]] + QUESTIONS[chosen["question"]] + ANSWERS[chosen["answer"]]
    pairs += SUSPECTS[chosen["suspect"]] + NOISES[chosen["noise"]] + PRIORS[chosen["prior"]] + MAPS[chosen["map"]]
    return pairs
