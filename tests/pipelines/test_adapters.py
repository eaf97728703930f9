from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from corpus_trees import FLASH, FRAMES, Tree, clicks, flash_and_click, flashes
from fake_facetracks import make_process

from avbench import media
from avbench.errors import DataError, UnknownName, UsageError
from avbench.shards import ShardSet, open_set
from pipelines.adapters import LAYOUTS, find_layout
from pipelines.adapters.given import moved
from pipelines.build import BuildReport, build
from pipelines.options import BuildOptions

SMALL = {"crops.size": "64", "crops.preset": "ultrafast"}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture
def tree(tmp_path: Path, drawn: Path) -> Tree:
    return Tree(tmp_path / "corpus", drawn)


def make(root: Path, layout: str, out: Path, **options: Any) -> BuildReport:
    settings = {**SMALL, **options.pop("settings", {})}
    chosen = {"engine": "local", "sync": "off", "process": make_process(), **options}
    return build([root], out, layout=layout, settings=settings, **chosen)


def rows(found: ShardSet) -> dict[str, dict[str, Any]]:
    """Return what the index says of every clip, by the path of its source."""
    return {row["path"]: row for row in found.index().to_dict("records")}


def infos(found: ShardSet) -> dict[str, dict[str, Any]]:
    return {sample.info["source"]["path"]: dict(sample.info) for sample in found.samples()}


LRS_TEXT = """Text:  WHEN YOU'RE COOKING CHIPS
Conf:  4
Ref:  0Fi83BHQsMA

FRAME X Y W H
000012 0.358 0.126 0.200 0.300
000013 0.359 0.127 0.200 0.300

WORD START END ASDSCORE
WHEN 0.12 0.30 4.2
COOKING 0.50 0.91 9.1
"""


def lrs2(tree: Tree) -> None:
    for folder, names in {"main": "abc", "pretrain": "p"}.items():
        for name in names:
            tree.clip(f"{folder}/553{name}/00001.mp4", text=LRS_TEXT)
    tree.clip("main/553a/00002.mp4")
    tree.text("pretrain.txt", "553p/00001\n")
    tree.text("train.txt", "553a/00001\n")
    tree.text("val.txt", "553b/00001\n")
    tree.text("test.txt", "553c/00001 NF\n")


