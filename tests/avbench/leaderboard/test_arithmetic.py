from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.leaderboard.arithmetic import RULES, check, mark
from avbench.leaderboard.rows import Row, read_measured, read_reported
from avbench.leaderboard.spans import Span, reduction, span_of
from avbench.metrics import offset

FOLDER = Path(__file__).resolve().parents[3] / "leaderboards"
REPORTED = read_reported(FOLDER)

BASE = Row(
    kind="paper",
    method="syncnet",
    dataset="lrs2",
    split="test",
    protocol="kim-strict-5",
    version=None,
    window=11,
    condition="",
    metric="accuracy@0",
    unit="percent",
    value=45.17,
    std=None,
    repeats=10,
    low=None,
    high=None,
    interval="",
    n=71000,
    n_failed=None,
    reference="",
    source="A paper",
    verified="Table 1",
    note="",
    suspect="",
    run="",
    printed="45.17",
)


def row(metric: str, printed: str, **fields: object) -> Row:
    units = {"mean": "frames", "median": "frames", "max_": "frames", "mcd": "dB"}
    unit = next((u for stem, u in units.items() if metric.startswith(stem)), "percent")
    known = {"metric": metric, "printed": printed, "value": float(printed), "unit": unit}
    return replace(BASE, **{**known, **fields})  # type: ignore[arg-type]


def checks(*rows: Row) -> set[str]:
    return {finding.check for finding in check(rows)}


def key(found: Row) -> tuple[str, str, str, int | None, str]:
    return found.source.split()[0], found.method, found.metric, found.window, found.printed


# --- What is suspect among the numbers that the leaderboards hold


def test_exactly_these_reported_numbers_cannot_be_right() -> None:
    assert {key(found) for found in REPORTED if found.suspect} == {
        ("Kim", "diag-avg", "accuracy@0", 11, "63.34"),
        ("Kim", "diag-avg", "rer@0", 11, "31.32"),
        ("Shalev", "modified-dta", "duplicated", None, "67.10"),
        ("Shalev", "tae", "duplicated", None, "38.45"),
        ("Shalev", "none", "judged_real", None, "86"),
    }


def test_reasons_name_the_numbers() -> None:
    reasons = {key(found)[1:3]: found.suspect for found in REPORTED if found.suspect}
    assert "33.1236 .. 33.154, not 31.32" in reasons["diag-avg", "rer@0"]
    assert "107.94 .. 107.96 for modified-dta" in reasons["tae", "duplicated"]
    assert "114.69 .. 114.71 for tae" in reasons["modified-dta", "duplicated"]
    assert "no whole number of 40 answers is 86 %" in reasons["none", "judged_real"]


def test_the_misprint_of_kim_et_al_goes_away_with_the_accuracy_that_the_reduction_implies() -> None:
    kim = [found for found in REPORTED if found.source.startswith("Kim")]
    mended = [
        replace(found, value=62.34, printed="62.34") if found.printed == "63.34" else found
        for found in kim
    ]
    assert len(check(kim)) == 2
    assert check(mended) == []


def test_the_retiming_table_would_hold_with_as_many_duplicates_as_deletions() -> None:
    """Sound and picture of the 40 pairs are as long in the mean, each clip being in both roles."""
    frames = [r for r in REPORTED if r.protocol == "redub" and r.unit == "count"]
    deleted = {r.method: r.printed for r in frames if r.metric == "deleted"}
    mended = [
        replace(r, printed=deleted[r.method], value=float(deleted[r.method]))
        if r.metric == "duplicated"
        else r
        for r in frames
    ]
    assert len(check(frames)) == 2
    assert check(mended) == []


def test_every_rule_has_something_to_say_about_the_reported_rows() -> None:
    said = {rule.__name__: sum(1 for _ in rule(REPORTED)) for rule in RULES}
    assert all(said.values()), said
    assert said["_reductions"] == 24
    assert said["_guesses"] == 4


def test_what_was_measured_can_be_right() -> None:
    measured = read_measured(FOLDER)
    assert measured
    assert check(measured) == []


