"""The methods that come with avbench keep the contract they are measured under."""

from __future__ import annotations

import pytest

from avbench import methods, selftest
from avbench.selftest.material import Material, drawn_heads

TRAINED = ("syncnet", "diag-avg", "sync-cls", "sync-e2e")


@pytest.fixture(scope="module")
def heads() -> Material:
    return drawn_heads()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_method_passes(name: str, heads: Material) -> None:
    report = selftest.run(name, clips=heads.clips)
    assert (report.failed, report.warned) == ([], []), report.to_text()
    for law in ("sign", "bias", "shift", "confidence", "locality", "process", "unrelated"):
        assert report[law].status == "pass"
    assert report["skill"].measured["exact"] > 0.9
    assert report["shift"].measured["holds"] > 0.9


def test_options_reach_the_method() -> None:
    assert getattr(methods.load("syncnet", search=3), "search", None) == 3
