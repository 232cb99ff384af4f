"""Private variants of assignment 3: another case and lot, other misfits, guidance, effective size, floor and rule.

``python chapters/assignments/ps3_variants.py FIRST LAST`` shows what the assignment finds on further cases, and which
of them may be used.
"""

import random
import sys
from pathlib import Path

# Seeds of training set, truth and noise, beside the published one, that `usable` accepts.
CASES = (5, 6, 10, 15, 26, 34, 36, 46)

# What task 1 calls the misfit: its definition; code; mean and standard deviation of the truth's; the log-likelihood.
MISFITS = {
    "sum": (
        "the misfit is the\n"
        "*sum* of squared residuals in units of the noise,\n"
        "\n"
        r"$$S(x) = \frac{1}{\gamma^2} \, |y - F(x)|^2 .$$",
        ".square().sum(1)",
        "mean, std = m, math.sqrt(2 * m)",
        "-misfits / 2",
    ),
    "nats": (
        "the misfit *in nats* is the\n"
        "negative log-likelihood less its constant,\n"
        "\n"
        r"$$E(x) = \frac{1}{2\,\gamma^2} \, |y - F(x)|^2 .$$",
        ".square().sum(1) / 2",
        "mean, std = m / 2, math.sqrt(m / 2)",
        "-misfits",
    ),
    "rms": (
        "the *root-mean-square*\n"
        "misfit, in units of the noise, is\n"
        "\n"
        r"$$R(x) = \sqrt{\frac{1}{m\,\gamma^2} \, |y - F(x)|^2} .$$",
        ".square().mean(1).sqrt()",
        "mean, std = 1, 1 / math.sqrt(2 * m)",
        "-m * misfits**2 / 2",
    ),
}


def replacements(seed):
    """Pairs (old text, new text) that turn the published assignment into the variant of this seed; none for seed 0.

    They are applied one after the other, each to all places. Misfit, guidance and rule always differ from the published
    ones; of effective size and floor at least one does.
    """
    if seed == 0:
        return []
    choose = random.Random(f"assignment 3, variant {seed}")
    case, misfit, pull = choose.choice(CASES), choose.choice(sorted(MISFITS)), choose.choice([DOWNHILL, PRESERVING])
    others = choose.choice([EFFECTIVE_SIZE, FLOOR, EFFECTIVE_SIZE + FLOOR])
    memorized = "A" if random.Random(f"lot {seed}").random() < 0.5 else "B"  # as the notebook draws it
    return [
        ("VARIANT, CASE = 0, 28", f"VARIANT, CASE = {seed}, {case}"),
        ('memorized = "B"', f'memorized = "{memorized}"'),
        *_misfit(misfit),
        *pull,
        *others,
        *NOVEL,
    ]


def _misfit(name):
    definition, code, moments, log_likelihood = MISFITS[name]
    pairs = [
        ("the misfit\n*per datum* is\n\n" r"$$\chi^2(x) = \frac{1}{m\,\gamma^2} \, |y - F(x)|^2 .$$", definition),
        (".square().mean(1)\n", code + "\n"),
        ("mean, std = 1, math.sqrt(2 / m)", moments),
        ("-m * misfits / 2", log_likelihood),
    ]
    half = 'assert abs(gap - 2) > 0.01, "the exponent of a Gaussian has a 1/2"'
    if name == "rms":
        return [*pairs, (half, half.replace("a 1/2", "a 1/2, and there the misfit comes squared"))]
    return [
        *pairs,
        (
            'assert abs(gap * m - 1) > 0.01, "the misfit is per datum: the log-likelihood is a sum over m data"',
            'assert gap < 5, "the misfit is a sum over the data already: what is m for?"',
        ),
        (half, 'assert min(abs(gap - 2), abs(gap - 0.5)) > 0.01, "where is the 1/2 of the Gaussian\'s exponent?"'),
        # As large as tens of thousands of data make them.
        ("misfits = torch.tensor([2.7, 1.9, 1.4, 3.3])", "misfits = m * torch.tensor([2.7, 1.9, 1.4, 3.3]) / 2"),
    ]


_GIVEN = "`lib.samplers.dps` follows the gradient of task 3 in steps"