def test_a_few_of_the_printed_rows_by_hand() -> None:
    """Guards the files themselves: the headline numbers of the text of Kim et al."""
    held = {(r.method, r.metric, r.window): r.value for r in REPORTED if r.source[:3] == "Kim"}
    assert held["sync-e2e", "accuracy@0", 20] == 79.26
    assert held["sync-e2e", "rer@0", 11] == 39.59
    assert held["sync-e2e", "rer@1", 11] == 50.22
    assert held["sync-e2e", "accuracy@1", 20] == 95.18
    assert held["diag-avg", "rer@0", 11] == 31.32


# --- Planted errors


def slipped(found: Row) -> Row:
    """Print the number with the first two neighbouring digits that differ swapped."""
    digits = found.printed.replace(".", "")
    i = next(i for i in range(3) if digits[i] != digits[i + 1])
    wrong = digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]
    wrong = f"{wrong[:-2]}.{wrong[-2:]}"
    return replace(found, printed=wrong, value=float(wrong))


KIM = [r for r in REPORTED if r.source[:3] == "Kim" and r.window == 13]


@pytest.mark.parametrize("place", range(len(KIM)), ids=[f"{r.method}-{r.metric}" for r in KIM])
def test_a_slip_in_any_cell_of_a_column_of_kim_et_al_is_found(place: int) -> None:
    assert check(KIM) == []
    rows = [slipped(r) if i == place else r for i, r in enumerate(KIM)]
    assert any(finding.row is rows[place] for finding in check(rows))


def test_a_wrong_baseline_puts_everything_relative_to_it_in_doubt() -> None:
    rows = [slipped(r) if r.method == "syncnet" and r.metric == "accuracy@0" else r for r in KIM]
    doubted = {(f.row.method, f.row.metric) for f in check(rows) if f.check == "reduction"}
    assert ("syncnet", "accuracy@0") in doubted
    assert {("sync-cls", "rer@0"), ("sync-e2e", "rer@0"), ("diag-avg", "rer@0")} <= doubted


def test_sound_numbers_of_others_are_cleared_by_what_confirms_them() -> None:
    wrong = [replace(r, value=35.0, printed="35.00") if r.printed == "29.79" else r for r in KIM]
    assert {(f.row.method, f.row.metric) for f in check(wrong)} == {
        ("sync-cls", "accuracy@0"),
        ("sync-cls", "rer@0"),
    }


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ((row("accuracy@0", "145.17"),), "range"),
        ((row("accuracy@0", "-1.00"),), "range"),
        ((row("equal_error_rate", "100.2"),), "range"),
        ((row("rer@0", "100.60", reference="syncnet"),), "range"),
        ((row("mean_absolute_error", "-0.10"),), "range"),
        ((row("mouth_width_correlation", "1.10", unit="fraction"),), "range"),
        ((row("accuracy@0", "45.17", std=4.9),), "spread"),
        ((row("accuracy@0", "45.17", std=-0.3),), "spread"),
        ((row("accuracy@0", "45.17", n=20, repeats=1),), "count"),
        ((row("accuracy@0", "45.17", n=71001),), "count"),
        ((row("accuracy@0", "45.17", n_failed=60000),), "count"),
        ((row("accuracy@0", "45.17", n_failed=80000),), "count"),
        ((row("duplicated", "38.46", unit="count", n=40, repeats=None),), "count"),
        ((row("accuracy@0", "60.00"), row("accuracy@1", "59.98")), "order"),
        ((row("recall@1", "60.0"), row("recall@10", "59.8")), "order"),
        ((row("accuracy@0class", "60.0"), row("accuracy@1class", "59.0")), "order"),
        ((row("accuracy@1", "60.00"), row("perceptual@ebu-r37", "59.98")), "order"),
        ((row("perceptual@ebu-r37", "61.00"), row("perceptual@bt1359-detect", "60.00")), "order"),
        ((row("mean_absolute_error", "3.6"), row("max_absolute_error", "3")), "order"),
        ((row("mcd", "5.00"), row("mcd_dtw", "5.02")), "order"),
        ((row("accuracy@0", "60.00"), row("mean_absolute_error", "0.39")), "errors"),
        (
            (
                row("accuracy@0", "60.00"),
                row("mean_absolute_error", "1.30"),
                row("max_absolute_error", "3"),
            ),
            "errors",
        ),
        (
            (
                row("accuracy@0", "60.00"),
                row("accuracy@1", "80.00"),
                row("mean_absolute_error", "0.59"),
            ),
            "errors",
        ),
        (
            (
                row("consecutive", "70", unit="count", n=None),
                row("unique", "60", unit="count", n=None),
            ),
            "frames",
        ),
        ((row("accuracy@1", "25.71", method="uniform-guess", kind="chance", n=None),), "chance"),
        (
            (
                row("f1", "80.0", split="Bell"),
                row("f1", "90.0", split="Long"),
                row("f1", "86.0", split="mean2"),
            ),
            "mean",
        ),
    ],
)
def test_a_planted_error_is_found(rows: tuple[Row, ...], name: str) -> None:
    assert name in checks(*rows)
    assert any(marked.suspect for marked in mark(rows))


