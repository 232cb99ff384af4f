"""The audit as a whole: verdicts over seeds, every kind of input, the report, the command line."""

import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.adapters import denoiser_from_vp, denoiser_in_units
from lib.audit import AuditReport, Thresholds, audit_prior, main
from lib.mixture import MemorizedPrior
from lib.network import ResidualMLP, fit
from lib.schedule import sigma_from_alpha_bar

N, D = 50, 64


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def copies(examples, number=200, seed=1):
    return MemorizedPrior(examples, 0.02).sample(number, generator=seeded(seed))


def population_denoiser(x, sigma):
    return x / (1 + sigma**2)


EXAMPLES, FRESH, HELD_OUT = randn(N, D), randn(200, D, seed=10), randn(100, D, seed=11)


def audit(samples=FRESH, examples=EXAMPLES, **options):
    return audit_prior(examples, samples=samples, generator=seeded(0), **options)


@pytest.mark.slow
@pytest.mark.parametrize("with_held_out", [False, True])
def test_memorized_prior_is_flagged_and_the_population_cleared_in_nineteen_of_twenty_seeds(with_held_out):
    counts = {"memorized prior": Counter(), "population": Counter()}
    for seed in range(20):
        generator = seeded(100 + seed)
        examples, fresh, held_out = (torch.randn(n, D, generator=generator) for n in (N, 200, 200))
        for name, samples in (("memorized prior", copies(examples, seed=seed)), ("population", fresh)):
            known = held_out if with_held_out else None
            found = audit_prior(examples, samples=samples, held_out=known, generator=generator)
            counts[name][found.verdict] += 1
    assert counts["memorized prior"]["memorized"] >= 19
    assert counts["population"]["not memorized"] >= 19
    assert counts["population"]["memorized"] <= 1


@pytest.mark.slow
def test_network_trained_to_memorize_is_flagged_in_nineteen_of_twenty_seeds():
    """600 steps on 50 models: the training loss falls to a fifth of that of an untrained network."""
    counts = Counter()
    for seed in range(20):
        examples, held_out = randn(N, D, seed=200 + seed), randn(200, D, seed=300 + seed)
        network = fit(ResidualMLP(D, width=256, seed=seed), examples, steps=600, ema=0.99, seed=seed).network
        found = audit_prior(examples, denoiser=network, held_out=held_out, generator=seeded(seed))
        assert found.gap.nats > 100  # and does better on them by far
        counts[found.verdict] += 1
    assert counts["memorized"] >= 19


def test_memorized_prior_is_flagged_and_the_population_cleared():
    assert audit(copies(EXAMPLES)).verdict == "memorized"
    assert audit().verdict == "not memorized"
    assert audit(copies(EXAMPLES), held_out=HELD_OUT).verdict == "memorized"
    assert audit(held_out=HELD_OUT).verdict == "not memorized"


@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 4, 16), (64, 1, 1)])
def test_any_shape_and_kind_of_array_gives_the_same_report(shape):
    plain = audit(held_out=HELD_OUT)
    arrays = [v.numpy().astype(kind).reshape(-1, *shape) for v, kind in ((FRESH, "<f8"), (EXAMPLES, ">f4"))]
    found = audit(*arrays, held_out=HELD_OUT.reshape(-1, *shape))
    assert found.shape == shape
    assert (found.rates, found.verdict, found.distances) == (plain.rates, plain.verdict, plain.distances)
    assert [(p.sample, p.example) for p in found.pairs] == [(p.sample, p.example) for p in plain.pairs]


def test_denoiser_is_sampled_in_the_units_and_the_shape_of_the_examples():
    """Speeds in m/s, a denoiser of standardized models: memorized or not, as in the plain units."""
    seen = []
    examples, held_out = (2500 + 300 * v.reshape(-1, 8, 8) for v in (EXAMPLES, HELD_OUT))
    prior = MemorizedPrior(EXAMPLES, 0.02)

    def memorized(z, sigma):
        seen.append((z.shape[1:], sigma.ndim))
        return prior.denoise(z.flatten(1), sigma).reshape(z.shape)

    for network, verdict in ((memorized, "memorized"), (population_denoiser, "not memorized")):
        denoiser = denoiser_in_units(network, 2500.0, 300.0)
        found = audit(None, examples, denoiser=denoiser, held_out=held_out)
        assert (found.verdict, found.samples_from, found.num_samples) == (verdict, "denoiser", 256)
        assert found.spread == pytest.approx(300, rel=0.05)
        share, _ = found.gap.nearest_level()
        assert share < 1e-3 if verdict == "memorized" else share > 0.8
        assert all(sigma > 10 for sigma in found.gap.sigmas)
    assert set(seen) == {((8, 8), 0)}


