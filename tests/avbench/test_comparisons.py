from __future__ import annotations

import json

import numpy as np
import pytest
from answers import answers

from avbench.comparisons import compare
from avbench.data import JSON
from avbench.distort import rng_for
from avbench.errors import DataError
from avbench.statistics import holm, paired_difference


def cell_of(
    found: dict[str, JSON], window: int = 11, metric: str = "accuracy@0"
) -> dict[str, JSON]:
    return next(c for c in found["cells"] if (c["window"], c["metric"]) == (window, metric))


def ranks(cell: dict[str, JSON]) -> dict[str, int]:
    return {row["method"]: row["rank"] for row in cell["methods"]}


def test_every_metric_and_length_has_a_cell_with_every_pair() -> None:
    found = compare(answers({"a": 0.3, "b": 0.5, "c": 0.7, "d": 0.9}), (0, 1, 2))
    cells = [(cell["window"], cell["metric"]) for cell in found["cells"]]
    assert cells == [(w, f"accuracy@{t}") for w in (11, 20) for t in (0, 1, 2)]
    for cell in found["cells"]:
        pairs = [(pair["a"], pair["b"]) for pair in cell["pairs"]]
        assert pairs == [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
        assert cell["clusters"] == 20
    assert found["statistics"]["clusters"] == "source"


def test_planted_differences_are_found_and_equals_share_a_rank() -> None:
    table = answers({"weak": 0.3, "one": 0.7, "two": 0.7, "best": 0.95}, recordings=60)
    cell = cell_of(compare(table))
    assert ranks(cell) == {"best": 1, "one": 2, "two": 2, "weak": 4}
    verdicts = {(pair["a"], pair["b"]): pair["significant"] for pair in cell["pairs"]}
    assert not verdicts["one", "two"]
    assert sum(verdicts.values()) == 5
    values = {row["method"]: row["value"] for row in cell["methods"]}
    for pair in cell["pairs"]:
        assert pair["difference"] == pytest.approx(values[pair["a"]] - values[pair["b"]])
        assert pair["low"] <= pair["difference"] <= pair["high"]
        assert pair["p_holm"] >= pair["p"]


def test_methods_that_answer_alike_share_the_first_rank() -> None:
    cell = cell_of(compare(answers({"a": 0.6, "b": 0.6}, alike=True)))
    assert ranks(cell) == {"a": 1, "b": 1}
    assert cell["pairs"][0]["p"] == 1
    assert cell["minimum_detectable"] is None


def test_equal_methods_are_seldom_ranked_apart() -> None:
    apart = 0
    for seed in range(25):
        table = answers(dict.fromkeys("abcd", 0.6), lengths=(11,), repeats=1, seed=seed)
        apart += set(ranks(cell_of(compare(table, (0,)))).values()) != {1}
    assert apart <= 4  # one family in twenty, give or take


def test_a_pair_is_what_the_paired_test_says() -> None:
    table = answers({"a": 0.5, "b": 0.65})
    part = table[table["length"] == 20]
    a, b = (
        (side["predicted"] == side["offset"]).to_numpy(dtype=float)
        for _, side in part.groupby("method")
    )
    source = part.loc[part["method"] == "a", "source"]
    pair = cell_of(compare(table), window=20)["pairs"][0]
    rng = rng_for(0, "comparisons", 20)
    expected = paired_difference(a, b, source, rng=rng)
    assert (pair["difference"], pair["low"], pair["high"], pair["p"]) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.p)
    )
    assert pair["test"] == "sign-flip"
    assert pair["minimum_detectable"] == pytest.approx(expected.minimum_detectable)


def test_the_pairs_of_a_cell_are_one_family() -> None:
    table = answers({"a": 0.5, "b": 0.55, "c": 0.6, "d": 0.65})
    pairs = cell_of(compare(table))["pairs"]
    assert [p["p_holm"] for p in pairs] == pytest.approx(holm([p["p"] for p in pairs]).tolist())


def test_single_questions_are_compared_by_mcnemar() -> None:
    cell = cell_of(compare(answers({"a": 0.3, "b": 0.9}, clips=1, repeats=1)))
    assert cell["pairs"][0]["test"] == "mcnemar-exact"
    assert ranks(cell) == {"b": 1, "a": 2}