DOWNHILL = [
    (
        "Write the gradient, with\nrespect to the state $x$, of",
        "The colleague's code\n"
        "minimizes, and widens the noise by a share for what $D$ leaves out. Write the gradient, with respect\n"
        "to the state $x$, of",
    ),
    (
        r"$$\log \mathcal N\!\left(y;\ F(D(x, \sigma)),\ \gamma^2 I\right),$$",
        r"$$\Phi(x) = \frac{|y - F(D(x, \sigma))|^2}{2\,\gamma^2 \left(1 + \frac{\sigma^2}{1 + \sigma^2}\right)},$$",
    ),
    (
        "target = -squares / (2 * noise_std**2)",
        "target = squares / (2 * noise_std**2 * (1 + sigma**2 / (1 + sigma**2)))",
    ),
    (_GIVEN, "`lib.samplers.dps` goes downhill, too, with the noise as it is, in steps"),
]

PRESERVING = [
    (
        "behind the state $x$ by the denoised one, $D(x, \\sigma)$. Write the gradient, with\n"
        "respect to the state $x$, of",
        "behind the state by the denoised one, $D(x, \\sigma)$. The colleague's code\n"
        "is variance preserving: its state is $x_t = \\sqrt{\\bar\\alpha}\\,(x_0 + \\sigma \\varepsilon)$ with "
        "$\\bar\\alpha = 1 / (1 + \\sigma^2)$, while\n"
        "`denoise` wants $x_0 + \\sigma \\varepsilon$ and $\\sigma$, as always here. Write the gradient, with "
        "respect to the state $x_t$, of",
    ),
    (
        r"$$\log \mathcal N\!\left(y;\ F(D(x, \sigma)),\ \gamma^2 I\right),$$",
        r"$$\log \mathcal N\!\left(y;\ F(D(x_t / \sqrt{\bar\alpha},\, \sigma)),\ \gamma^2 I\right),$$",
    ),
    ("for each row of $x$ on its own.", "for each row of $x_t$ on its own, given $\\bar\\alpha$."),
    ("and $\\sigma$ comes as a 0-d tensor.", "and $\\bar\\alpha$ comes as a 0-d tensor."),
    (
        "def guidance(x, sigma, denoise, forward, d_obs, noise_std):\n"
        '    """The gradient above for each state x [B, d], [B, d];',
        "def guidance(x, alpha_bar, denoise, forward, d_obs, noise_std):\n"
        '    """The gradient above for each state x = x_t [B, d], [B, d];',
    ),
    (
        "forward(denoise(x, sigma))",
        "forward(denoise(x / alpha_bar.sqrt(), ((1 - alpha_bar) / alpha_bar).sqrt()))",
    ),
    ("sigma, noise_std, d_obs = torch.tensor(0.6)", "alpha_bar, noise_std, d_obs = torch.tensor(0.6)"),
    ("sigma, d_obs = torch.tensor(0.6)", "alpha_bar, d_obs = torch.tensor(0.6)"),
    ("guidance(x.detach(), sigma, denoise", "guidance(x.detach(), alpha_bar, denoise"),
    (_GIVEN, "`lib.samplers.dps` follows the same pull on $x_0 + \\sigma \\varepsilon$ in steps"),
]

EFFECTIVE_SIZE = [
    (
        "Write the *effective sample size* $1 / \\sum_n w_n^2$.",
        "Write the *effective size* by entropy,\n"
        "$\\exp\\left(-\\sum_n w_n \\log w_n\\right)$. It, too, is $N$ for equal weights and one for a single "
        "model; that of chapter 03\n"
        "is another one.",
    ),
    ("1 / float(log_weights.exp().square().sum())", "math.exp(-float((log_weights.exp() * log_weights).sum()))"),
]

FLOOR = [
    (
        "How far off would the shares of `number`\n*exact* draws be on average? Write the *mean* total variation,",
        "How far off may the shares of `number`\n"
        "*exact* draws be, in nineteen of twenty cases? Write the *95 % quantile* of the total\n"
        "variation,",
    ),
    ("draws from them: the mean, a float.", "draws from them: the 95 % quantile, a float."),
    ("float(distances.mean())", "float(distances.quantile(0.95))"),
    ("would be on\naverage.", "are in nineteen of\ntwenty cases."),
]

