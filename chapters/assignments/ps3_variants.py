"""Private variants of assignment 3: another case and lot, other misfits, guidance, effective size, floor and rule.

``python chapters/assignments/ps3_variants.py FIRST LAST`` shows what the assignment finds on further cases, and which may be used.
"""

import random
import sys
from pathlib import Path

# Seeds of training set, truth and noise that `usable` keeps among 0 to 47, beside the published one.
CASES = (5, 6, 10, 15, 26, 34, 36, 46)

# What task 1 calls the misfit: name, formula, its symbol; code; mean and standard deviation of the truth's; log-likelihood.
MISFITS = {
    "sum": (
        "the misfit is the\n*sum* of squared residuals in units of the noise,\n\n"
        r"$$S(x) = \frac{1}{\gamma^2} \, |y - F(x)|^2 .$$",
        ".square().sum(1)",
        "mean, std = m, math.sqrt(2 * m)",
        "-misfits / 2",
    ),
    "nats": (
        "the misfit *in nats* is the\nnegative log-likelihood less its constant,\n\n"
        r"$$E(x) = \frac{1}{2\,\gamma^2} \, |y - F(x)|^2 .$$",
        ".square().sum(1) / 2",
        "mean, std = m / 2, math.sqrt(m / 2)",
        "-misfits",
    ),
    "rms": (
        "the *root-mean-square*\nmisfit, in units of the noise, is\n\n"
        r"$$R(x) = \sqrt{\frac{1}{m\,\gamma^2} \, |y - F(x)|^2} .$$",
        ".square().mean(1).sqrt()",
        "mean, std = 1, 1 / math.sqrt(2 * m)",
        "-m * misfits**2 / 2",
    ),
}


def replacements(seed):
    """Pairs (old text, new text) that turn the published assignment into the variant of this seed; none for seed 0."""
    if seed == 0:
        return []
    choose = random.Random(f"assignment 3, variant {seed}")
    misfit, downhill = choose.choice(sorted(MISFITS)), choose.random() < 0.5
    size, floor = choose.choice([(True, True), (True, False), (False, True)])
    memorized = "A" if random.Random(f"lot {seed}").random() < 0.5 else "B"
    return [
        ("VARIANT, CASE = 0, 28", f"VARIANT, CASE = {seed}, {choose.choice(CASES)}"),
        ('memorized = "B"', f'memorized = "{memorized}"'),
        *_misfit(misfit),
        *(DOWNHILL if downhill else PRESERVING),
        *(EFFECTIVE_SIZE if size else []),
        *(FLOOR if floor else []),
        *NOVEL,
    ]


def _misfit(name):
    text, code, moments, log_likelihood = MISFITS[name]
    pairs = [
        (
            "the misfit\n*per datum* is\n\n" + r"$$\chi^2(x) = \frac{1}{m\,\gamma^2} \, |y - F(x)|^2 .$$",
            text,
        ),
        (".square().mean(1)\n", code + "\n"),
        ("mean, std = 1, math.sqrt(2 / m)", moments),
        ("-m * misfits / 2", log_likelihood),
    ]
    if name == "rms":
        return pairs + [
            (
                'assert abs(gap - 2) > 0.01, "the exponent of a Gaussian has a 1/2"',
                'assert abs(gap - 2) > 0.01, "the exponent of a Gaussian has a 1/2, and the misfit comes squared"',
            )
        ]
    return pairs + [
        (
            'assert abs(gap * m - 1) > 0.01, "the misfit is per datum: the log-likelihood is a sum over m data"',
            'assert gap < 5, "the misfit is a sum over the data already: what is m for?"',
        ),
        (
            'assert abs(gap - 2) > 0.01, "the exponent of a Gaussian has a 1/2"',
            'assert abs(gap - 2) > 0.01 and abs(gap - 0.5) > 0.01, "where is the 1/2 of the Gaussian\'s exponent, and how often?"',
        ),
        # As large as tens of thousands of data make them.
        ("misfits = torch.tensor([2.7, 1.9, 1.4, 3.3])", "misfits = m * torch.tensor([2.7, 1.9, 1.4, 3.3]) / 2"),
    ]