def test_network_of_a_vp_schedule_is_audited_inside_its_range():
    table = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    prior = MemorizedPrior(EXAMPLES, 0.02)

    def network(x_t, t):
        a = table[t].float()[:, None]
        x = x_t / a.sqrt()
        return (x - prior.denoise(x, sigma_from_alpha_bar(a[:, 0]))) / ((1 - a) / a).sqrt()

    denoiser = denoiser_from_vp(network, table)
    found = audit(None, denoiser=denoiser, held_out=HELD_OUT, num_samples=100)
    assert found.verdict == "memorized"
    with pytest.raises(ValueError, match="denoiser must know levels between .* in other units"):
        audit(None, 1e6 * EXAMPLES, denoiser=denoiser)


def test_levels_can_be_given():
    sigmas = torch.logspace(1, -1.5, 20)
    found = audit(None, denoiser=population_denoiser, sigmas=sigmas, num_samples=50)
    assert found.gap.sigmas[-1] == pytest.approx(10)
    assert found.num_samples == 50


def test_denoiser_beside_given_samples_is_measured_too():
    found = audit(copies(EXAMPLES), denoiser=population_denoiser, held_out=HELD_OUT)
    assert found.samples_from == "given"
    assert found.gap.nearest_level()[0] > 0.8


def test_duplicates_hide_copies_unless_they_are_counted_once():
    examples = EXAMPLES.repeat(2, 1)
    found = audit(copies(EXAMPLES), examples)
    assert found.duplicates.exact == N
    assert found.verdict == "memorized"
    assert any("50 exact and 0 near duplicates" in warning for warning in found.warnings)


def test_leaked_held_out_models_are_found_and_left_out():
    leaky = torch.cat([HELD_OUT, EXAMPLES[:30], EXAMPLES[30:40] + 1e-4])
    found = audit(copies(EXAMPLES), held_out=leaky)
    assert (found.leaked, found.num_held_out, found.verdict) == (40, 100, "memorized")
    assert any("held_out overlaps the examples: 40 of 140" in warning for warning in found.warnings)
    with pytest.raises(ValueError, match="held_out must hold models that were not trained on, but all 50"):
        audit(held_out=EXAMPLES)


def test_samples_that_are_held_out_models_are_no_evidence():
    found = audit(torch.cat([FRESH, HELD_OUT[:20]]), held_out=HELD_OUT)
    assert (found.samples_in_held_out, found.verdict) == (20, "undecided")
    assert any("20 of 220 samples are copies of held-out models" in reason for reason in found.reasons)


def test_samples_on_another_scale_are_named_or_refused():
    found = audit(3 * FRESH)
    assert found.verdict == "undecided"
    assert any("samples are on another scale" in warning for warning in found.warnings)
    speeds = 2500 + 300 * EXAMPLES
    with pytest.raises(ValueError, match=r"samples must be in the units .* 2\.\d+, .* \(km/s and m/s"):
        audit((2500 + 300 * FRESH) / 1000, speeds)
    with pytest.raises(ValueError, match="held_out must be in the units of the examples"):
        audit(2500 + 300 * FRESH, speeds, held_out=HELD_OUT)
    assert audit(2500 + 300 * FRESH, speeds).verdict == "not memorized"


def test_what_is_few_or_missing_is_said():
    found = audit(FRESH[:5], EXAMPLES[:10])
    assert [w.split()[:2] for w in found.warnings] == [["10", "examples"], ["5", "samples"], ["no", "held_out:"]]
    assert found.verdict == "undecided"
    assert not audit(held_out=HELD_OUT).warnings


def test_network_that_depends_on_its_batch_is_named():
    found = audit(FRESH, denoiser=lambda x, s: x - 0.5 * x.mean(0))
    assert any("is the network in eval mode" in warning for warning in found.warnings)
    assert not any("eval mode" in warning for warning in audit(FRESH, denoiser=population_denoiser).warnings)


def test_data_give_the_lookup_and_its_change():
    examples = torch.cat([EXAMPLES[:1], EXAMPLES])  # numbers are those of what was given
    found = audit_prior(
        examples.reshape(-1, 8, 8), samples=FRESH.reshape(-1, 8, 8), generator=seeded(0), batch_size=7,
        forward=lambda x: x[:, :2, :3].unsqueeze(1), d_obs=EXAMPLES[20].reshape(8, 8)[None, :2, :3], noise_std=0.1,
    )  # fmt: skip
    assert (found.lookup.top, found.lookup.num_examples) == (21, 50)
    assert found.lookup.top_weight > 0.9
    assert found.lookup.mean_change > 0.3


