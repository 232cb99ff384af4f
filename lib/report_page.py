"""An audit report as one HTML page: no scripts, no requests, light and dark, for screens of any width."""

from __future__ import annotations

from dataclasses import fields
from html import escape

from lib.report_figures import Picture, pictures

_STYLE = """
.audit { line-height: 1.5; overflow-wrap: anywhere; }
.audit .verdict { border-left: .4rem solid #767676; padding: .4rem 1rem; }
.audit .verdict.memorized { border-color: #d55e00; }
.audit .verdict.not-memorized { border-color: #009e73; }
.audit .verdict strong { font-size: 1.4rem; }
.audit .scroll { overflow-x: auto; }
.audit table { border-collapse: collapse; overflow-wrap: normal; margin: .5rem 0 1rem; }
.audit th, .audit td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #767676; }
.audit caption { text-align: left; padding-bottom: .3rem; }
.audit .figures { display: flex; flex-wrap: wrap; gap: 1rem; }
.audit figure { margin: 0; width: 26rem; max-width: 100%; }
.audit img { width: 100%; height: auto; background: #fff; border-radius: .25rem; }
"""
_PAGE = """
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: #1a1a1a; background: #fff;
  font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #16181c; } }
"""
_MEANING = {
    "memorized": "The prior is memorized: it returns its training models, or its denoiser knows them by heart. "
    "The reasons say which.",
    "not memorized": "The prior is not memorized: its samples are copies no more often than fresh models are. "
    "This does not say that they are good models.",
    "undecided": "Undecided: the data at hand neither show copies nor rule them out.",
}


def page(report, *, embedded: bool = False) -> str:
    """HTML of an `AuditReport`; embedded: a part of another page, in its colours, with lower headings."""
    top, drawn = (3 if embedded else 1), pictures(report)
    parts = [
        f"<h{top}>Audit of a learned prior</h{top}>",
        _verdict(report),
        *_section("What was compared", _inputs(report), top),
        *_section("Copies", _rates(report) + _figures(drawn[:2]), top),
    ]
    rest = drawn[2:]
    if report.gap is not None:
        parts += _section("The denoiser beside closed forms", _gap(report) + _figures(rest[:2]), top)
        rest = rest[2:]
    parts += _section("Samples nearest to examples", _figures(rest), top)
    if report.likelihood is not None:
        parts += _section("Training against held-out likelihood", _likelihood(report.likelihood), top)
    if report.lookup is not None:
        parts += _section("The posterior without its nearest example", _lookup(report.lookup), top)
    parts += _section("Duplicates and thresholds", _duplicates(report) + _thresholds(report), top)
    body = "\n".join(parts)
    if embedded:
        return f'<div class="audit"><style>{_STYLE}</style>\n{body}\n</div>'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>Audit of a learned prior: {escape(report.verdict)}</title>\n<style>{_PAGE}{_STYLE}</style>\n</head>\n"
        f'<body>\n<main class="audit">\n{body}\n</main>\n</body>\n</html>\n'
    )


def _section(title: str, content: str, top: int) -> list[str]:
    return ["<section>", f"<h{top + 1}>{escape(title)}</h{top + 1}>", content, "</section>"]


def _verdict(report) -> str:
    kind = report.verdict.replace(" ", "-")
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in report.reasons)
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
    return (
        f'<div class="verdict {kind}"><p><strong>{escape(report.verdict)}</strong></p>'
        f"<p>{_MEANING[report.verdict]}</p><ul>{lines}</ul></div>"
        + (f"<p>Warnings:</p><ul>{warnings}</ul>" if warnings else "")
    )


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    first = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _figures(found: list[Picture]) -> str:
    return '<div class="figures">' + "".join(
        f'<figure><img alt="{escape(picture.alt)}" src="data:image/png;base64,{picture.data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in found
    ) + "</div>"  # fmt: skip


def _inputs(report) -> str:
    shape = " x ".join(map(str, report.shape))
    origin = "given" if report.samples_from == "given" else "drawn from the denoiser"
    rows = [
        ["training models", str(report.num_examples)],
        ["samples", f"{report.num_samples} ({origin})"],
        ["held-out models", str(report.num_held_out)],
        ["shape of a model", shape],
        ["spread of the training models", f"{report.spread:.4g}"],
        ["null", report.null],
    ]
    return _table("Models compared", ["what", "value"], rows)


def _rates(report) -> str:
    rows = [
        [
            f"{rate.rule} < {rate.threshold:.2g}", f"{rate.rate:.1%}", f"{rate.null_rate:.1%}",
            f"{rate.interval[0]:+.1%} to {rate.interval[1]:+.1%}",
        ]
        for rate in report.rates
    ]  # fmt: skip
    near, null = report.distances
    return (
        _table("Share of copies by each rule", ["rule", "samples", "null", "difference"], rows)
        + f"<p>The intervals of the differences hold jointly with a probability of {report.thresholds.confidence:.0%}. "
        f"The second rule uses {report.neighbours} neighbours. Median distance to the nearest example: "
        f"{near:.4g} for samples, {null:.4g} for the null. {report.exact_copies} samples are exact copies or as near "
        f"as duplicates are; {report.samples_in_held_out} are copies of held-out models; {report.leaked} held-out "
        "models were copies of training models.</p>"
    )


def _gap(report) -> str:
    found, text = report.gap, ""
    if found.nats is not None:
        text = (
            f"<p>The losses imply that training models are {found.nats:.4g} nats (standard error "
            f"{found.nats_error:.2g}) likelier than held-out ones, at a resolution of {found.sigmas[0]:.3g}.</p>"
        )
    nearest = found.nearest_level()
    if nearest is None:
        return text + "<p>No level tells memorization from knowledge of the population here.</p>"
    return text + (
        "<p>Where the memorized denoiser does worse on held-out models than a Gaussian, this denoiser comes nearest "
        f"to it at sigma {nearest[1]:.3g}: {nearest[0]:.2f} of the Gaussian's distance.</p>"
    )


def _likelihood(found) -> str:
    return (
        f"<p>Under a kernel density of the samples (bandwidth {found.bandwidth:.3g}, chosen on half of the held-out "
        f"models), training models are {found.difference:+.4g} nats (standard error {found.standard_error:.2g}) "
        "likelier than the other held-out ones.</p>"
    )


def _lookup(found) -> str:
    rows = [
        ["effective number of examples", f"{found.effective_size:.3g} of {found.num_examples}"],
        ["weight of the likeliest, example " + str(found.top), f"{found.top_weight:.3g}"],
        ["total variation without it", f"{found.total_variation:.3g}"],
        ["change of the mean / spread of the prior", f"{found.mean_change:.3g}"],
        ["spread of the posterior / of the prior", f"{found.spread:.3g}"],
        ["nats by which the next one fits worse", f"{found.log_evidence_lost:.4g}"],
    ]
    return _table("Lookup posterior", ["what", "value"], rows)


def _duplicates(report) -> str:
    found = report.duplicates
    pairs = "; ".join(f"{i} and {j} ({distance:.3g} apart)" for i, j, distance in found.pairs)
    return (
        f"<p>Duplicates in the training set: {found.exact} exact, {found.near} near (closer than {found.distance:.3g}; "
        f"{found.checked} models compared with all others).{' First pairs: ' + pairs + '.' if pairs else ''}</p>"
    )


def _thresholds(report) -> str:
    found = report.thresholds
    rows = [[f.name.replace("_", " "), f"{getattr(found, f.name):g}", f.metadata["use"]] for f in fields(found)]
    return _table("Thresholds of the verdict", ["threshold", "value", "use"], rows)
