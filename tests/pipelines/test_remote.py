from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.errors import UsageError
from avbench.shards import MANIFEST, open_set
from pipelines import remote
from pipelines.build import BuildReport, build

MEMORY = fsspec.filesystem("memory")


def make(source: Path | str, out: Path | str, **options: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "split": "test", **options}
    return build([source], out, process=make_process(), **chosen)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.mp4", "sub/two-b.mp4")):
        write_source(tmp_path / "films" / name, seed=number)
    (tmp_path / "films/notes.txt").write_text("notes")
    (tmp_path / "films/a.truth.json").write_text("{}")
    return tmp_path / "films"


@pytest.fixture
def bucket() -> Any:
    # Folders of this file system outlive what was in them, so no name may come twice.
    yield f"memory://bucket-{uuid.uuid4().hex}"
    MEMORY.store.clear()


def put(films: Path, bucket: str) -> str:
    MEMORY.put(str(films), f"{bucket}/films", recursive=True)
    return f"{bucket}/films"


def read(url: str) -> dict[str, bytes]:
    files, root = fsspec.core.url_to_fs(url)
    names = [str(path).rpartition("/")[2] for path in files.find(root)]
    return {name: files.cat_file(f"{root}/{name}") for name in sorted(names)}


def test_remote_sources_and_outputs_give_the_bytes_of_local_ones(
    films: Path, bucket: str, tmp_path: Path
) -> None:
    here = make(films, tmp_path / "here")
    report = make(put(films, bucket), f"{bucket}/set")
    assert report.clips == here.clips == 3
    assert f"README.md are at {bucket}/set" in report.lines()[-1]
    there = read(f"{bucket}/set")
    assert there == {p.name: p.read_bytes() for p in (tmp_path / "here").iterdir() if p.is_file()}
    assert MANIFEST in there
    assert not any(name.endswith(".part") for name in there)


def test_an_address_of_this_machine_works_too(films: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/set"
    make(f"file://{films}/a.mp4", url)
    assert open_set(tmp_path / "set").count() == 1
    assert not (tmp_path / "set/work").exists()


def test_what_is_fetched_is_read_only_and_fetched_once(
    films: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, fetched = put(films, bucket), []
    get = MEMORY.get_file

    def watched(path: str, target: str, *args: Any, **options: Any) -> Any:
        fetched.append(path.rpartition("/")[2])
        return get(path, target, *args, **options)

    monkeypatch.setattr(type(MEMORY), "get_file", lambda self, *a, **k: watched(*a, **k))
    place = remote.fetch(url, tmp_path / "scratch")
    assert sorted(fetched) == ["a.mp4", "a.truth.json", "two-b.mp4"]
    assert (place / "a.mp4").read_bytes() == (films / "a.mp4").read_bytes()
    assert (place / "a.mp4").stat().st_mode & 0o222 == 0
    assert (place / "notes.txt").read_bytes() == b""
    remote.fetch(url, tmp_path / "scratch")
    assert len(fetched) == 3
    MEMORY.pipe_file(f"{url}/a.mp4", b"other bytes")
    MEMORY.rm_file(f"{url}/sub/two-b.mp4")
    remote.fetch(url, tmp_path / "scratch")
    assert fetched[3:] == ["a.mp4"]
    assert (place / "a.mp4").read_bytes() == b"other bytes"
    assert not (place / "sub/two-b.mp4").exists()


def test_the_manifest_is_sent_last_and_stale_shards_go(
    films: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, url = tmp_path / "out", f"{bucket}/set"
    make(films, out, shard_clips=1)
    remote.send(out, url)
    assert len([name for name in read(url) if name.endswith(".tar")]) == 3
    assert remote.send(out, url) == 0
    make(films, out)
    move, moved = type(MEMORY).mv, []

    def broken(self: Any, source: str, target: str, **options: Any) -> Any:
        if len(moved) == 2:
            raise OSError("the line is dead")
        moved.append(target)
        return move(self, source, target, **options)

    monkeypatch.setattr(type(MEMORY), "mv", broken)
    with pytest.raises(UsageError, match=r"the line is dead.*complete in"):
        remote.send(out, url)
    assert MANIFEST not in read(url)
    monkeypatch.setattr(type(MEMORY), "mv", move)
    remote.send(out, url)
    there = read(url)
    assert {name for name in there if name.endswith(".tar")} == {"faces-test-000000.tar"}
    assert there[MANIFEST] == (out / MANIFEST).read_bytes()


def test_an_address_that_is_wrong_says_so(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        remote.fetch(f"{bucket}/nowhere", tmp_path)
    with pytest.raises(UsageError, match="address nosuch://x/y cannot be opened"):
        make("nosuch://x/y", tmp_path / "out")