def test_same_generator_same_report_and_inputs_stay():
    before = EXAMPLES.clone(), FRESH.clone()
    first, second = (audit(None, denoiser=population_denoiser, held_out=HELD_OUT) for _ in range(2))
    assert first == second
    assert all(map(torch.equal, before, (EXAMPLES, FRESH)))


def nan(x):
    return torch.where(x > 100, x, torch.nan)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"examples": EXAMPLES[:1]}, ValueError, "examples must hold at least 3 different models without held_out"),
        ({"examples": EXAMPLES[:1], "held_out": HELD_OUT}, ValueError, "at least 2 different models, got 1 among 1"),
        ({"examples": torch.ones(9, 4)}, ValueError, "at least 3 different models .*, got 1 among 9"),
        ({"examples": nan(EXAMPLES)}, ValueError, "examples must be finite, got 3200 NaN"),
        ({"examples": EXAMPLES[0]}, ValueError, r"examples must have shape \[N, ...\] .* got \[64\]"),
        ({"examples": EXAMPLES[:0]}, ValueError, "examples must have shape"),
        ({"examples": EXAMPLES.tolist()}, TypeError, "examples must be a torch.Tensor or a numpy.ndarray .* got list"),
        ({"examples": EXAMPLES.numpy().astype(str)}, TypeError, "examples must hold real numbers, got an array of <U"),
        ({"examples": EXAMPLES + 0j}, TypeError, "examples must hold real numbers, got a tensor of torch.complex64"),
        ({"samples": FRESH.reshape(-1, 8, 8)}, ValueError, r"samples must hold models .* \[64\] like .* \[8, 8\]"),
        ({"samples": nan(FRESH)}, ValueError, "samples must be finite"),
        ({"samples": None}, ValueError, "samples or denoiser must be given"),
        ({"held_out": HELD_OUT[:, :3]}, ValueError, r"held_out must hold models of shape \[64\]"),
        ({"held_out": nan(HELD_OUT)}, ValueError, "held_out must be finite"),
        ({"denoiser": 3}, TypeError, "denoiser must be a callable"),
        ({"denoiser": lambda x, s: x[0]}, ValueError, "denoiser must return the shape .* single model"),
        ({"denoiser": lambda x, s: x.reshape(64) / s}, ValueError, "denoiser must map a batch"),
        ({"denoiser": lambda x: x}, ValueError, "denoiser must map a batch"),
        ({"denoiser": lambda x, s: {}["a"]}, ValueError, "denoiser must map a batch .* KeyError"),
        ({"denoiser": torch.nn.Linear}, TypeError, "denoiser must be a network, not its class, got Linear"),
        ({"samples": np.ma.masked_less(FRESH.numpy(), 0)}, ValueError, "samples must have no masked entries"),
        ({"denoiser": lambda x, s: x.numpy()}, TypeError, "denoiser must return a torch.Tensor, got ndarray"),
        ({"denoiser": lambda x, s: nan(x)}, ValueError, "denoiser must return finite values, got NaN .* at sigma"),
        ({"forward": lambda x: x}, ValueError, "forward, d_obs and noise_std must be given together"),
        ({"thresholds": 0.1}, TypeError, "thresholds must be a lib.verdict.Thresholds, got float"),
        ({"generator": 1}, TypeError, "generator must be a torch.Generator"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"num_samples": 0.5}, TypeError, "num_samples must be a whole number"),
        ({"sigmas": torch.ones(3), "denoiser": population_denoiser}, ValueError, "sigmas must hold .* falling levels"),
    ],
)  # fmt: skip
def test_misuse_is_named(change, error, message):
    arguments = {"examples": EXAMPLES, "samples": FRESH, **change}
    with pytest.raises(error, match=message):
        audit_prior(arguments.pop("examples"), **arguments)


@pytest.mark.parametrize(
    ("forward", "d_obs", "noise_std", "message"),
    [
        (lambda x: x[0], EXAMPLES[0], 0.1, "forward must map a batch .* single model"),
        (lambda x: x[:, :3], EXAMPLES[0], 0.1, r"forward must return as many data as d_obs has \(64\), got 3"),
        (nan, EXAMPLES[0], 0.1, "forward's output must be finite"),
        (lambda x: x, EXAMPLES[0] / 0, 0.1, "d_obs must be finite"),
        (lambda x: x, EXAMPLES[0], -1.0, "noise_std must be positive"),
    ],
)
def test_misuse_of_the_data_is_named(forward, d_obs, noise_std, message):
    with pytest.raises(ValueError, match=message):
        audit(forward=forward, d_obs=d_obs, noise_std=noise_std)


