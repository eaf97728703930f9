from __future__ import annotations

from dataclasses import replace
from time import thread_time

import numpy as np
import pandas as pd
import pytest
from answers import answers

from avbench.distort import rng_for
from avbench.metrics import offset as metrics
from avbench.metrics.perceptual import WINDOWS
from avbench.results import Score, score
from avbench.statistics import error_reduction, mean_interval, totals, wilson
from avbench.tasks import OffsetTask

TASK = OffsetTask(lengths=(11, 20), repeats=3)
MACRO = OffsetTask(lengths=(5, 15), search=15, repeats=1, windows_per_clip=None, family="pm-window")


def rows_of(table: pd.DataFrame, task: OffsetTask = TASK, **options: str) -> dict[str, Score]:
    """Score one method (the first) at one length (the first), by metric."""
    first = table[["method", "length"]].iloc[0].tolist()
    found = score(table, task, **options)
    return {row.metric: row for row in found if [row.method, row.window] == first}


def right(part: pd.DataFrame) -> np.ndarray:
    return (part["predicted"] == part["offset"]).fillna(False).to_numpy(dtype=float)


def test_an_accuracy_has_the_interval_of_its_recordings() -> None:
    table = answers({"a": 0.7, "b": 0.5})
    row = rows_of(table)["accuracy@0"]
    part = table.query("method == 'a' and length == 11")
    assert row.value == pytest.approx(right(part).mean())
    assert (row.interval, row.clusters, row.n, row.caution) == ("cluster-bootstrap", 20, 120, "")
    assert row.standard_error == pytest.approx(
        totals(right(part), part["source"]).standard_errors[0]
    )
    alone = mean_interval(right(part), part["source"], rng=rng_for(0, "intervals", 11))
    assert row.low == pytest.approx(alone.low, abs=1e-9)
    assert row.high == pytest.approx(alone.high, abs=1e-9)


def test_every_mean_has_an_interval_and_nothing_else_has() -> None:
    found = score(answers({"a": 0.7, "b": 0.5}), TASK, reference="b")
    means = {"accuracy@0", "accuracy@1", "mean_absolute_error", "rer@0", "rer@1"}
    means |= {f"perceptual@{name}" for name in WINDOWS}
    assert {row.metric for row in found if row.interval} == means
    for row in found:
        if row.metric in means:
            assert row.low is not None
            assert row.value is not None
            assert row.high is not None
            assert row.low < row.value < row.high
        else:
            assert (row.low, row.high, row.standard_error) == (None, None, None)
    assert {row.metric for row in found if row.std is not None} == {
        metric for metric in means if metric.startswith(("accuracy@", "perceptual@"))
    }


@pytest.mark.parametrize("missing", [True, False])
def test_without_recordings_clips_are_the_clusters(missing: bool) -> None:
    table = answers({"a": 0.7})
    table = table.drop(columns="source") if missing else table.assign(source=None)
    assert rows_of(table)["accuracy@0"].clusters == 40
    assert rows_of(table)["accuracy@0"] == rows_of(table.assign(source=table["key"]))["accuracy@0"]


def test_single_questions_have_wilsons_interval() -> None:
    table = answers({"a": 0.7}, recordings=50, clips=1, repeats=1)
    found = rows_of(table, OffsetTask(lengths=(11, 20), repeats=1))
    row = found["accuracy@0"]
    assert row.interval == "wilson"
    assert (row.low, row.high) == pytest.approx(wilson(round(50 * (row.value or 0)), 50))
    assert found["mean_absolute_error"].interval == "cluster-bootstrap"


def test_repeats_do_not_narrow_an_interval() -> None:
    once = answers({"a": 0.7}, repeats=1)
    often = pd.concat([once.assign(repeat=number) for number in range(10)], ignore_index=True)
    one, other = rows_of(once)["accuracy@0"], rows_of(often)["accuracy@0"]
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert (one.repeats, other.repeats) == (1, 10)
    assert other.std == pytest.approx(0, abs=1e-12)


def test_questions_without_an_answer_are_wrong_in_every_share() -> None:
    table = answers({"a": 1.0})
    silent = table.index % 4 == 0
    table.loc[silent, ["predicted", "confidence"]] = pd.NA
    found = rows_of(table)
    for metric, row in found.items():
        if metric.startswith(("accuracy@", "perceptual@")):
            assert row.value == pytest.approx(0.75)
            assert row.n_failed == 30
    assert found["mean_absolute_error"].value == 0
    table[["predicted", "confidence"]] = pd.NA
    found = rows_of(table)
    assert found["accuracy@0"].value == 0
    assert (found["accuracy@0"].low, found["accuracy@0"].high) == pytest.approx(wilson(0, 20))
    assert found["mean_absolute_error"].value is None
    assert found["mean_absolute_error"].low is None


