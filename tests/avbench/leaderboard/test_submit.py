"""Packing the results of somebody else: what is checked, what is missing, the same bytes."""

from __future__ import annotations

import json
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from measured_maker import results
from simulated import Simulated

from avbench import plugins
from avbench.cli import main
from avbench.leaderboard.submit import METHODS
from avbench.results import read_run

FILES = [
    "comparisons.json",
    "dataset.json",
    "methods.json",
    "predictions.parquet",
    "run.json",
    "scores.jsonl",
    "table.md",
]


class Mine(Simulated):
    """Guess with care."""

    BIBTEX = "@misc{mine}"

    def __init__(self) -> None:
        super().__init__("mine", noise=1.0)


class Unsigned(Simulated):
    """Say nothing about itself."""

    BIBTEX = None


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("mine", f"{Mine.__module__}:Mine", plugins.METHODS)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    monkeypatch.setattr(Mine, "load", classmethod(lambda cls, *a, **k: cls()), raising=False)


def submit(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["leaderboard", "submit", *map(str, arguments)])


def mine(folder: Path, **facts: Any) -> Path:
    return results(folder, [Mine()], reference=None, **facts)


def with_checkpoint(folder: Path) -> Path:
    path = mine(folder) / "run.json"
    card = json.loads(path.read_text())
    card["methods"]["mine"] |= {"checkpoint": "given", "checkpoint_sha256": "a" * 64}
    path.write_text(json.dumps(card))
    return folder


def test_a_complete_pack_holds_everything(tmp_path: Path) -> None:
    out = tmp_path / "pack"
    done = submit(mine(tmp_path / "run"), "--out", out)
    assert done.exit_code == 0, done.output
    assert "Complete." in done.output
    assert sorted(path.name for path in out.iterdir()) == FILES
    facts = json.loads((out / METHODS).read_text())["mine"]
    assert facts["bibtex"] == "@misc{mine}"
    assert facts["documentation"] == "Guess with care."
    assert facts["class"].endswith(":Mine")
    assert len(read_run(out).predictions) == len(read_run(tmp_path / "run").predictions)


def test_the_same_results_give_the_same_zip(tmp_path: Path) -> None:
    run = mine(tmp_path / "run")
    for folder in ("a", "b"):
        assert submit(run, "--out", tmp_path / folder / "mine.zip").exit_code == 0
    first = (tmp_path / "a" / "mine.zip").read_bytes()
    assert first == (tmp_path / "b" / "mine.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / "mine.zip") as archive:
        assert sorted(archive.namelist()) == [f"mine/{name}" for name in FILES]
        archive.extractall(tmp_path)
    done = submit(tmp_path / "mine", "--out", tmp_path / "again.zip")
    assert done.exit_code == 0, "what was packed can be packed again"


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    run = mine(tmp_path / "run", commit_changed=True, limit=4)
    (run / "dataset.json").unlink()
    done = submit(run, "--out", tmp_path / "pack")
    assert done.exit_code == 1
    for words in ("uncommitted changes", "without --limit", "--shards DIR"):
        assert words in done.output
    assert not (tmp_path / "pack").exists()


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    run = mine(tmp_path / "run")
    (run / "dataset.json").write_text("{")
    done = submit(run, "--out", tmp_path / "pack")
    assert done.exit_code == 3
    assert "dataset.json is not valid JSON" in done.output


def test_a_checkpoint_of_ones_own_needs_its_origin(tmp_path: Path) -> None:
    run = with_checkpoint(tmp_path / "run")
    done = submit(run, "--out", tmp_path / "pack")
    assert done.exit_code == 1
    assert "--origin 'mine=TEXT'" in done.output
    done = submit(run, "--out", tmp_path / "pack", "--origin", "mine=my films, seed 0")
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "pack" / METHODS).read_text())["mine"]
    assert facts["origin"] == "my films, seed 0"
    assert facts["checkpoint_sha256"] == "a" * 64


@pytest.mark.parametrize(
    ("origin", "code", "complaint"),
    [
        ("mine", 2, "expected METHOD=TEXT"),
        ("mine=", 2, "expected METHOD=TEXT"),
        ("yours=x", 1, "--origin names yours, which was not measured"),
    ],
)
def test_mistaken_origins(tmp_path: Path, origin: str, code: int, complaint: str) -> None:
    done = submit(mine(tmp_path / "run"), "--out", tmp_path / "pack", "--origin", origin)
    assert done.exit_code == code
    assert complaint in done.output


def test_another_class_of_that_name_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = mine(tmp_path / "run")
    monkeypatch.setattr(Unsigned, "load", classmethod(lambda cls: cls()), raising=False)
    point = EntryPoint("mine", f"{Unsigned.__module__}:Unsigned", plugins.METHODS)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    done = submit(run, "--out", tmp_path / "pack")
    assert done.exit_code == 1
    assert "submit from the environment that measured" in done.output
    assert "its class has no BIBTEX" in done.output


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    run = mine(tmp_path / "run")
    table = read_run(run).predictions
    table.loc[0, "predicted"] = 5 - table.loc[0, "predicted"]
    table.to_parquet(run / "predictions.parquet", index=False)
    done = submit(run, "--out", tmp_path / "pack")
    assert done.exit_code == 1
    assert "predictions.parquet is not the file that the run wrote" in done.output