@pytest.fixture(scope="module")
def full():
    return audit(
        None, EXAMPLES.reshape(-1, 8, 8), denoiser=population_denoiser, held_out=HELD_OUT.reshape(-1, 8, 8),
        forward=lambda x: x.flatten(1)[:, :5], d_obs=EXAMPLES[20, :5], noise_std=0.5, num_samples=50,
    )  # fmt: skip


def test_json_loads_back_equal(full):
    for report in (full, audit(copies(EXAMPLES), EXAMPLES.repeat(2, 1))):
        again = AuditReport.from_json(report.to_json())
        assert again == report
        assert type(again.thresholds) is Thresholds
        assert again.to_html() == report.to_html()
        assert len(repr(report)) < 100  # the numbers of whole models do not go into a notebook's text


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda text: 3, TypeError, "text must be a str, got int"),
        (lambda text: text[:-5], ValueError, "text must be JSON of an AuditReport"),
        (lambda text: "{}", ValueError, "text must hold the format"),
        (lambda text: "[" * 100_000, ValueError, "text must be JSON of an AuditReport"),
        (lambda text: text.replace('"spread": ', '"spread": NaN, "_": ', 1), ValueError, "finite, got NaN"),
        (lambda text: text.replace('"not memorized"', '"fine"', 1), ValueError, "report.verdict must be one of"),
        (lambda text: text.replace('"shape": [8, 8]', '"shape": [3]').replace("[3]", "[8, 8]", 1), ValueError,
         "sample_values must hold"),
        (lambda text: text.replace('"ratio_edges": [', '"ratio_edges": [0.0, ', 1), ValueError, "one share for each"),
        (lambda text: text.replace('"sigmas": [', '"sigmas": [0.1, ', 1), ValueError, "for each of 17 sigmas"),
        (lambda text: text.replace('"verdict"', '"judgement"'), ValueError, "report must hold the fields of"),
        (lambda text: text.replace('"leaked": 0', '"leaked": "0"'), ValueError, "report.leaked must be of type int"),
        (lambda text: text.replace('"shape": [8, 8]', '"shape": 8', 1), ValueError, "report.shape must be a list"),
    ],
)  # fmt: skip
def test_text_that_is_no_report_is_refused(full, spoil, error, message):
    with pytest.raises(error, match=message):
        AuditReport.from_json(spoil(full.to_json()))


def test_page_needs_nothing_else_and_every_figure_has_a_text(full):
    page = full.to_html()
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    for wanted in ("not memorized", "prefers-color-scheme: dark", "width=device-width", "nearest example", "<main"):
        assert wanted in page
    for banned in ("<script", "http:", "https:", "@import", "url("):
        assert banned not in page
    assert page.count("<img") == page.count('<img alt="') == page.count('src="data:image/png;base64,') == 8
    assert page.count('alt=""') == 0
    assert all(reason.replace("'", "&#x27;").replace("<", "&lt;") in page for reason in full.reasons)


def test_jupyter_shows_a_part_of_a_page(full):
    part = full._repr_html_()
    assert part.startswith('<div class="audit">')
    assert "<html" not in part
    assert "<h1" not in part
    assert "<h3>Audit" in part


def test_print_says_verdict_reasons_and_warnings(full):
    lines = str(full).splitlines()
    assert lines[0] == "verdict: not memorized"
    assert len(lines) == 1 + len(full.reasons) + len(full.warnings)


def test_models_of_one_number_and_large_images_are_shown():
    line = audit(randn(30, 1, seed=1), randn(40, 1))
    assert line.pairs[0].shape == (1,)
    image = audit(randn(5, 2, 200, 30, seed=1), randn(6, 2, 200, 30))
    assert image.pairs[0].shape == (67, 30)
    assert "<img" in line.to_html()


@pytest.fixture
def files(tmp_path):
    for name, value in (("examples", EXAMPLES), ("samples", copies(EXAMPLES)), ("held_out", HELD_OUT)):
        np.save(tmp_path / f"{name}.npy", value.numpy())
    return tmp_path


