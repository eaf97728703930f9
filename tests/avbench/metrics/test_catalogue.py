from __future__ import annotations

import pytest

from avbench.errors import UnknownName
from avbench.metrics import alignment, offset
from avbench.metrics.catalogue import CATALOGUE, lookup
from avbench.metrics.perceptual import WINDOWS

UNITS = {"fraction", "frames", "dB", "distance", "per 100 frames"}


def test_everything_that_evaluate_yields_is_in_the_catalogue() -> None:
    found = offset.evaluate([0, 1], [0, 2], tolerances=range(4), confidence=[1.0, 2.0])
    assert {"accuracy@3", "auroc", "aurc", "p95_absolute_error"} <= set(found)
    assert {f"perceptual@{name}" for name in WINDOWS} <= set(found)
    for name in found:
        assert lookup(name).name == name
    for name in alignment.evaluate([[0]], [[0]]):
        lookup(name)


def test_proportions_are_those_with_an_at_sign() -> None:
    found = offset.evaluate([0], [0], confidence=[1.0])
    shares = {name for name in found if lookup(name).is_proportion}
    assert shares == set(offset.outcomes([0], [0]))


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=CATALOGUE)
def test_every_entry_says_what_a_table_needs(metric) -> None:
    assert metric.unit in UNITS
    assert metric.source
    assert metric.version
    assert metric.summary.endswith(".")


def test_versions_and_names_are_unique_where_definitions_differ() -> None:
    versions = [m.version for m in CATALOGUE.values() if not m.name.startswith("mouth")]
    assert len(set(versions)) == len(versions)


@pytest.mark.parametrize("name", ["acuracy@0", "accuracy@", "accuracy@x", "perceptual@1", "mcd@1"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownName, match="Available"):
        lookup(name)
