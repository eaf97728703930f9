from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.data import cluster
from avbench.errors import DataError, UsageError
from avbench.shards import open_set
from pipelines import ledger
from pipelines.build import BuildReport, build
from pipelines.splits import read_list


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for number, name in enumerate(("s1/a.mp4", "s1/b.mp4", "s2/a.mp4", "s3/c.mp4", "s3/d.mp4")):
        write_source(folder / name, seed=number)
    return folder


def listed(folder: Path, *lines: str, head: str = "file,split,speaker,sha256") -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([head, *lines]) + "\n", "utf-8")
    return path


def make(corpus: Path, out: Path, path: Path) -> BuildReport:
    return build([corpus], out, process=make_process(), engine="local", sync="off", split=str(path))


def test_files_go_where_the_list_says_and_others_stay_out(corpus: Path, tmp_path: Path) -> None:
    right = hashlib.sha256((corpus / "s1" / "a.mp4").read_bytes()).hexdigest()
    path = listed(
        tmp_path,
        f"s1/a.mp4,train,anna,{right}",
        "s1/b.mp4,val,anna,",
        "s2/a.mp4,test,bo,",
        f"s3/c.mp4,test,cy,{right}",
    )
    report = make(corpus, tmp_path / "set", path)
    found = open_set(tmp_path / "set")
    spoken = {
        split: {cluster(sample.info, sample.key) for sample in found.samples(split)}
        for split in found.splits
    }
    assert spoken == {"train": {"anna"}, "val": {"anna"}, "test": {"bo"}}
    assert report.skipped["not in the split list"] == 1
    rejected = [row for row in ledger.read(tmp_path / "set") if row.status == "rejected"]
    assert [(row.path, row.reason) for row in rejected] == [
        ("s3/c.mp4", "the split list names other bytes of this name")
    ]
    assert "list.csv" in (tmp_path / "set" / "README.md").read_text("utf-8")
    assert found.manifest["recipe"]["split"]["sha256"] == read_list(path).sha256


def test_a_changed_list_moves_files_and_decodes_none_anew(corpus: Path, tmp_path: Path) -> None:
    make(corpus, tmp_path / "set", listed(tmp_path, "s1/a.mp4,train,,", "s1/b.mp4,train,,"))
    assert open_set(tmp_path / "set").splits == ["train"]
    assert make(corpus, tmp_path / "set", tmp_path / "list.csv").up_to_date
    report = make(corpus, tmp_path / "set", listed(tmp_path, "s1/a.mp4,test,,", "s1/b.mp4,val,,"))
    assert not report.up_to_date
    assert open_set(tmp_path / "set").splits == ["test", "val"]


def test_the_longest_path_wins(corpus: Path, tmp_path: Path) -> None:
    make(corpus, tmp_path / "set", listed(tmp_path, "a.mp4,train,,", "s2/a.mp4,test,,"))
    index = open_set(tmp_path / "set").index()
    assert dict(zip(index["path"], index["split"], strict=True)) == {
        "s1/a.mp4": "train",
        "s2/a.mp4": "test",
    }


@pytest.mark.parametrize("speakers", [2, 10])
def test_clips_of_a_speaker_belong_together_where_there_are_enough(
    speakers: int, tmp_path: Path
) -> None:
    names = [f"{number % speakers}/{number}.mp4" for number in range(12)]
    for number, name in enumerate(names):
        write_source(tmp_path / "films" / name, seed=number, frames=30)
    lines = [f"{name},test,speaker-{name.partition('/')[0]}," for name in names]
    make(tmp_path / "films", tmp_path / "set", listed(tmp_path, *lines))
    sources = {item.source for item in open_set(tmp_path / "set").items("test")}
    assert len(sources) == (10 if speakers == 10 else 12)


@pytest.mark.parametrize(
    ("lines", "head", "error", "complaint"),
    [
        (["a.mp4"], "file", UsageError, "no column split"),
        (["a.mp4,exam"], "file,split", DataError, r"line 2.*'exam'.*train, val, test"),
        ([",test"], "file,split", DataError, "line 2"),
        (["a.mp4,test", "a.mp4,val"], "file,split", DataError, "line 3.*twice"),
    ],
)
def test_a_wrong_list_gets_one_sentence(
    tmp_path: Path, lines: list[str], head: str, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        read_list(listed(tmp_path, *lines, head=head))
    with pytest.raises(UsageError, match="cannot be read"):
        read_list(tmp_path / "absent.csv")
