"""The methods that come with avbench keep the contract they are measured under."""

from __future__ import annotations

import pytest

from avbench import methods, selftest
from avbench.errors import AvbenchError
from avbench.selftest.material import Material, drawn_heads

TRAINED = ("syncnet", "diag-avg", "sync-cls", "sync-e2e")
KNOWN = {"constant": ["skill"], "lip-geometry": ["names"]}
"""Method -> warnings that it is known for: a floor answers always alike; one has no paper."""


@pytest.fixture(scope="module")
def heads() -> Material:
    return drawn_heads()


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.available())
def test_every_installed_method_passes(name: str, heads: Material) -> None:
    try:
        methods.load(name)
    except AvbenchError as error:
        if name in TRAINED:
            raise
        pytest.skip(f"there is nothing to test: {error}")
    report = selftest.run(name, clips=heads.clips)
    assert (report.failed, report.warned) == ([], KNOWN.get(name, [])), report.to_text()
    if name in TRAINED:
        for law in ("sign", "bias", "shift", "confidence", "locality", "process", "unrelated"):
            assert report[law].status == "pass"
        assert report["skill"].measured["exact"] > 0.9
        assert report["shift"].measured["holds"] > 0.9
