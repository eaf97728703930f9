from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from avbench import methods, plugins
from avbench.errors import AvbenchError, UnknownName

SETUP = Path(__file__).resolve().parents[2] / "setup.py"


def test_an_unknown_method_names_the_closest_and_all() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'sync-cls'\?.*constant.*oracle"):
        methods.load("sync-clss")


def test_installed_entry_points_are_those_of_the_checkout() -> None:
    declared = SETUP.read_text("utf-8")
    for name in methods.available():
        assert f'"{name} = ' in declared, "entry points are stale: run pip install -e . again"
    for name in ("constant", "oracle", "syncnet", "diag-avg", "sync-cls", "sync-e2e"):
        assert name in methods.available()


def test_a_hidden_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("ghost", "baselines.no_such_module:Ghost", plugins.METHODS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(AvbenchError, match=r"baselines was found at .*another directory"):
        methods.load("ghost")


def test_something_that_is_no_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("odd", "pathlib:Path", plugins.METHODS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(AvbenchError, match="no predict and load"):
        methods.load("odd")