def test_no_error_at_all_is_no_certainty() -> None:
    found = rows_of(answers({"a": 1.0, "base": 0.5}), reference="base")
    assert found["accuracy@0"].interval == "wilson"
    assert (found["accuracy@0"].low, found["accuracy@0"].high) == pytest.approx(wilson(20, 20))
    for metric, value in (("mean_absolute_error", 0), ("rer@0", 1)):
        row = found[metric]
        assert (row.value, row.low, row.high, row.interval) == (value, None, None, None)


def test_few_recordings_are_said_to_be_few() -> None:
    row = rows_of(answers({"a": 0.7}, recordings=4))["accuracy@0"]
    assert row.clusters == 4
    assert "only 4 clusters" in row.caution
    row = rows_of(answers({"a": 0.7}, recordings=1))["accuracy@0"]
    assert (row.low, row.high, row.interval, row.standard_error) == (None,) * 4
    assert "only 1 cluster:" in row.caution


def test_error_reductions_have_a_paired_interval() -> None:
    table = answers({"a": 0.8, "base": 0.5}, alike=True)
    row = rows_of(table, reference="base")["rer@0"]
    a, b = (right(table.query(f"method == '{m}' and length == 11")) for m in ("a", "base"))
    source = table.query("method == 'a' and length == 11")["source"]
    value, made = error_reduction(a, b, source, rng=rng_for(0, "intervals", 11))
    assert row.value == pytest.approx(value)
    assert (row.low, row.high) == pytest.approx((made.low, made.high))
    assert (row.reference, row.std, row.interval) == ("base", None, "cluster-bootstrap")
    perfect = answers({"a": 0.8, "base": 1.0})
    row = rows_of(perfect, reference="base")["rer@0"]
    assert (row.value, row.low, row.high, row.interval) == (None, None, None, None)


def test_confidence_is_judged_where_there_is_one() -> None:
    table = answers({"a": 0.7})
    found = rows_of(table)
    part = table.query("length == 11")
    expected = metrics.evaluate(
        part["offset"], part["predicted"], (0, 1), part["confidence"].to_numpy(float)
    )
    assert found["auroc"].value == pytest.approx(expected["auroc"])
    assert found["auroc"].value == pytest.approx(0.76, abs=0.1)  # two normal curves one apart
    for without in (table.assign(confidence=np.nan), table.drop(columns="confidence")):
        assert set(found) - set(rows_of(without)) == {"auroc", "aurc"}


def test_under_macro_reduction_every_clip_weighs_the_same() -> None:
    table = answers({"a": 0.6}, lengths=(5,), repeats=1, windows=8)
    # Every second clip keeps one window of eight, so that the two means differ.
    table = table[(table["window"] == 0) | table["key"].str.endswith("-00")]
    micro, macro = rows_of(table)["accuracy@0"], rows_of(table, MACRO)["accuracy@0"]
    hits = pd.Series(right(table), index=table.index)
    assert MACRO.reduction == "macro"
    assert micro.value == pytest.approx(hits.mean())
    assert macro.value == pytest.approx(hits.groupby(table["key"]).mean().mean())
    assert macro.value != pytest.approx(micro.value)
    assert macro.low is not None
    assert macro.high is not None
    assert macro.low < macro.value < macro.high
    assert macro.n == len(table)
    errors = rows_of(table, MACRO)["mean_absolute_error"]
    said = (table["predicted"] - table["offset"]).abs().astype(float)
    assert errors.value == pytest.approx(said.groupby(table["key"]).mean().mean())


def test_the_spread_of_a_macro_score_is_that_of_the_repeats_macro_means() -> None:
    table = answers({"a": 0.6}, lengths=(5,), repeats=4, windows=6)
    table = table[(table["window"] == 0) | table["key"].str.endswith("-00")]
    row = rows_of(table, MACRO)["accuracy@0"]
    hits = pd.Series(right(table), index=table.index)
    each = hits.groupby([table["repeat"], table["key"]]).mean().groupby(level=0).mean()
    assert row.std == pytest.approx(each.std(ddof=0))


def test_rows_do_not_depend_on_the_order_of_the_predictions() -> None:
    table = answers({"b": 0.7, "a": 0.4}, windows=2)
    found = score(table, TASK, reference="a")
    shuffled = table.sample(frac=1, random_state=3)
    assert [replace(row, std=None) for row in score(shuffled, TASK, reference="a")] == [
        replace(row, std=None) for row in found
    ]
    assert [(r.method, r.window, r.metric) for r in found] == sorted(
        (r.method, r.window, r.metric) for r in found
    )


def test_sixteen_thousand_questions_to_six_methods_are_scored_quickly() -> None:
    table = answers(
        {name: 0.5 + 0.05 * i for i, name in enumerate("abcdef")},
        recordings=100,
        clips=1,
        lengths=(11, 13, 15, 20),
        repeats=10,
        windows=4,
    )
    assert len(table) == 6 * 16_000
    started = thread_time()
    score(table, OffsetTask(), reference="a")
    assert thread_time() - started < 3  # a third of a second on a quiet machine
