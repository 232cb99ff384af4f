"""The verdict follows from the thresholds."""

import dataclasses

import pytest

from lib.denoising_gap import DenoisingGap
from lib.diagnostics import MemorizationRate
from lib.verdict import Thresholds, verdict


def rate(low, high, *, null=0.0, share=None, rule="d1/d2"):
    share = null + (low + high) / 2 if share is None else share
    return MemorizationRate(share, null, (low, high), rule, 1 / 3, 100, 100)


def gap(ours=0.5, *, memorized=2.0, error=1.0, reach=1.1):
    errors = (2 * error, error)  # the first level is never the smallest
    return DenoisingGap(
        sigmas=(0.1, 1.0), training=(0.0, 0.0), broad_training=(1.0, 1.0), loss_training=errors,
        held_out=(ours, 0.01), broad_held_out=(1.0, 1.0), loss_held_out=(1.0, 1.0), loss_memorized=(memorized, 0.5),
        loss_broad=(1.0, 1.0), ratio_low=tuple(e / reach for e in errors), ratio_high=tuple(e * reach for e in errors),
        nats=0.0, nats_error=1.0,
    )  # fmt: skip


def outcome(*rates, gap=None, held_out=100, doubts=(), **thresholds):
    return verdict(rates, gap, held_out, doubts, Thresholds(**thresholds))[0]


@pytest.mark.parametrize(
    ("expected", "rates"),
    [
        ("memorized", [rate(0.06, 0.5)]),
        ("memorized", [rate(0.06, 0.2), rate(-0.01, 0.01, rule="nearest-ratio")]),  # d1/d2 is enough
        ("undecided", [rate(-0.01, 0.01), rate(0.06, 0.2, rule="nearest-ratio")]),  # smooth samples raise it too
        ("not memorized", [rate(-0.03, 0.09)]),
        ("not memorized", [rate(-0.03, 0.09), rate(-0.1, 0.2)]),  # the other rule is too wide to tell
        ("undecided", [rate(-0.03, 0.11)]),
        ("undecided", [rate(0.01, 0.09)]),  # some are copies
        ("undecided", [rate(-0.03, 0.09), rate(0.02, 0.06)]),
        ("undecided", [rate(-0.03, 0.09), rate(-0.1, 0.4, share=0.15)]),  # too many copies by the other rule
        ("undecided", [rate(-0.03, 0.02, null=0.6)]),  # blind
        ("not memorized", [rate(-0.03, 0.02, null=0.6), rate(-0.03, 0.02)]),
    ],
)
def test_verdict_of_rates(expected, rates):
    assert outcome(*rates) == expected


def test_denoiser_alone_can_convict_where_levels_tell():
    clear = rate(-0.01, 0.01)
    assert outcome(clear, gap=gap(0.39)) == "memorized"
    assert outcome(clear, gap=gap(0.41)) == "not memorized"
    assert outcome(clear, gap=gap(0.39, memorized=0.9)) == "not memorized"  # there M is no worse than the Gaussian
    assert outcome(clear, gap=gap(0.39), held_out=19) == "not memorized"


@pytest.mark.parametrize(
    ("expected", "error", "reach", "held_out"),
    [
        ("memorized", 0.2, 1.2, 100),  # the interval ends at .24
        ("undecided", 0.2, 1.3, 100),  # at .26
        ("undecided", 0.2, 1.2, 19),  # too few held-out models to convict, but no acquittal
        ("undecided", 0.49, 1.0, 100),
        ("not memorized", 0.51, 3.0, 100),
    ],
)
def test_denoiser_that_errs_less_on_its_training_set_is_not_cleared(expected, error, reach, held_out):
    found = gap(error=error, reach=reach)
    said, reasons = verdict((rate(-0.01, 0.01),), found, held_out, (), Thresholds())
    assert said == expected
    assert f"at sigma 1 its squared error on training models is {error:.2f} of that on held-out ones" in reasons[-1]


def test_doubts_stand_against_acquittal_only():
    assert outcome(rate(-0.01, 0.01), doubts=("other scale",)) == "undecided"
    assert outcome(rate(0.5, 0.6), doubts=("other scale",)) == "memorized"
    assert "other scale" in verdict((rate(-0.01, 0.01),), None, 0, ("other scale",), Thresholds())[1]


def test_thresholds_move_the_verdict():
    assert outcome(rate(0.06, 0.5), excess=0.1) == "undecided"
    assert outcome(rate(-0.03, 0.15), tolerated=0.2) == "not memorized"
    assert outcome(rate(-0.03, 0.02, null=0.6), blind=0.7) == "not memorized"
    assert outcome(rate(-0.01, 0.01), gap=gap(0.39), fewest=101) == "not memorized"
    assert outcome(rate(-0.01, 0.01), gap=gap(error=0.5, reach=1), learned_by_heart=0.6) == "memorized"
    assert outcome(rate(-0.01, 0.01), gap=gap(error=0.6, reach=1), overfitted=0.7) == "undecided"


def test_every_reason_names_its_numbers():
    _, reasons = verdict((rate(0.06, 0.5, null=0.1),), gap(0.25), 100, (), Thresholds())
    assert "d1/d2: 38.0% copies, null 10.0%, difference in [+6.0%, +50.0%], beyond 5%" in reasons[0]
    assert "sigma 0.1" in reasons[1]
    assert "0.25 of a Gaussian's (below 0.4)" in reasons[1]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Thresholds)])
def test_thresholds_must_be_shares(field):
    with pytest.raises(ValueError, match=f"{field} must be"):
        Thresholds(**{field: 0})
    if field != "fewest":
        with pytest.raises(ValueError, match=f"{field} must be a share between 0 and 1, got 1"):
            Thresholds(**{field: 1.0})