def test_command_line_prints_the_verdict_and_writes_the_report(files, capsys):
    paths = [str(files / f"{name}.npy") for name in ("examples", "samples", "held_out")]
    page, data = files / "report.html", files / "report.json"
    page.write_text("old")
    assert main([*paths[:2], "--held-out", paths[2], "--report", str(page), "--json", str(data)]) == 0
    assert capsys.readouterr().out.startswith("verdict: memorized\n")
    report = AuditReport.from_json(data.read_text())
    assert report.num_held_out == 100
    assert page.read_text() == report.to_html()
    assert sorted(p.name for p in files.iterdir()) == [
        "examples.npy", "held_out.npy", "report.html", "report.json", "samples.npy",
    ]  # fmt: skip


@pytest.mark.parametrize("more", [["--json", "{0}/samples.npy"], ["--report", "{0}/r", "--json", "{0}/./r"]])
def test_command_line_never_writes_over_a_file_in_use(files, more, capsys):
    before = (files / "samples.npy").read_bytes()
    assert main([str(files / "examples.npy"), str(files / "samples.npy"), *(m.format(files) for m in more)]) == 2
    assert "--json must be a file of its own" in capsys.readouterr().err
    assert (files / "samples.npy").read_bytes() == before
    assert not (files / "r").exists()


def test_smooth_samples_are_never_convicted():
    widths = torch.arange(1, 65) ** -0.5
    examples, held_out, fresh = (randn(n, 64, seed=s) * widths for n, s in ((20, 1), (200, 2), (200, 3)))
    smooth = fresh * (torch.arange(64) < 8)
    found = audit_prior(examples, samples=smooth, held_out=held_out, generator=seeded(0))
    assert found.rates[1].interval[0] > 0.05  # more than fresh models, and no copy among them
    assert found.rates[0].rate == 0
    assert found.verdict == "undecided"


def test_a_few_exact_copies_forbid_an_acquittal():
    found = audit(torch.cat([FRESH, EXAMPLES[:2]]), held_out=HELD_OUT)
    assert found.exact_copies == 2
    assert found.verdict == "undecided"
    assert found.reasons[-1].startswith(f"2 of {len(FRESH) + 2} samples are copies of training models")
    assert audit(FRESH, held_out=HELD_OUT).verdict == "not memorized"


def test_module_runs_from_the_shell(files):
    root = Path(__file__).parents[1]
    call = [sys.executable, "-m", "lib.audit", str(files / "examples.npy"), str(files / "nothing.npy")]
    found = subprocess.run(call, cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        f"python -m lib.audit: error: path must name a file of models, got {files / 'nothing.npy'}"
    ]


def _pickled(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-9]), "not a readable .npy file"),
        (lambda p: p.write_bytes(b""), "not a readable .npy file"),
        (lambda p: p.write_bytes(b"junk" * 100), "not a readable .npy file"),
        (_pickled, "not a readable .npy file"),
        (lambda p: np.save(p, np.array(["a"])), "must hold one array of real numbers"),
        (lambda p: np.save(p, FRESH.numpy()[:, :5]), r"samples must hold models of shape \[64\]"),
        (lambda p: np.save(p, FRESH.numpy() * math.inf), "samples must be finite"),
        (lambda p: np.save(p, 1e6 * FRESH.numpy()), "samples must be in the units of the examples"),
        (lambda p: p.unlink(), "path must name a file"),
    ],
)
def test_bad_files_give_one_line_and_leave_the_old_report(files, capsys, spoil, message):
    spoil(files / "samples.npy")
    page = files / "report.html"
    page.write_text("old")
    call = [str(files / "examples.npy"), str(files / "samples.npy"), "--report", str(page)]
    assert main(call) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("python -m lib.audit: error: ")
    assert re.search(message, error)
    assert page.read_text() == "old"


def test_where_to_write_is_checked_before_the_work(files, capsys):
    call = [str(files / "missing.npy"), str(files / "missing.npy"), "--report", str(files / "nowhere" / "r.html")]
    assert main(call) == 2
    assert "--report must lie in an existing folder" in capsys.readouterr().err


def test_other_formats_are_read_as_velocity_models(files, capsys, monkeypatch):
    import lib.audit

    speeds = {"a.mat": 2500 + 300 * EXAMPLES.reshape(-1, 8, 8), "b.mat": 2500 + 300 * FRESH.reshape(-1, 8, 8)}
    monkeypatch.setattr(lib.audit, "load_velocity_models", lambda path: speeds[path.name])
    assert main(["a.mat", "b.mat"]) == 0
    assert capsys.readouterr().out.startswith("verdict: not memorized")
