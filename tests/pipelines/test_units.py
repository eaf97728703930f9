from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avbench.errors import DataError, UsageError
from pipelines import files, units
from pipelines.files import Hashes
from pipelines.units import discover, identify


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or str(path))
    return path


def ids(*sources: Path, limit: int | None = None) -> dict[str, str]:
    found = identify(discover(sources), Hashes(), limit)
    return {f"{entry.root}/{entry.relative}": entry.video_id for entry in found if not entry.skip}


def test_everything_but_obvious_non_videos_is_tried(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.TXT", "sub/c.bin", "sub/noextension", ".hidden.mp4", "d.truth.json"):
        touch(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    found = {entry.relative: entry.skip for entry in discover([tmp_path])}
    assert {name for name, skip in found.items() if not skip} == {
        "a.mp4",
        "sub/c.bin",
        "sub/noextension",
    }
    assert found["b.TXT"] == "not a video (.txt)"
    assert found["pipe.mp4"] == "not a regular file"
    assert "cannot be read" in found["gone.mp4"]


def test_a_file_given_by_name_is_always_tried(tmp_path: Path) -> None:
    entry = discover([touch(tmp_path / "odd.txt")])[0]
    assert (entry.skip, entry.relative) == ("", "odd.txt")


def test_each_file_counts_once_and_the_output_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "out/work/crop.mp4")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again.mp4").symlink_to(tmp_path / "a.mp4")
    found = discover([tmp_path, tmp_path / "a.mp4"], exclude=tmp_path / "out")
    assert [entry.relative for entry in found] == ["a.mp4"]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothere.*does not exist"):
        discover([tmp_path / "nothere"])


def test_ids_are_slugs_and_collisions_take_the_content(tmp_path: Path) -> None:
    for name in ("x/Talk One.mp4", "x/talk_one.avi", "x/solo.mp4", "x/日本.mp4"):
        touch(tmp_path / name)
    found = ids(tmp_path)
    root = tmp_path.name
    assert found[f"{root}/x/solo.mp4"] == "x-solo"
    one, other = found[f"{root}/x/Talk One.mp4"], found[f"{root}/x/talk_one.avi"]
    assert one != other
    assert all(name.startswith("x-talk-one-") and len(name) == 19 for name in (one, other))
    assert found[f"{root}/x/日本.mp4"] == "x"


def test_an_id_does_not_depend_on_limit_or_order(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "p/a_b.mp4"), touch(tmp_path / "q/a-b.mp4")
    both = ids(first, second)
    assert ids(second, first) == both
    assert ids(first, second, limit=1) == {"a_b.mp4/a_b.mp4": both["a_b.mp4/a_b.mp4"]}


def test_equal_files_of_equal_names_still_get_two_ids(tmp_path: Path) -> None:
    copies = [touch(tmp_path / folder / "a.mp4", "same") for folder in ("p", "q")]
    found = identify(discover(copies), Hashes())
    assert len({entry.video_id for entry in found}) == 2
    assert len({entry.sha256 for entry in found}) == 1


def test_undecodable_and_long_names_give_usable_ids(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    touch(odd, "odd")
    touch(tmp_path / f"{'long-name-' * 20}.mp4")
    found = ids(tmp_path)
    assert all(len(name) <= units.MAX_SLUG + 9 for name in found.values())
    assert all(name.encode("ascii").decode() for name in found.values())
    assert any("caf\\xe9" in name for name in found)


@given(st.text(max_size=80))
def test_a_slug_is_always_a_valid_name(text: str) -> None:
    assert set(units.slug(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not units.slug(text).startswith("-")
    assert "--" not in units.slug(text)


def test_hashes_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.mp4", "one")
    cache = tmp_path / "hashes.json"
    before = Hashes(cache)([path])
    assert Hashes(cache)([path]) == before
    touch(path, "other")
    assert Hashes(cache)([path]) != before
    assert Hashes(cache)([tmp_path / "gone"]) == [""]


def test_a_result_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "steps" / "unit"

    def fail() -> None:
        with units.staging(folder) as part:
            (part / "half").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(folder.parent.iterdir()) == []
    with units.staging(folder) as part:
        (part / "file").write_text("whole")
        units.publish(part, folder, {"n": 1})
    assert units.read_receipt(folder) == {"n": 1}
    assert (folder / "file").read_text() == "whole"


def test_the_first_of_two_equal_results_stays(tmp_path: Path) -> None:
    folder = tmp_path / "unit"
    for turn in (1, 2):
        with units.staging(folder) as part:
            units.publish(part, folder, {"turn": turn})
    assert units.read_receipt(folder) == {"turn": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["unit"]


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    touch(tmp_path / "unit.12345678.part" / "half.mp4")
    touch(tmp_path / "unit" / units.RECEIPT, "{}")
    units.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["unit"]


def test_a_damaged_receipt_is_named(tmp_path: Path) -> None:
    touch(tmp_path / units.RECEIPT, "{")
    with pytest.raises(DataError, match=r"receipt\.json is damaged"):
        units.read_receipt(tmp_path)


def test_a_digest_depends_on_every_part() -> None:
    same = files.digest_of("a", {"x": 1, "y": 2})
    assert same == files.digest_of("a", {"y": 2, "x": 1})
    assert len({same, files.digest_of("a", {"x": 1}), files.digest_of("b", {"x": 1, "y": 2})}) == 3
