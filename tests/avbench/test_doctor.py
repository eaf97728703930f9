from __future__ import annotations

import pytest
from click.testing import CliRunner

from avbench.cli import doctor, main


def test_a_whole_installation_is_ready() -> None:
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "Ready." in done.output
    assert "sync-e2e" in done.output


def _fail() -> object:
    raise ModuleNotFoundError("No module named 'ghost'")


@pytest.mark.parametrize(("extra", "code"), [("face", 0), (None, 1)])
def test_a_missing_part_is_named_with_its_use_and_remedy(
    monkeypatch: pytest.MonkeyPatch, extra: str | None, code: int
) -> None:
    part = doctor.Part("ghost", "haunting", _fail, extra)
    monkeypatch.setattr(doctor, "PARTS", (part,))
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code
    assert "ghost" in done.output
    assert "haunting" in done.output
    assert part.remedy in done.output
    assert ("optional" if extra else "required") in done.output