DOWNHILL = [
    (
        "Write the gradient, with\nrespect to the state $x$, of",
        "The colleague's code minimizes, and\nwidens the noise by a share for what $D$ leaves out. Write the gradient, with respect to the state $x$, of",
    ),
    (
        r"$$\log \mathcal N\!\left(y;\ F(D(x, \sigma)),\ \gamma^2 I\right),$$",
        r"$$\Phi(x) = \frac{|y - F(D(x, \sigma))|^2}{2\,\gamma^2 \left(1 + \frac{\sigma^2}{1 + \sigma^2}\right)},$$",
    ),
    (
        "target = -squares / (2 * noise_std**2)",
        "target = squares / (2 * noise_std**2 * (1 + sigma**2 / (1 + sigma**2)))",
    ),
    ("`lib.samplers.dps` follows the gradient of task 3 in steps", "`lib.samplers.dps` takes this pull, downhill too, in steps"),
]

PRESERVING = [
    (
        "replaces all the clean models that could lie behind the state $x$ by the denoised one, $D(x, \\sigma)$. Write the gradient, with\n"
        "respect to the state $x$, of",
        "replaces all the clean models that could lie behind the state by the denoised one, $D(x, \\sigma)$. The colleague's code is\n"
        "variance preserving: its state is $x_t = \\sqrt{\\bar\\alpha}\\,(x_0 + \\sigma \\varepsilon)$ with "
        "$\\bar\\alpha = 1 / (1 + \\sigma^2)$, while `denoise` wants\n$x_0 + \\sigma \\varepsilon$ and $\\sigma$, as always here. "
        "Write the gradient, with respect to the state $x_t$, of",
    ),
    (
        r"$$\log \mathcal N\!\left(y;\ F(D(x, \sigma)),\ \gamma^2 I\right),$$",
        r"$$\log \mathcal N\!\left(y;\ F(D(x_t / \sqrt{\bar\alpha},\, \sigma)),\ \gamma^2 I\right),$$",
    ),
    ("for each row of $x$ on its own.", "for each row of $x_t$ on its own, given $\\bar\\alpha$."),
    (
        "def guidance(x, sigma, denoise, forward, d_obs, noise_std):\n"
        '    """The gradient above for each state x [B, d], [B, d];',
        "def guidance(x, alpha_bar, denoise, forward, d_obs, noise_std):\n"
        '    """The gradient above for each state x = x_t [B, d] at a 0-d alpha_bar, [B, d];',
    ),
    (
        "forward(denoise(x, sigma))",
        "forward(denoise(x / alpha_bar.sqrt(), ((1 - alpha_bar) / alpha_bar).sqrt()))",
    ),
    ("sigma, noise_std, d_obs = torch.tensor(0.6)", "alpha_bar, noise_std, d_obs = torch.tensor(0.6)"),
    ("sigma, d_obs = torch.tensor(0.6)", "alpha_bar, d_obs = torch.tensor(0.6)"),
    ("guidance(x.detach(), sigma, denoise", "guidance(x.detach(), alpha_bar, denoise"),
    ("`lib.samplers.dps` follows the gradient of task 3 in steps", "`lib.samplers.dps` follows the same pull on $x_0 + \\sigma \\varepsilon$ in steps"),
]

EFFECTIVE_SIZE = [
    (
        "Write the *effective sample size* $1 / \\sum_n w_n^2$.",
        "Write the *effective size* by entropy,\n$\\exp\\left(-\\sum_n w_n \\log w_n\\right)$; it, too, is $N$ for equal weights and one for a "
        "single model (that of chapter 03 is another one).",
    ),
    ("1 / float(log_weights.exp().square().sum())", "math.exp(-float((log_weights.exp() * log_weights).sum()))"),
]

FLOOR = [
    (
        "How far off would the shares of `number`\n*exact* draws be on average? Write the *mean* total variation,",
        "How far off may the shares of `number`\n*exact* draws be, in nineteen of twenty cases? Write the *95 % quantile* of the total variation,",
    ),
    ("draws from them: the mean, a float.", "draws from them: the 95 % quantile, a float."),
    ("float(distances.mean())", "float(distances.quantile(0.95))"),
    ("would be on\naverage.", "are in nineteen of\ntwenty cases."),
]