def test_who_sees_the_truth_takes_no_part() -> None:
    table = answers({"a": 0.5, "b": 0.6, "oracle": 1.0})
    without = compare(table[table["method"] != "oracle"])
    assert compare(table, unranked=["oracle"]) == without
    assert compare(table) != without


def test_one_method_is_first_and_none_is_nothing() -> None:
    table = answers({"a": 0.5})
    cell = cell_of(compare(table))
    assert (ranks(cell), cell["pairs"], cell["minimum_detectable"]) == ({"a": 1}, [], None)
    assert compare(table, unranked=["a"])["cells"] == []


def test_one_recording_ranks_nothing() -> None:
    cell = cell_of(compare(answers({"a": 0.1, "b": 0.9}, recordings=1)))
    assert ranks(cell) == {"a": 1, "b": 1}
    assert "only 1 cluster:" in cell["caution"]
    pair = cell["pairs"][0]
    assert (pair["p"], pair["p_holm"], pair["significant"], pair["low"]) == (
        None,
        None,
        False,
        None,
    )


def test_the_order_of_the_predictions_does_not_matter() -> None:
    table = answers({"a": 0.5, "b": 0.6}, windows=3)
    shuffled = table.sample(frac=1, random_state=1)
    found = compare(table)
    assert compare(shuffled) == found
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_methods_with_different_questions_cannot_be_compared() -> None:
    table = answers({"a": 0.5, "b": 0.6})
    moved = table.copy()
    moved.loc[moved.index[-1], "offset"] += 1
    for changed in (table.iloc[:-1], moved):
        with pytest.raises(DataError, match="b and a were asked different questions"):
            compare(changed)


def test_under_macro_reduction_values_are_means_over_clips() -> None:
    table = answers({"a": 0.5, "b": 0.6}, windows=6, repeats=1)
    table = table[(table["window"] == 0) | table["key"].str.endswith("-00")]
    cell = cell_of(compare(table, macro=True))
    part = table.query("method == 'a' and length == 11")
    hits = (part["predicted"] == part["offset"]).astype(float)
    assert cell["methods"][0]["value"] == pytest.approx(hits.groupby(part["key"]).mean().mean())
    assert cell["methods"][0]["value"] != pytest.approx(np.mean(hits))


def test_mean_errors_are_compared_where_asked_and_less_is_better() -> None:
    table = answers({"near": 0.5, "far": 0.5}, recordings=40, alike=True)
    off = table["predicted"] - table["offset"]
    rng = np.random.default_rng(0)
    by = np.where(table["method"] == "far", 3, 1) * (off != 0) * rng.choice([-1, 1], len(table))
    table["predicted"] = table["offset"] + by
    plain = compare(table)
    found = compare(table, errors=True)
    cell = cell_of(found, metric="mean_absolute_error")
    assert ranks(cell) == {"near": 1, "far": 2}
    errors = by[table["length"] == 11]
    far = (table.loc[table["length"] == 11, "method"] == "far").to_numpy()
    pair = cell["pairs"][0]
    sides = np.abs(errors[far]).mean(), np.abs(errors[~far]).mean()
    sign = 1 if pair["a"] == "far" else -1
    assert pair["difference"] == pytest.approx(sign * (sides[0] - sides[1]))
    assert pair["significant"]
    assert ranks(cell_of(found)) == {"near": 1, "far": 1}
    assert [c for c in found["cells"] if c["metric"] != "mean_absolute_error"] == plain["cells"]


def test_questions_without_an_answer_are_left_out_of_the_mean_error_of_all() -> None:
    table = answers({"a": 0.5, "b": 0.5}, lengths=(11,), recordings=30)
    table["predicted"] = table["offset"] + 2
    lost = (table["method"] == "b") & (table["key"] == table["key"].iloc[0])
    table.loc[lost, "predicted"] = None
    table.loc[(table["method"] == "a") & (table["key"] == table["key"].iloc[0]), "predicted"] += 90
    cell = cell_of(compare(table, errors=True), metric="mean_absolute_error")
    assert [row["value"] for row in cell["methods"]] == [2, 2]
