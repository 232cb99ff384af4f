"""From measured rates and gaps to a verdict in words, by thresholds that are stated beside it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lib import checks
from lib.denoising_gap import DenoisingGap
from lib.diagnostics import MemorizationRate

VERDICTS = MEMORIZED, NOT_MEMORIZED, UNDECIDED = "memorized", "not memorized", "undecided"
_OVERFITTED = "overfitted"  # no verdict, but it forbids an acquittal
_CONVICTS = "d1/d2"  # the other rule rises without a copy for samples that are smoother than the population


def _share(default: float, use: str):
    return dataclasses.field(default=default, metadata={"use": use})


@dataclass(frozen=True)
class Thresholds:
    """What an audit's verdict follows from; every share is between 0 and 1.

    Attributes:
        confidence: Joint probability of the intervals of all rules.
        excess: "memorized" where the whole interval of the rate by d1/d2 above its null lies beyond this share.
        tolerated: "not memorized" needs a rule whose interval ends below this share, and none that begins above 0.
        blind: A rule that calls more than this share of fresh models copies cannot clear anything.
        gap: "memorized" where the denoiser's distance from the memorized one is below this share of the Gaussian's, on
            held-out models, at a level where the memorized denoiser does worse on them than the Gaussian. The
            population's own denoiser stays above 1/2 there.
        learned_by_heart: "memorized" where the denoiser's squared error on training models is below this share of that
            on held-out ones, with its whole interval, at some level: half the error where it was trained.
        overfitted: "not memorized" needs a share above this at all levels.
        near_duplicate: Models closer than this share of the median distance to the nearest example are duplicates.
        fewest: Fewer samples, examples or held-out models than this are called few.
    """

    confidence: float = _share(0.95, "joint probability of the intervals")
    excess: float = _share(0.05, "memorized: the interval of d1/d2 lies above it")
    tolerated: float = _share(0.10, "not memorized: an interval ends below it")
    blind: float = _share(0.5, "a rule with a larger null clears nothing")
    gap: float = _share(0.4, "memorized: denoiser's distance over the Gaussian's is below it")
    learned_by_heart: float = _share(0.25, "memorized: squared error, training over held-out, is below it")
    overfitted: float = _share(0.5, "not memorized: squared error, training over held-out, is above it")
    near_duplicate: float = _share(0.05, "duplicates: distance over the median nearest distance")
    fewest: int = _share(20, "fewer are called few")

    def __post_init__(self):
        """Refuse shares outside (0, 1)."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "fewest":
                checks.count(field.name, value)
            elif not checks.positive(field.name, value) < 1:
                raise ValueError(f"{field.name} must be a share between 0 and 1, got {value}")


def verdict(
    rates: tuple[MemorizationRate, ...],
    gap: DenoisingGap | None,
    num_held_out: int,
    doubts: tuple[str, ...],
    thresholds: Thresholds,
) -> tuple[str, tuple[str, ...]]:
    """The verdict and its reasons, in words.

    "memorized" if d1/d2 or the denoiser says so; "not memorized" if a rule that is not blind clears the samples,
    the excess of no other exceeds what is tolerated, the denoiser is not overfitted, and nothing casts doubt on the
    comparison; else "undecided".

    Args:
        rates: One for each rule; empty without samples.
        gap: Of the denoiser, or None.
        num_held_out: Held-out models behind `gap`.
        doubts: Reasons why a comparison without copies would prove nothing.
        thresholds: The bounds.
    """
    said = [_of_rate(rate, thresholds) for rate in rates]
    reasons = [reason for _, reason in said]
    found = [outcome for outcome, _ in said]
    for outcome, reason in [] if gap is None else _of_denoiser(gap, num_held_out, thresholds):
        found.append(outcome)
        reasons.append(reason)
    if MEMORIZED in found:
        return MEMORIZED, tuple(reasons)
    small = all(rate.rate - rate.null_rate <= thresholds.tolerated for rate in rates)
    some = any(rate.interval[0] > 0 for rate in rates)
    if NOT_MEMORIZED in found and small and not some and _OVERFITTED not in found and not doubts:
        return NOT_MEMORIZED, tuple(reasons)
    return UNDECIDED, (*reasons, *doubts)


def _of_rate(rate: MemorizationRate, thresholds: Thresholds) -> tuple[str, str]:
    low, high = rate.interval
    start = f"{rate.rule}: {rate.rate:.1%} copies, null {rate.null_rate:.1%}, difference in [{low:+.1%}, {high:+.1%}], "
    if low > thresholds.excess:
        if rate.rule != _CONVICTS:
            return UNDECIDED, f"{start}beyond {thresholds.excess:.0%}, but so are samples smoother than the population"
        return MEMORIZED, f"{start}beyond {thresholds.excess:.0%}"
    if low > 0:
        return UNDECIDED, f"{start}some are copies, but it is open whether more than {thresholds.excess:.0%}"
    if rate.null_rate > thresholds.blind:
        return UNDECIDED, f"{start}the rule is blind: it calls most fresh models copies"
    if high < thresholds.tolerated:
        return NOT_MEMORIZED, f"{start}below {thresholds.tolerated:.0%}"
    return UNDECIDED, f"{start}too wide to tell"


def _of_denoiser(gap: DenoisingGap, num_held_out: int, thresholds: Thresholds) -> list[tuple[str, str]]:
    """What the distance from the memorized denoiser says, and what the errors on training and held-out models say."""
    enough, found = num_held_out >= thresholds.fewest, []
    few = "" if enough else ", but too few held-out models"
    if (nearest := gap.nearest_level()) is not None:
        share, sigma = nearest
        close = share < thresholds.gap
        reason = (
            f"denoiser: on held-out models at sigma {sigma:.3g} its distance from the memorized one is {share:.2f} of "
            f"a Gaussian's ({'below' if close else 'not below'} {thresholds.gap:g}{few})"
        )
        found.append((MEMORIZED if close and enough else UNDECIDED, reason))
    if (smallest := gap.smallest_ratio()) is not None:
        ratio, low, high, sigma = smallest
        by_heart, overfitted = high < thresholds.learned_by_heart, ratio < thresholds.overfitted
        limit = thresholds.learned_by_heart if by_heart else thresholds.overfitted
        reason = (
            f"denoiser: at sigma {sigma:.3g} its squared error on training models is {ratio:.2f} of that on held-out "
            f"ones, in [{low:.2f}, {high:.2f}] ({'below' if by_heart or overfitted else 'not below'} {limit:g}{few})"
        )
        found.append((MEMORIZED if by_heart and enough else _OVERFITTED if overfitted else UNDECIDED, reason))
    return found
