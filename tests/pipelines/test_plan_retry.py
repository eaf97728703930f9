"""What a build is about to do is said before; what failed is tried again as told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from pipelines.build import BuildReport, build
from pipelines.options import BuildOptions


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for number, name in enumerate(("good", "raise-a", "raise-b")):
        write_source(tmp_path / "films" / f"{name}.mp4", seed=number, frames=30)
    return tmp_path / "films"


def make(films: Path, out: Path, **options: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "split": "test", **options}
    return build([films], out, process=make_process(), **chosen)


def attempts(report: BuildReport) -> dict[str, int]:
    return {row.path.removesuffix(".mp4"): row.attempts for row in report.rows}


def test_a_plan_names_what_is_to_do_and_why(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    before = make(films, out, plan=True).lines()
    assert not out.exists()
    assert "facetracks: 0 done, 3 to do" in before
    assert "  good.mp4: new, or its file or a setting changed" in before
    make(films, out)
    after = make(films, out, plan=True).lines()
    assert "facetracks: 1 done, 2 to do" in after
    (line,) = (line for line in after if "raise-a" in line)
    assert line.startswith("  raise-a.mp4: failed 1 times, the last time: KeyError")
    planned = make(films, out, plan=True, retry_reason="disk", distort="global").lines()
    (line,) = (x for x in planned if "raise-a" in x)
    assert line.endswith("; not tried again")
    write_source(films / "good.mp4", seed=9, frames=30)
    changed = make(films, out, plan=True).lines()
    assert "  good.mp4: new, or its file or a setting changed" in changed


def test_failures_are_tried_again_by_their_reason(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert attempts(make(films, out)) == {"good": 1, "raise-a": 1, "raise-b": 1}
    named = make(films, out, retry_reason="UNFORESEEN in raise-b")
    assert attempts(named) == {"good": 1, "raise-a": 1, "raise-b": 2}
    assert attempts(make(films, out, retry=False)) == {"good": 1, "raise-a": 1, "raise-b": 2}
    assert attempts(make(films, out)) == {"good": 1, "raise-a": 2, "raise-b": 3}
    assert not BuildOptions(retry=False, retry_reason="x").retries("x")