def test_lrs2_takes_its_own_crops_lists_and_texts(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    report = make(tree.root, "lrs2", tmp_path / "out")
    found = open_set(tmp_path / "out")
    assert {path: row["split"] for path, row in rows(found).items()} == {
        "main/553a/00001.mp4": "train",
        "main/553b/00001.mp4": "val",
        "main/553c/00001.mp4": "test",
        "pretrain/553p/00001.mp4": "train",
    }
    assert report.skipped["no clip of lrs2"] == 1, "00002 is in no list"
    info = infos(found)["pretrain/553p/00001.mp4"]
    assert info["corpus"]["part"] == "pretrain"
    assert info["corpus"]["text"] == "WHEN YOU'RE COOKING CHIPS"
    assert info["corpus"]["confidence"] == 4
    assert info["corpus"]["words"] == [["WHEN", 0.12, 0.3, 4.2], ["COOKING", 0.5, 0.91, 9.1]]
    assert info["corpus"]["boxes"][1] == [13, 0.359, 0.127, 0.2, 0.3]
    assert (info["offset"], info["num_frames"], info["facetrack"]["crop"]) == (0, FRAMES, "whole")
    clip = next(found.clips("val"))
    assert clip.frames.shape == (FRAMES, 64, 64, 3)
    assert np.abs(clip.audio).max() > 0.05
    card = (tmp_path / "out/README.md").read_text()
    assert "LRS2-BBC: 1 pretrain, 1 test, 1 train, 1 val, of 4 that it lists here." in card
    assert "Deep audio-visual speech recognition" in card
    assert "Licence" in card
    assert found.manifest["recipe"]["corpus"]["crops"] == "own"


def test_own_crops_show_the_whole_picture(tree: Tree, tmp_path: Path) -> None:
    source = tree.clip("main/553a/00001.mp4")
    tree.text("train.txt", "553a/00001\n")
    make(tree.root, "lrs2", tmp_path / "out", settings={"crops.size": "224"})
    clip = next(open_set(tmp_path / "out").clips())
    assert clip.frames.shape == (FRAMES, 224, 224, 3)
    own = [cv2.resize(f, (24, 24), interpolation=cv2.INTER_AREA) for f in media.read_video(source)]
    got = [cv2.resize(f, (24, 24), interpolation=cv2.INTER_AREA) for f in clip.frames]
    assert np.abs(np.array(own, float) - np.array(got, float)).mean() < 3


def test_clips_of_the_lists_that_are_not_there_are_told(
    tree: Tree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lrs2(tree)
    tree.text("test.txt", "553c/00001 NF\n553c/00009 MV\n")
    make(tree.root, "lrs2", tmp_path / "out", plan=True)
    assert "1 clips of the lists are not there, such as 553c/00009" in caplog.text


def test_what_a_table_adds_about_clips_is_kept(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    about = tree.text("../about.csv", "file,speaker,date\nmain/553c/00001.mp4,ann,2016-01-31\n")
    make(tree.root, "lrs2", tmp_path / "out", about=about)
    row = rows(open_set(tmp_path / "out"))["main/553c/00001.mp4"]
    assert (row["speaker"], row["date"], row["split"]) == ("ann", "2016-01-31", "test")


def test_lists_that_disagree_stop_the_build(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    tree.text("val.txt", "553c/00001\n")
    with pytest.raises(DataError, match=r"lists 553c/00001, which another list has in val"):
        make(tree.root, "lrs2", tmp_path / "out")


def test_lrs3_never_puts_a_talk_into_two_splits(tree: Tree, tmp_path: Path) -> None:
    talks = [f"-{letter}Q_x{n}" for letter in "aAbB" for n in range(2)]
    for talk in talks:
        tree.clip(f"pretrain/{talk}/00001.mp4", text=LRS_TEXT)
        tree.clip(f"trainval/{talk}/50001.mp4", text=LRS_TEXT)
    tree.clip("test/zzzzzzzz/00001.mp4", text=LRS_TEXT)
    make(tree.root, "lrs3", tmp_path / "out", split="50/50/0", seed=1)
    found = rows(open_set(tmp_path / "out"))
    assert len(found) == 2 * len(talks) + 1
    splits = {talk: {r["split"] for r in found.values() if r["speaker"] == talk} for talk in talks}
    assert all(len(each) == 1 for each in splits.values())
    assert Counter(next(iter(each)) for each in splits.values()).keys() == {"train", "val"}
    assert found["test/zzzzzzzz/00001.mp4"]["split"] == "test"
    assert len({row["key"] for row in found.values()}) == len(found)


def test_lrw_names_word_and_split_by_folders(tree: Tree, tmp_path: Path) -> None:
    text = "Disk reference: 6203\nChannel: BBC One HD\nDuration: 0.47 seconds\n"
    for split in ("train", "val", "test"):
        tree.clip(f"lipread_mp4/ABOUT/{split}/ABOUT_00001.mp4", text=text)
    make(tree.root, "lrw", tmp_path / "out")
    found = open_set(tmp_path / "out")
    assert {p.split("/")[2]: row["split"] for p, row in rows(found).items()} == {
        "train": "train", "val": "val", "test": "test",
    }  # fmt: skip
    corpus = infos(found)["lipread_mp4/ABOUT/val/ABOUT_00001.mp4"]["corpus"]
    assert (corpus["text"], corpus["word_seconds"], corpus["channel"]) == (
        "ABOUT",
        0.47,
        "BBC One HD",
    )


VOX_TEXT = """Identity  : \tid00017
Reference : \t_mjZ87sK6cA
Offset    : \t{offset}
FV Conf   : \t16.140\t(1)
ASD Conf  : \t5.142

FRAME \tX \tY \tW \tH
008809 \t0.123 \t0.136 \t0.422 \t0.749
"""


@pytest.mark.parametrize(("kind", "sound"), [("aac", ".m4a"), ("wav", ".wav")])
def test_voxceleb2_is_brought_into_sync_by_its_own_offset(
    tree: Tree, tmp_path: Path, kind: str, sound: str
) -> None:
    printed = {"00001": 1, "00002": 4, "00003": -2}
    for number, (name, offset) in enumerate(printed.items()):
        flashes(tree.root / f"dev/mp4/id00017/_mjZ87sK6cA/{name}.mp4", number)
        # The picture of audio frame a is a + Offset - 1, as the SyncNet trainer reads it.
        clicks(tree.root / f"dev/{kind}/id00017/_mjZ87sK6cA/{name}{sound}", FLASH - (offset - 1))
        tree.text(f"dev/txt/id00017/_mjZ87sK6cA/{name}.txt", VOX_TEXT.format(offset=offset))
    make(tree.root, "voxceleb2", tmp_path / "out")
    found = open_set(tmp_path / "out")
    assert found.count() == 3
    for sample, clip in zip(found.samples(), found.clips(), strict=True):
        offset = printed[Path(sample.info["source"]["path"]).stem]
        white, click = flash_and_click(clip.frames, clip.audio)
        assert click == pytest.approx(white, abs=0.1)
        assert clip.alignment.offset == 0
        assert sample.info["corpus"].get("offset_undone", 0) == offset - 1
        assert sample.info["corpus"]["offset"] == offset
        assert sample.info["speaker"] == "id00017"
        # Sound that was never recorded is not made up: the frames without it are left out.
        assert len(clip) == FRAMES - max(offset - 1, 0) - max(1 - offset, 0)


def test_voxceleb2_without_its_sound_is_rejected_in_one_sentence(
    tree: Tree, tmp_path: Path
) -> None:
    flashes(tree.root / "test/mp4/id00017/_mjZ87sK6cA/00001.mp4")
    report = make(tree.root, "voxceleb2", tmp_path / "out")
    assert "00001.txt: is not there or states no Offset" in report.rows[0].reason
    tree.text("test/txt/id00017/_mjZ87sK6cA/00001.txt", VOX_TEXT.format(offset=1))
    report = make(tree.root, "voxceleb2", tmp_path / "out")
    assert "00001.mp4: has no sound" in report.rows[0].reason


def grid_file(tree: Tree, name: str, words: bool = False) -> None:
    tree.clip(name)
    if words:
        stem = Path(name).stem
        tree.text(f"align/{Path(name).parent}/{stem}.align", "0 23750 sil\n23750 29500 bin\n")


def test_grid_reads_sentences_from_names_and_draws_speakers(tree: Tree, tmp_path: Path) -> None:
    for speaker in range(1, 9):
        grid_file(tree, f"s{speaker}/bbaf2n.mpg", words=speaker == 1)
        grid_file(tree, f"s{speaker}/lwizzp.mpg")
    grid_file(tree, "others/m2_pwij3p.mpg")
    tree.clip("s1/notes.mpg")
    make(tree.root, "grid", tmp_path / "out", split="40/30/30")
    found = open_set(tmp_path / "out")
    index = found.index()
    assert len(index) == 17
    assert index.groupby("speaker")["split"].nunique().max() == 1
    assert index["split"].nunique() == 3
    assert set(index["speaker"]) == {*(f"s{n}" for n in range(1, 9)), "m2"}
    said = infos(found)
    assert said["s1/bbaf2n.mpg"]["corpus"]["text"] == "bin blue at f two now"
    assert said["s1/bbaf2n.mpg"]["corpus"]["words"] == [["bin", 0.95, 1.18]]
    assert said["others/m2_pwij3p.mpg"]["corpus"]["text"] == "place white in j three please"


def test_a_list_of_splits_goes_before_the_corpus_own(tree: Tree, tmp_path: Path) -> None:
    grid_file(tree, "s1/bbaf2n.mpg")
    grid_file(tree, "s2/bbaf2n.mpg")
    table = tree.text("../mine.csv", "file,split\ns1/bbaf2n.mpg,val\n")
    make(tree.root, "grid", tmp_path / "out", split=str(table))
    row = rows(open_set(tmp_path / "out"))
    assert [(r["split"], r["speaker"]) for r in row.values()] == [("val", "s1")]
    assert "As the list mine.csv says" in (tmp_path / "out/README.md").read_text()


def test_tcd_timit_keeps_both_views_of_a_speaker_together(tree: Tree, tmp_path: Path) -> None:
    for speaker in ("volunteers/01M", "volunteers/13F", "lipspeakers/Lipspkr1"):
        for view in ("straightcam", "30degcam"):
            tree.clip(f"{speaker}/Clips/{view}/sa1.mp4", text="0 9000 She\n9000 20000 had\n")
    make(tree.root, "tcd-timit", tmp_path / "out")
    index = open_set(tmp_path / "out").index()
    assert index.groupby("speaker")["split"].nunique().max() == 1
    assert dict(zip(index["speaker"], index["split"], strict=True))["13F"] == "test"
    info = infos(open_set(tmp_path / "out"))["lipspeakers/Lipspkr1/Clips/30degcam/sa1.mp4"]
    assert (info["corpus"]["text"], info["corpus"]["view"]) == ("She had", "30degcam")


def test_ouluvs2_finds_the_sound_that_all_views_share(tree: Tree, tmp_path: Path) -> None:
    for number, name in enumerate(("s1_v1_u31", "s1_v5_u31", "s6_v1_u61")):
        flashes(tree.root / f"orig/{name}.mp4", number)
        flashes(tree.root / f"cropped_mouth_mp4_phrase/{name}.mp4", 9 + number)
    clicks(tree.root / "cropped_audio_dat/s1_u31.wav", FLASH)
    clicks(tree.root / "cropped_audio_dat/s6_u61.wav", FLASH)
    tree.text("lsentence/s6_u61.txt", "Chocolate is an antidepressant\n")
    make(tree.root, "ouluvs2", tmp_path / "out")
    found = open_set(tmp_path / "out")
    assert {p: (r["speaker"], r["split"]) for p, r in rows(found).items()} == {
        "orig/s1_v1_u31.mp4": ("s1", "train"),
        "orig/s1_v5_u31.mp4": ("s1", "train"),
        "orig/s6_v1_u61.mp4": ("s6", "test"),
    }
    clip = next(found.clips("test"))
    white, click = flash_and_click(clip.frames, clip.audio)
    assert click == pytest.approx(white, abs=0.1)
    assert clip.meta["corpus"]["text"] == "Chocolate is an antidepressant"
    assert clip.meta["corpus"]["part"] == "sentences"


def test_speakers_are_the_folders_of_a_user(tree: Tree, tmp_path: Path) -> None:
    tree.clip("ann/monday/1.mp4", text="hello\nthere")
    tree.clip("bob/1.mkv")
    tree.clip("stray.mp4")
    make(tree.root, "speakers", tmp_path / "out")
    assert {p: r["speaker"] for p, r in rows(open_set(tmp_path / "out")).items()} == {
        "ann/monday/1.mp4": "ann",
        "bob/1.mkv": "bob",
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_root_is_told_what_was_expected(name: str, tree: Tree, tmp_path: Path) -> None:
    tree.text("notes.txt", "nothing here")
    with pytest.raises(UsageError, match=f"--layout {name} expects ") as caught:
        make(tree.root, name, tmp_path / "out")
    assert str(caught.value).startswith(f"{tree.root}: ")
    assert "\n" not in str(caught.value)
    layout = find_layout(name)
    assert layout.licence
    assert layout.splits
    assert layout.expected


def test_other_mistakes_get_one_sentence(tree: Tree, tmp_path: Path) -> None:
    grid_file(tree, "s1/bbaf2n.mpg")
    with pytest.raises(UnknownName, match="Did you mean 'grid'"):
        make(tree.root, "gird", tmp_path / "out")
    with pytest.raises(UsageError, match="leave out --crops own"):
        make(tree.root, "grid", tmp_path / "out", crops="own")
    with pytest.raises(UsageError, match="takes one folder"):
        make(tree.root / "s1/bbaf2n.mpg", "grid", tmp_path / "out")


def test_a_damaged_text_rejects_its_clip_alone(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    (tree.root / "main/553a/00001.txt").write_bytes(b"Text: caf\xe9\n")
    report = make(tree.root, "lrs2", tmp_path / "out")
    reasons = {row.path: row.reason for row in report.rows if row.reason}
    assert list(reasons) == ["main/553a/00001.mp4"]
    assert "00001.txt: is no text in UTF-8" in reasons["main/553a/00001.mp4"]
    tree.text("main/553a/00001.txt", "Text:  HELLO\nConf:  high\n")
    report = make(tree.root, "lrs2", tmp_path / "out")
    reasons = {row.path: row.reason for row in report.rows if row.reason}
    assert "553a/00001.mp4: the text beside it makes no sense" in reasons["main/553a/00001.mp4"]


def test_only_what_a_changed_text_touches_is_redone(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    out = tmp_path / "out"
    make(tree.root, "lrs2", out)
    tracks = sorted(path.name for path in (out / "work/facetracks").iterdir())
    assert make(tree.root, "lrs2", out).up_to_date
    tree.text("main/553a/00001.txt", "Text:  ANOTHER\nConf:  1\n")
    assert not make(tree.root, "lrs2", out).up_to_date
    assert infos(open_set(out))["main/553a/00001.mp4"]["corpus"]["text"] == "ANOTHER"
    assert sorted(path.name for path in (out / "work/facetracks").iterdir()) == tracks


def test_every_frame_of_own_crops_is_accounted_for(tree: Tree, tmp_path: Path) -> None:
    lrs2(tree)
    make(tree.root, "lrs2", tmp_path / "out", settings={"min_track": "12", "max_track": "24"})
    table = pd.read_parquet(tmp_path / "out/ledger.parquet")
    assert (table["frames"] == FRAMES).all()
    assert (table["kept_frames"] == FRAMES).all()
    assert (table["clips"] == 2).all(), "a long clip is divided"
    short = {"min_track": "33", "max_track": "130"}
    report = make(tree.root, "lrs2", tmp_path / "short", settings=short)
    assert {json.dumps(row.rejected_frames) for row in report.rows} == {'{"track-too-short": 32}'}


def test_sound_is_moved_without_inventing_any() -> None:
    ramp = np.arange(5 * 640, dtype=np.float32)
    assert moved(ramp, 2)[2 * 640] == 0
    assert moved(ramp, -2)[0] == 2 * 640


def test_the_real_grid_is_divided_as_its_list_says(shared_media: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    listed = root / "leaderboards" / "splits" / "grid.csv"
    table = pd.read_csv(listed).set_index("file")
    out = tmp_path / "out"
    options: dict[str, Any] = {"engine": "local", "sync": "off", "split": str(listed)}
    build([shared_media / "grid"], out, layout="grid", limit=1, **options)
    found = open_set(out)
    # Three recordings are out of sync themselves (leaderboards/README.md).
    out_of_sync = {f"s1/{words}.mpg" for words in ("lbix5s", "pgbk8p", "srbu7s")}
    assert found.manifest["recipe"]["corpus"]["clips_in_corpus"] == len(table) + 3
    (clip,) = found.clips()
    assert clip.meta["source"]["path"] == "others/f1_brbk7n.mpg"
    assert (clip.meta["split"], clip.meta["speaker"]) == ("test", "f1")
    assert clip.meta["corpus"]["text"] == "bin red by k seven now"
    assert clip.frames.shape == (75, 224, 224, 3)
    corpus = BuildOptions(layout="grid", split=str(listed)).corpus([shared_media / "grid"])
    assert corpus is not None
    assert set(corpus.entries) - set(table.index) == out_of_sync
    for name in table.index:
        row, entry = table.loc[name], corpus.entries[name]
        assert row["speaker"] == entry.speaker
