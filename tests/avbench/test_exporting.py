from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from avbench import media
from avbench.cli import main
from avbench.data import Alignment
from avbench.errors import DataError, UnknownName, UsageError
from avbench.exporting import Target, export
from avbench.shards import Sample, ShardSet, ShardWriter, finish_set, open_set
from pipelines.build import build
from pipelines.pack import MOUTH

FORMS = ("lrs", "parquet", "hf")
FRAMES = 30
ALIGNMENTS = {
    "ann-0000-00": np.arange(FRAMES),
    "ann-0001-00": np.arange(FRAMES) + 3,
    "bob-0000-00": np.repeat(np.arange(FRAMES // 2), 2) + 1,
    "eve-0000-00": np.arange(FRAMES) - 2,
}
SPLITS = {"ann": "train", "bob": "val", "eve": "test"}


def sample(folder: Path, number: int, key: str) -> Sample:
    rng = np.random.default_rng(number)
    path = folder / f"{key}.mp4"
    base = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with media.VideoWriter(path, preset="ultrafast") as writer:
        for shift in range(FRAMES):
            writer.write(np.roll(base, shift, axis=1))
    sound = rng.uniform(-0.5, 0.5, FRAMES * 640).astype(np.float32)
    name = key.partition("-")[0]
    size = {"width": 640, "height": 360}
    info = {
        "key": key,
        "speaker": name,
        "source": {"source": "films", "path": f"{name}.mp4", "sha256": "0"},
        "sync": {"offset": 1, "confidence": 0.5},
        "facetrack": {"video_id": name, "start": 7, "boxes": [[64.0, 36.0, 128.0, 108.0]] * FRAMES,
                      "source": size},
        "corpus": {"text": f"hello {number}", "confidence": 3.0,
                   "words": [["hello", 0.1, 0.5], [str(number), 0.5, 0.9]]},
    }  # fmt: skip
    return Sample(key, path.read_bytes(), media.encode_sound(sound), truth(key), info)


def toy_set(folder: Path, samples: list[Sample]) -> ShardSet:
    written = []
    for split in ("test", "train", "val"):
        with ShardWriter(folder, "toy", split) as writer:
            for one in samples:
                if SPLITS[one.key.partition("-")[0]] == split:
                    writer.add(one, speaker=one.info["speaker"])
        written += writer.shards
    finish_set(folder, written, {"dataset": "toy", "synthetic": True})
    return open_set(folder)


def truth(key: str) -> Alignment:
    return Alignment(ALIGNMENTS[key].astype(np.int64))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    samples = [sample(tmp_path_factory.mktemp("made"), n, k) for n, k in enumerate(ALIGNMENTS)]
    return toy_set(tmp_path_factory.mktemp("set"), samples)


@pytest.fixture(scope="module")
def with_mouths(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """The same clips, and as the mouth of each the picture of the next."""
    samples = list(shards.samples())
    pictures = [one.video for one in samples]
    mouths = [{MOUTH: mouth} for mouth in [*pictures[1:], pictures[0]]]
    made = [replace(one, more=more) for one, more in zip(samples, mouths, strict=True)]
    return toy_set(tmp_path_factory.mktemp("mouths"), made)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.parametrize("form", FORMS)
def test_the_same_set_gives_the_same_bytes_and_goes_on_after_a_stop(
    form: str, shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export(shards, form, tmp_path / "whole")
    assert (whole.clips, whole.up_to_date) == (4, False)
    expected = contents(tmp_path / "whole")
    assert export(shards, form, tmp_path / "whole").up_to_date

    calls = 0
    real = media.join

    def stops(video: bytes, sound: bytes | None) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(video, sound)

    if form != "parquet":
        monkeypatch.setattr(media, "join", stops)
        with pytest.raises(KeyboardInterrupt):
            export(shards, form, tmp_path / "again")
        assert not (tmp_path / "again/export.json").exists()
        begun = contents(tmp_path / "again")
        assert len(begun) > 2
        (tmp_path / "again/left.mp4.part").write_bytes(b"half")
    export(shards, form, tmp_path / "again")
    assert contents(tmp_path / "again") == expected
    assert calls in (0, 3 + 2), "what was done is not done again"


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_overwritten_without_being_told_so(
    form: str, shards: ShardSet, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="holds files of something else"):
            export(shards, form, mine, force=force)
    out = tmp_path / "out"
    export(shards, form, out, split="test")
    before = contents(out)
    with pytest.raises(UsageError, match="pass --force"):
        export(shards, form, out)
    assert contents(out) == before
    (out / "notes.txt").write_text("mine")
    export(shards, form, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    fresh = tmp_path / "fresh"
    export(shards, form, fresh)
    (out / "notes.txt").unlink()
    assert contents(out) == contents(fresh)
    lost = next(path for path in out.rglob("*.*") if path.name != "export.json" and path.is_file())
    lost.unlink()
    assert not export(shards, form, out).up_to_date
    assert contents(out) == contents(fresh)


def test_an_export_that_was_stopped_is_not_mixed_with_another(
    shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def stops(video: bytes, sound: bytes | None) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(media, "join", stops)
        with pytest.raises(KeyboardInterrupt):
            export(shards, "lrs", out)
    (out / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match=r"--force|did not come to its end"):
            export(shards, "hf", out, force=force)
    export(shards, "lrs", out)
    assert (out / "notes.txt").read_text() == "mine"


def test_lrs_folders_come_back_as_they_went_out(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, "lrs", tmp_path / "lrs")
    text = (tmp_path / "lrs/main/ann/ann-0001-00.txt").read_text()
    assert text.startswith(
        "Text:  hello 1\nConf:  3\nRef:  ann\nKey:  ann-0001-00\nSpeaker:  ann\n"
    )
    assert "\nFRAME X Y W H\n000007 0.100 0.100 0.100 0.200\n" in text
    assert "\nWORD START END ASDSCORE\nhello 0.10 0.50 0.0\n" in text
    assert (tmp_path / "lrs/val.txt").read_text() == "bob/bob-0000-00\n"

    options: dict[str, Any] = {"engine": "local", "sync": "off", "settings": {"crops.size": "64"}}
    build([tmp_path / "lrs"], tmp_path / "back", layout="lrs2", **options)
    again = open_set(tmp_path / "back")
    for split in ("train", "val", "test"):
        for old, new in zip(shards.clips(split), again.clips(split), strict=True):
            assert Path(new.meta["source"]["path"]).stem == old.key
            assert old.alignment is not None
            assert new.alignment is not None
            np.testing.assert_array_equal(new.alignment.video_index, old.alignment.video_index)
            np.testing.assert_array_equal(new.frames, old.frames)
            np.testing.assert_allclose(new.audio, old.audio, atol=1e-4)
            assert new.meta["speaker"] == old.meta["speaker"]
            assert new.meta["offset"] == old.alignment.offset
            assert new.meta["corpus"]["text"] == old.meta["corpus"]["text"]


def test_parquet_holds_pictures_sound_and_truth_in_typed_columns(
    shards: ShardSet, tmp_path: Path
) -> None:
    export(shards, "parquet", tmp_path / "tables")
    assert sorted(p.name for p in (tmp_path / "tables").glob("*.parquet")) == [
        "test-00000.parquet", "train-00000.parquet", "val-00000.parquet",
    ]  # fmt: skip
    table = pd.read_parquet(tmp_path / "tables/train-00000.parquet").set_index("key")
    row = table.loc["ann-0001-00"]
    assert (row["num_frames"], row["offset"], row["speaker"]) == (FRAMES, 3, "ann")
    assert list(row["alignment"]) == list(ALIGNMENTS["ann-0001-00"])
    assert len(media.read_video(row["video"])) == FRAMES
    assert len(media.read_sound(row["sound"])) == FRAMES * 640
    assert json.loads(row["info"])["corpus"]["text"] == "hello 1"
    val = pd.read_parquet(tmp_path / "tables/val-00000.parquet")
    assert val["offset"].isna().all(), "an alignment that varies has no offset"


def test_hf_folder_has_metadata_by_split_and_a_card(shards: ShardSet, tmp_path: Path) -> None:
    export(shards, "hf", tmp_path / "hub")
    names = {
        p.parent.name: pd.read_parquet(p) for p in (tmp_path / "hub").glob("*/metadata.parquet")
    }
    assert set(names) == {"train", "validation", "test"}
    for folder, table in names.items():
        assert table.columns[0] == "file_name"
        for name in table["file_name"]:
            path = tmp_path / "hub" / folder / name
            assert len(media.read_video(path)) == FRAMES
            assert len(media.read_audio(path)) == FRAMES * 640
    card = (tmp_path / "hub/README.md").read_text()
    assert card.startswith("---\npretty_name: toy\nlicense: other\n")
    assert "The people are drawn" in card


def test_mouths_go_along_as_they_are_stored(
    shards: ShardSet, with_mouths: ShardSet, tmp_path: Path
) -> None:
    stored = {one.key: one.more[MOUTH] for one in with_mouths.samples()}
    for form in FORMS:
        export(with_mouths, form, tmp_path / form)
        export(shards, form, tmp_path / f"{form}-without")
    lrs = {path.stem: path.read_bytes() for path in (tmp_path / "lrs/mouth").glob("*/*.mp4")}
    assert lrs == stored
    assert contents(tmp_path / "lrs/main") == contents(tmp_path / "lrs-without/main")

    tables = pd.concat(pd.read_parquet(p) for p in (tmp_path / "parquet").glob("*.parquet"))
    assert dict(zip(tables["key"], tables["mouth"], strict=True)) == stored
    without = pd.read_parquet(tmp_path / "parquet-without/train-00000.parquet")
    assert without["mouth"].isna().all()

    hub = {}
    for path in (tmp_path / "hf").glob("*/metadata.parquet"):
        table = pd.read_parquet(path)
        assert list(table.columns[:2]) == ["file_name", "mouth_file_name"]
        for key, face, mouth in table[["key", "file_name", "mouth_file_name"]].itertuples(False):
            assert len(media.read_audio(path.parent / face)) == FRAMES * 640
            hub[key] = (path.parent / mouth).read_bytes()
    assert hub == stored
    for name, said in (("hf", True), ("hf-without", False)):
        assert ("`mouth` shows" in (tmp_path / name / "README.md").read_text()) is said
    columns = pd.read_parquet(tmp_path / "hf-without/train/metadata.parquet").columns
    assert not [column for column in columns if "mouth" in column]


def test_mouths_of_some_clips_alone_are_refused_where_they_cannot_be_loaded(
    with_mouths: ShardSet, tmp_path: Path
) -> None:
    samples = list(with_mouths.samples())
    for number, words in ((0, "has a mouth crop"), (1, "has no mouth crop")):
        some = [replace(s, more={}) if n == number else s for n, s in enumerate(samples)]
        mixed = toy_set(tmp_path / f"mixed{number}", some)
        with pytest.raises(DataError, match=f"{samples[1].key} {words}.*export --to parquet"):
            export(mixed, "hf", tmp_path / f"hf{number}")
        export(mixed, "parquet", tmp_path / f"tables{number}")
        export(mixed, "lrs", tmp_path / f"lrs{number}")
        assert len(list((tmp_path / f"lrs{number}/mouth").glob("*/*.mp4"))) == len(samples) - 1


def test_a_name_that_leads_outside_is_refused(tmp_path: Path) -> None:
    target = Target(tmp_path / "out", {})
    for parts in (
        ("..", "x"),
        ("/etc", "x"),
        ("a/b",),
        ("..",),
        ("",),
        (".hidden",),
        ("a\\..\\b",),
    ):
        with pytest.raises(DataError, match="expected a plain name"):
            target.write(lambda: b"", *parts)
    assert not list(tmp_path.iterdir())


def test_members_of_a_tar_cannot_escape(shards: ShardSet, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for path in shards.directory.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tar = folder / "toy-test-000000.tar"
    with tarfile.open(tar) as held:
        members = [(m.name, held.extractfile(m).read()) for m in held]  # type: ignore[union-attr]
    for prefix in ("../escaped/", "/escaped/", "a/../../"):
        with tarfile.open(tar, "w") as bad:
            for name, data in members:
                entry = tarfile.TarInfo(prefix + name)
                entry.size = len(data)
                bad.addfile(entry, io.BytesIO(data))
        with pytest.raises(DataError, match=r"damaged|has no"):
            export(open_set(folder), "lrs", tmp_path / "out")
        assert not list(tmp_path.rglob("*escaped*"))


def test_the_command_says_what_it_did(shards: ShardSet, tmp_path: Path) -> None:
    arguments = ["export", str(shards.directory), "--out", str(tmp_path / "out"), "--to"]
    done = CliRunner().invoke(main, [*arguments, "parquet", "--limit", "2"])
    assert done.exit_code == 0, done.output
    assert "2 clips in 2 files are in" in done.output
    wrong = CliRunner().invoke(main, [*arguments, "parque"])
    assert wrong.exit_code == 2
    assert "Did you mean 'parquet'" in wrong.output
    with pytest.raises(UnknownName):
        export(shards, "parque", tmp_path / "else")