NOVEL = [
    (
        "a model counts as a **copy** if its `ratio` (see the set-up) is below the\n"
        "threshold of $0.3$. Write the rate of copies among some samples",
        "a model counts as **new** if its `ratio` (see the set-up) is not below the\n"
        "threshold of $0.3$. Write the rate of *new* models among some samples",
    ),
    (
        'rule is the second one, "nearest-ratio", on',
        'rule is the second one, "nearest-ratio", the other way round, on',
    ),
    ('A dict with "rate" of the samples', 'A dict with "rate" (new models) of the samples'),
    (
        '{"rate": found.rate, "null_rate": found.null_rate, "interval": found.interval}',
        '{"rate": 1 - found.rate, "null_rate": 1 - found.null_rate, "interval": (-found.interval[1], '
        "-found.interval[0])}",
    ),
    ("(ratio(x) < threshold)", "(ratio(x) >= threshold)"),
    ("(ratio(runs[name]) < THRESHOLD)", "(ratio(runs[name]) >= THRESHOLD)"),
    ("assert low > 0,", "assert high < 0,"),
    (
        "(ratio below the threshold, near the surface), the\n",
        "(new: ratio not below the threshold, near the surface), the\n",
    ),
    (
        "posterior samples of one prior are copies nearly without exception.",
        "posterior samples of one prior are hardly ever new.",
    ),
    ("same data, is far lower,", "same data, is far higher,"),
    ("The other prior's rate is high, too,", "The other prior's rate is low, too,"),
]


def facts(case):
    """What the published assignment's own cells find on a case, by name."""
    import jupytext

    text = Path(__file__).with_name("ps3.md").read_text(encoding="utf8")
    published = "VARIANT, CASE = 0, 28"
    if published not in text:
        raise ValueError(f"ps3.md must hold {published!r}")
    cells = {
        cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source
        for cell in jupytext.reads(text.replace(published, f"VARIANT, CASE = 0, {case}"), fmt="md:myst").cells
    }
    cells["floor"] = cells["floor"].replace("distances.mean()", "distances.quantile(0.95)")
    space = {}
    given = "set-up case runs run-a run-b run-population threshold"
    for name in f"{given} misfit band lookup effective-size shares floor".split():
        exec(cells[name], space)
    (memorized, other), runs, fits = space["LOT"], space["runs"], space["run_data"].values()
    models = {
        "memorized": runs[memorized],
        "other": runs[other],
        "population": runs["population"],
        "fresh": space["fresh"],
    }
    misfits = [space["misfit"](data, space["d_obs"], space["noise_std"]) for data in (space["training_data"], *fits)]
    weights = space["lookup"](misfits[0], len(space["d_obs"])).exp()
    return {
        **{name: float((space["ratio"](x) < space["THRESHOLD"]).double().mean()) for name, x in models.items()},
        "effective size": space["effective_size"](weights.log()),
        "distance": float((space["shares"](runs[memorized], space["training"]) - weights).abs().sum() / 2),
        "floor": space["floor"](weights, len(runs[memorized])),
        "misfit": max(float(found.max()) for found in misfits[1:]),
        "bound": space["band"](len(space["d_obs"]))[1],
    }


def usable(found):
    """Does a case show what the assignment asks for? From the dict of `facts`.

    The posterior rests on a few training models; the memorized prior's samples are copies, the population's far less
    often, yet clearly more often than fresh models, and the other prior's about as often; everything fits; DPS's shares
    are further from the weights than 95 % of exact draws.
    """
    return (
        1.9 < found["effective size"] < 7
        and found["memorized"] > 0.95
        and found["population"] < 0.72
        and abs(found["other"] - found["population"]) < 0.17
        and found["other"] - found["fresh"] > 0.19
        and found["misfit"] < found["bound"]
        and found["distance"] > found["floor"]
    )


if __name__ == "__main__":
    for case in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        found = facts(case)
        numbers = {name: round(value, 2) for name, value in found.items()}
        print(case, "usable" if usable(found) else "no", numbers, flush=True)
