"""The report of an audit: plain data that prints, goes to JSON and back, and draws itself as a page."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass

from lib.copies import Duplicates
from lib.denoising_gap import DenoisingGap
from lib.diagnostics import MemorizationRate
from lib.likelihood_gap import LikelihoodGap
from lib.lookup_change import LookupChange
from lib.report_page import page
from lib.verdict import VERDICTS, Thresholds

_FORMAT = "memorization audit 1"


@dataclass(frozen=True)
class Pair:
    """A sample beside its nearest training example, thinned to at most 96 cells a side.

    Attributes:
        sample: Number of the sample.
        example: Number of the example.
        distance: Euclidean, of the whole models, in their units.
        ratio: d1/d2.
        shape: Of the values below, [n] or [nz, nx].
        sample_values: Of the sample, row by row.
        example_values: Of the example.
    """

    sample: int
    example: int
    distance: float
    ratio: float
    shape: tuple[int, ...]
    sample_values: tuple[float, ...]
    example_values: tuple[float, ...]

    def __post_init__(self):
        """Refuse values that do not fill the shape."""
        for name in ("sample_values", "example_values"):
            if len(getattr(self, name)) != math.prod(self.shape):
                raise ValueError(f"{name} must hold as many values as the shape {list(self.shape)}")


@dataclass(frozen=True, repr=False)
class AuditReport:
    """What `lib.audit.audit_prior` found.

    Attributes:
        verdict: "memorized", "not memorized" or "undecided".
        reasons: What it follows from, one sentence each.
        warnings: What is wrong or missing in the input.
        thresholds: The bounds behind the verdict.
        shape: Shape of one model.
        num_examples: Training models given.
        num_samples: Samples; those drawn from the denoiser if none were given.
        num_held_out: Held-out models that are no copies of training models.
        spread: Root mean square of the examples about their mean.
        samples_from: "given" or "denoiser".
        null: "held-out models" or "leave-one-out".
        rates: Memorization rate by each rule.
        exact_copies: Samples that equal an example, or are nearer than duplicates are.
        leaked: Held-out models that are copies of training models; they were left out.
        samples_in_held_out: Samples that are copies of held-out models.
        neighbours: k of the nearest-ratio rule.
        ratio_edges: Edges of the histogram of d1/d2, [21].
        ratio_samples, ratio_null: Shares of samples and of the null in it, [20].
        distances: Median distance to the nearest example, of the samples and of the null.
        pairs: The samples of smallest d1/d2 beside their nearest examples.
        duplicates: Duplicates in the training set.
        gap: The denoiser beside closed forms, or None.
        likelihood: Kernel density of the samples, or None.
        lookup: Effective size and leave-nearest-out, or None.
    """

    verdict: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    thresholds: Thresholds
    shape: tuple[int, ...]
    num_examples: int
    num_samples: int
    num_held_out: int
    spread: float
    samples_from: str
    null: str
    rates: tuple[MemorizationRate, ...]
    exact_copies: int
    leaked: int
    samples_in_held_out: int
    neighbours: int
    ratio_edges: tuple[float, ...]
    ratio_samples: tuple[float, ...]
    ratio_null: tuple[float, ...]
    distances: tuple[float, float]
    pairs: tuple[Pair, ...]
    duplicates: Duplicates
    gap: DenoisingGap | None = None
    likelihood: LikelihoodGap | None = None
    lookup: LookupChange | None = None

    def __post_init__(self):
        """Refuse histograms that do not fit their edges."""
        for name in ("ratio_samples", "ratio_null"):
            if len(getattr(self, name)) != len(self.ratio_edges) - 1:
                raise ValueError(f"{name} must hold one share for each bin, {len(self.ratio_edges) - 1}")

    def __repr__(self) -> str:
        # The fields hold whole models: a notebook that shows a report would store them as text.
        return f"AuditReport({self.verdict!r}, {self.num_samples} samples beside {self.num_examples} examples)"

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}", *(f"  {reason}" for reason in self.reasons)]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def to_json(self) -> str:
        """The whole report as JSON text; `from_json` makes an equal one of it."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> AuditReport:
        """The report that `to_json` wrote.

        Raises:
            TypeError, ValueError: Not text, not JSON, or not such a report.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        try:
            held = json.loads(text, parse_constant=_not_finite)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"text must be JSON of an AuditReport: {error}") from error
        if not isinstance(held, dict) or held.pop("format", None) != _FORMAT:
            raise ValueError(f"text must hold the format {_FORMAT!r}, written by AuditReport.to_json")
        report = _built(cls, held, "report")
        if report.verdict not in VERDICTS:
            raise ValueError(f"report.verdict must be one of {VERDICTS}, got {report.verdict!r:.60}")
        return report

    def to_html(self) -> str:
        """One page that needs nothing else: figures inside, no scripts, no requests; light and dark."""
        return page(self)

    def _repr_html_(self) -> str:
        return page(self, embedded=True)


def _not_finite(name: str) -> float:
    raise ValueError(f"its numbers must be finite, got {name}")


def _built(kind: object, value: object, where: str) -> object:
    """A value of an annotated kind from what JSON holds."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        if not isinstance(value, dict) or set(value) != set(hints):
            raise ValueError(f"{where} must hold the fields of {kind.__name__}")
        return kind(**{name: _built(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is types.UnionType:
        return None if value is None else _built(arguments[0], value, where)
    if typing.get_origin(kind) is tuple:
        wanted = arguments[:1] * len(value) if isinstance(value, list) and arguments[-1] is ... else arguments
        if not isinstance(value, list) or len(value) != len(wanted):
            raise ValueError(f"{where} must be a list of the right length, got {value!r:.60}")
        return tuple(_built(a, v, where) for a, v in zip(wanted, value, strict=True))
    if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise ValueError(f"{where} must be of type {kind.__name__}, got {value!r:.60}")
    return float(value) if kind is float else value