@pytest.mark.parametrize(
    "rows",
    [
        (row("accuracy@0", "60.00"), row("accuracy@1", "60.00")),
        (row("accuracy@0", "60.00"), row("accuracy@1", "59.00", window=13)),
        (row("accuracy@0", "60.00"), row("accuracy@1", "59.00", source="Another paper")),
        (row("accuracy@1", "60.00"), row("perceptual@atsc-is191", "59.00")),
        (row("accuracy@0", "60.00"), row("mean_absolute_error", "0.40")),
        (row("accuracy@0", "100.00"), row("rer@0", "-12.00", reference="syncnet")),
        (row("accuracy@0", "86", n=50, repeats=None),),
        (row("accuracy@0", "83", n=40, repeats=None),),
        (row("accuracy@0", "45.17", std=0.6),),
        (row("duplicated", "38.45", unit="count", n=40, repeats=None),),
        (row("accuracy@1", "9.7", method="uniform-guess", kind="chance", protocol="pm-window-15"),),
        (row("accuracy@1", "50.0", method="uniform-guess", kind="chance", protocol="coins"),),
    ],
)
def test_what_can_be_right_is_left_alone(rows: tuple[Row, ...]) -> None:
    assert check(rows) == []
    assert mark(rows) == list(rows)


def test_protocols_that_average_over_clips_need_no_whole_numbers() -> None:
    odd = row("accuracy@1", "33.33", n=100, repeats=1)
    assert checks(odd) == {"count"}
    assert checks(replace(odd, protocol="pm-window-15")) == set()


def test_failures_count_as_wrong_and_have_no_error_in_frames() -> None:
    share = row("accuracy@0", "60.00", n_failed=20000, n=70000)
    mean = row("mean_absolute_error", "0.10", n_failed=20000, n=70000)
    assert "errors" not in checks(share, mean)
    assert "errors" in checks(replace(share, n_failed=0), replace(mean, n_failed=0))


# --- Intervals


@given(st.integers(0, 9999), st.integers(0, 9900))
def test_a_reduction_of_rounded_accuracies_lies_in_its_span(a: int, b: int) -> None:
    accuracy, base = a / 100, b / 100
    found = reduction(Span(accuracy - 0.005, accuracy + 0.005), Span(base - 0.005, base + 0.005))
    assert found is not None
    exact = 100 * offset.rer(accuracy / 100, base / 100)
    assert found.low - 1e-9 <= exact <= found.high + 1e-9


def test_nothing_can_be_reduced_where_no_error_is_left() -> None:
    assert reduction(Span(99, 99), Span(99.995, 100.005)) is None


def test_spans_are_as_wide_as_the_last_digit() -> None:
    span = span_of(row("accuracy@0", "22.70"))
    assert span is not None
    assert (span.low, span.high) == pytest.approx((22.695, 22.705))
    coarse = span_of(row("accuracy@0", "88"))
    assert coarse is not None
    assert (coarse.low, coarse.high) == (87.5, 88.5)
    bound = span_of(replace(BASE, value=None, printed=">99", low=99.0))
    assert bound == Span(99.0, 100.0)
    assert span_of(replace(BASE, value=None, printed="")) is None


@given(st.permutations(range(len(REPORTED))))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    suspects: Callable[[list[Row]], set[object]] = lambda rows: {  # noqa: E731
        key(found) for found in mark(rows) if found.suspect
    }
    assert len(suspects([REPORTED[i] for i in order])) == 5