NOVEL = [
    (
        "a model counts as a **copy** if its `ratio` (see the set-up) is below the\nthreshold of $0.3$. Write the rate of copies among "
        "some samples beside the rate among models that serve as the null, and a 95 %\ninterval",
        "a model counts as **new** if its `ratio` (see the set-up) is not below the\nthreshold of $0.3$. Write the rate of *new* models "
        "among some samples beside the rate among models that serve as the null, and a 95 %\ninterval",
    ),
    ('A dict with "rate" of the samples', 'A dict with "rate" (of new models) of the samples'),
    (
        '{"rate": found.rate, "null_rate": found.null_rate, "interval": found.interval}',
        '{"rate": 1 - found.rate, "null_rate": 1 - found.null_rate, "interval": (-found.interval[1], -found.interval[0])}',
    ),
    ("(ratio(x) < threshold)", "(ratio(x) >= threshold)"),
    ("(ratio(runs[name]) < THRESHOLD)", "(ratio(runs[name]) >= THRESHOLD)"),
    ("assert low > 0,", "assert high < 0,"),
    (
        "*Model answer.* By the rule that was fixed before the samples were seen (ratio below the threshold, near the surface), the\n"
        "posterior samples of one prior are copies nearly without exception. Its null, posterior samples of the population's prior on the\n"
        "same data, is far lower, and the interval of the difference stays clear of zero. The other prior's rate is high, too, but so is\n"
        "its null, and the interval holds zero.",
        "*Model answer.* By the rule that was fixed before the samples were seen (new: ratio not below the threshold, near the surface),\n"
        "hardly one of the posterior samples of one prior is new. Its null, posterior samples of the population's prior on the\n"
        "same data, is far higher, and the interval of the difference stays clear of zero. The other prior's rate is low, too, but so is\n"
        "its null, and the interval holds zero.",
    ),
]


def facts(case):
    """What the published assignment's own cells find on a case, by name."""
    import jupytext

    text = Path(__file__).with_name("ps3.md").read_text(encoding="utf8")
    published = "VARIANT, CASE = 0, 28"
    if published not in text:
        raise ValueError(f"ps3.md does not hold {published!r}")
    cells = {
        cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source
        for cell in jupytext.reads(text.replace(published, f"VARIANT, CASE = 0, {case}"), fmt="md:myst").cells
    }
    space = {}
    for name in ("set-up", "case", "misfit", "band", "lookup", "effective-size", "runs", "shares", "threshold"):
        exec(cells[name], space)
    exec(cells["floor"].replace("distances.mean()", "distances.quantile(0.95)"), space)
    weights = space["lookup"](space["misfit"](space["training_data"], space["d_obs"], space["noise_std"]), 48).exp()
    memorized, other = space["LOT"]
    models = {"copies": space["runs"][memorized], "other": space["runs"][other], "population": space["runs"]["population"]}
    rates = {name: float((space["ratio"](x) < space["THRESHOLD"]).double().mean()) for name, x in models.items()}
    rates["fresh"] = float((space["ratio"](space["fresh"]) < space["THRESHOLD"]).double().mean())
    found = {name: space["misfit"](x, space["d_obs"], space["noise_std"]) for name, x in space["run_data"].items()}
    return rates | {
        "size": space["effective_size"](weights.log()),
        "distance": float((space["shares"](space["runs"][memorized], space["training"]) - weights).abs().sum() / 2),
        "floor": space["floor"](weights, 32),
        "misfit": max(float(values.max()) for values in found.values()),
        "bound": space["band"](48)[1],
    }


def usable(found):
    """Does a case show what the assignment asks for? From the dict of `facts`.

    The posterior rests on a few training models; the memorized prior's samples are copies, the population's far less often
    yet clearly more often than fresh models, the other prior's about as often as the population's; everything fits; DPS's
    shares are further from the weights than 95 % of exact draws.
    """
    return (
        1.9 < found["size"] < 7
        and found["copies"] > 0.95
        and found["population"] < 0.72
        and abs(found["other"] - found["population"]) < 0.17
        and found["other"] - found["fresh"] > 0.19
        and found["misfit"] < found["bound"]
        and found["distance"] > found["floor"]
    )


if __name__ == "__main__":
    for case in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        found = facts(case)
        print(case, "usable" if usable(found) else "-", {name: round(value, 2) for name, value in found.items()}, flush=True)
