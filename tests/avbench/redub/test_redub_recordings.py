"""Who says what, and the pairs of the paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbench.errors import DataError
from avbench.redub import Recording, pairs_of, read_recordings, tcd_timit
from avbench.redub.recordings import keys_of

SPEAKERS = ("01M", "02M", "03F", "04M", "05F", "06M", "07F")


def tcd_tree() -> list[str]:
    """List a corpus of the shape of TCD-TIMIT, in no order, with what is not to be used."""
    files = []
    for view in ("straightcam", "30degcam"):
        for name in SPEAKERS:
            for sentence in ("sa1", "sa2", "si453", "sx3"):
                files.append(f"volunteers/{name}/Clips/{view}/{sentence}.mp4")
        files.append(f"lipspeakers/Lipspkr1/Clips/{view}/sa1.mp4")
    return files[::-1]


def test_tcd_timit_gives_the_forty_pairs_of_the_paper() -> None:
    recordings = tcd_timit(tcd_tree())
    pairs = pairs_of(recordings)
    assert len(pairs) == 40
    assert {one.speaker for one in recordings} == set(SPEAKERS[:5])
    assert sum(name.endswith("M") for name in {one.speaker for one in recordings}) == 3
    assert {one.file for one in recordings if one.speaker == "03F"} == {
        "volunteers/03F/Clips/straightcam/sa1.mp4",
        "volunteers/03F/Clips/straightcam/sa2.mp4",
    }
    for pair in pairs:
        assert pair.picture.sentence == pair.voice.sentence
        assert pair.picture.speaker != pair.voice.speaker
    assert len({pair.name for pair in pairs}) == 40


def test_a_speaker_without_both_sentences_is_passed_over() -> None:
    files = [file for file in tcd_tree() if "02M/Clips/straightcam/sa2" not in file]
    assert {one.speaker for one in tcd_timit(files)} == {"01M", "03F", "04M", "05F", "06M"}
    with pytest.raises(DataError, match="found 4 volunteers"):
        tcd_timit([file for file in tcd_tree() if "/0" in file and file[11:13] < "05"])


def test_all_permutations_of_ten_speakers() -> None:
    recordings = [Recording(f"s{s}", f"p{p}", f"{s}-{p}.mp4") for s in range(2) for p in range(10)]
    assert len(pairs_of(recordings)) == 180
    with pytest.raises(DataError, match="no sentence is said by two"):
        pairs_of([Recording("a", "x", "1"), Recording("b", "y", "2")])


def test_the_table_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "recordings.csv"
    path.write_text("speaker,file,sentence\nx,1.mp4,a\ny,2.mp4,a\n", "utf-8")
    assert read_recordings(path) == [Recording("a", "x", "1.mp4"), Recording("a", "y", "2.mp4")]
    for text, message in (
        ("speaker,file\nx,1\n", "no column sentence"),
        ("file,speaker,sentence\n1,x,a\n1,y,a\n", "file 1 twice"),
        ("file,speaker,sentence\n1,x,a\n2,x,a\n", "speaker's sentence x, a twice"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(DataError, match=message):
            read_recordings(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_recordings(tmp_path / "absent.csv")


def test_the_longest_clip_of_a_file_stands_for_it() -> None:
    recordings = [Recording("a", "x", "1.mp4"), Recording("a", "y", "2.mp4")]
    clips = {"k0": ("1.mp4", 30), "k1": ("1.mp4", 90), "k2": ("9.mp4", 99)}
    assert keys_of(recordings, clips) == {"1.mp4": "k1"}
    with pytest.raises(DataError, match=r"none of 1 clips .* such as 1\.mp4"):
        keys_of(recordings, {"k2": ("9.mp4", 99)})
