"""The site as files: the same bytes, whole or replaced, and nothing else touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import site_folder
from click.testing import CliRunner

from avbench.cli import main
from avbench.errors import DataError, UsageError
from avbench.leaderboard.site import LIST, pages, write_site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return site_folder.make(tmp_path / "leaderboards")


def test_the_same_data_gives_the_same_bytes(folder: Path) -> None:
    script = (
        "import hashlib, sys; from pathlib import Path; from avbench.leaderboard.site import pages;"
        "site = pages(Path(sys.argv[1]));"
        "print(hashlib.sha256(repr(list(site.items())).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(found) == 1


def digest(site: dict[str, bytes]) -> str:
    return str(json.loads(site[LIST])["data"])


def test_another_number_gives_another_content_hash(folder: Path) -> None:
    before = pages(folder)
    path = folder / "measured/lrs2/scores.jsonl"
    path.write_text(path.read_text("utf-8").replace("0.55", "0.56", 1), "utf-8")
    after = pages(folder)
    assert digest(before) != digest(after)
    assert digest(after) in after["index.html"].decode()


def test_raw_files_are_copied_as_they_are(folder: Path) -> None:
    site = pages(folder)
    for path in [*folder.glob("measured/*/*"), *folder.glob("reported/*")]:
        assert site[f"data/{path.relative_to(folder).as_posix()}"] == path.read_bytes()


def test_a_link_to_a_file_elsewhere_is_not_copied(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('"secret"', "utf-8")
    (folder / "measured/lrs2/extra.json").symlink_to(secret)
    assert "data/measured/lrs2/extra.json" not in pages(folder)


def test_a_site_replaces_an_earlier_one_and_leaves_the_source_alone(
    folder: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    out = tmp_path / "site"
    names = write_site(folder, out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == names
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "reported/other.json").unlink()
    fewer = write_site(folder, out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == fewer
    assert set(fewer) < set(names)


def test_a_site_that_was_broken_off_can_be_written_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avbench.leaderboard import site as module

    write, written = module.write_atomic, []

    def stop(path: Path, data: bytes) -> None:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(path)
        write(path, data)

    monkeypatch.setattr(module, "write_atomic", stop)
    with pytest.raises(KeyboardInterrupt):
        write_site(folder, tmp_path / "site")
    monkeypatch.undo()
    assert write_site(folder, tmp_path / "site") == sorted(pages(folder))


def test_a_list_cannot_make_it_remove_files_elsewhere(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep", "utf-8")
    out = tmp_path / "site"
    out.mkdir()
    names = {"files": ["../precious.txt", str(precious)]}
    (out / LIST).write_text(json.dumps(names), "utf-8")
    write_site(folder, out)
    assert precious.read_text("utf-8") == "keep"


def test_folders_that_are_no_site_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "papers"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work", "utf-8")
    with pytest.raises(UsageError, match="is no leaderboard site"):
        write_site(folder, other)
    with pytest.raises(UsageError, match="only read"):
        write_site(folder, folder / "site")
    with pytest.raises(UsageError, match="no leaderboards folder"):
        write_site(other, tmp_path / "new")
    assert sorted(path.name for path in other.iterdir()) == ["thesis.tex"]


@pytest.mark.parametrize("content", ["{", "[]", '{"cells": [{"window": 11}]}', '{"cells": 3}'])
def test_damaged_comparisons_are_named(folder: Path, content: str) -> None:
    (folder / "measured/lrs2/comparisons.json").write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"comparisons\.json is damaged"):
        pages(folder)


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    assert "There are no numbers yet." in pages(tmp_path)["index.html"].decode()


def test_the_command_writes_the_site_and_names_its_first_page(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    arguments = ["leaderboard", "site", "--folder", str(folder), "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert str(out / "index.html") in result.output
    again = CliRunner().invoke(main, [*arguments[:-1], str(tmp_path)])
    assert again.exit_code == 2
    assert "is no leaderboard site" in again.output
