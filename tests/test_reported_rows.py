"""The reported rows against the papers' texts and against the list they were made from."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from avbench import methods, protocols
from avbench.errors import UnknownName
from avbench.leaderboard.reported import dumps, load
from avbench.leaderboard.rows import Row, read_reported

FOLDER = Path(__file__).resolve().parents[1] / "leaderboards"
FILES = sorted((FOLDER / "reported").glob("*.json"))
ROWS = read_reported(FOLDER)

PAPERS = {
    "Kim et al. 2021": ("000", "001"),
    "Chung, Kang and Chung 2020": ("002",),
    "Shalev and Wolf 2020": ("003",),
    "Chung and Zisserman 2016": ("004",),
}
"""Source -> the texts that must hold its numbers; both versions of Kim et al."""

APART = {("Shalev and Wolf 2020", "tae-single-25")}
"""Tables whose cells the extraction tore from their rows; checked by eye, as the rows say."""

# How the list of reference rows calls what avbench calls otherwise.
METHODS = {"syncnet-angular-slide": "syncnet"}
PROTOCOLS = {
    "kim-strict-k5": "kim-strict-5",
    "tae-global-25": "tae-single-25",
    "tae-local-dropdup": "tae-local",
    "tae-cross-40": "redub",
    "phrases": "ouluvs2-speaker-independent",
    "digits": "ouluvs2-speaker-independent",
}
METRICS = {
    "acc": "accuracy",
    "acc1": "accuracy@0class",
    "acc1_tol1cls": "accuracy@1class",
    "acc_tol0": "accuracy@0",
    "acc_tol1": "accuracy@1",
    "conseq": "consecutive",
    "corr_mouth_height": "mouth_height_correlation",
    "corr_mouth_width": "mouth_width_correlation",
    "del": "deleted",
    "dup": "duplicated",
    "eer": "equal_error_rate",
    "judged_real_pct": "judged_real",
    "map": "mean_average_precision",
    "max_shift_err_frames": "max_absolute_error",
    "mcd_db": "mcd",
    "mcd_dtw_db": "mcd_dtw",
    "mean_shift_err_frames": "mean_absolute_error",
    "pairwise_acc": "pairwise_accuracy",
    "r@1": "recall@1",
    "r@10": "recall@10",
    "rer_tol0": "rer@0",
    "rer_tol1": "rer@1",
    "top1_per_frame": "accuracy@0",
    "top1_per_video": "accuracy@0",
}


def texts_of(papers: Path, numbers: tuple[str, ...]) -> list[str]:
    return [next(papers.glob(f"{number}_*.txt")).read_text("utf-8") for number in numbers]


def token(number: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.]){re.escape(number)}(?!\d|\.\d)")


def plain(line: str) -> str:
    bare = re.sub(r"</?[bi]>|\$|\\textbf\{|\}", "", line)
    return bare.replace(r"\pm", "±").replace("\t", " ")


def test_there_are_all_rows_and_each_once() -> None:
    assert len(ROWS) == 245
    keys = Counter(
        (
            r.kind,
            r.source,
            r.method,
            r.dataset,
            r.split,
            r.protocol,
            r.window,
            r.condition,
            r.metric,
        )
        for r in ROWS
    )
    assert {key: n for key, n in keys.items() if n > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_in_its_one_form(path: Path) -> None:
    content, rows = load(path)
    assert path.read_text("utf-8") == dumps(content)
    assert content["citation"].endswith(".")
    assert rows


def test_every_row_says_what_it_was_checked_against() -> None:
    for row in ROWS:
        assert row.verified, row
        assert row.unit, row
        assert (row.version, row.run, row.drawn) == (None, "", False), row


def test_sources_are_told_apart_and_papers_have_bibtex() -> None:
    heads = [load(path)[0] for path in FILES]
    assert len({head["source"] for head in heads}) == len(FILES)
    for head in heads:
        if head["source"] in PAPERS:
            assert head["bibtex"][0].startswith("@inproceedings{")
            assert head["bibtex"][-1] == "}"


def test_methods_that_avbench_has_go_by_its_names() -> None:
    kim = {row.method for row in ROWS if row.source == "Kim et al. 2021"}
    assert kim == {"syncnet", "diag-avg", "sync-cls", "sync-e2e"}
    assert kim <= set(methods.available())
    names = {r.method: r.printed_name for r in ROWS if r.source == "Kim et al. 2021"}
    assert names["syncnet"] == "Baseline"


def test_protocols_that_avbench_has_go_by_its_names() -> None:
    found = {row.protocol for row in ROWS}
    ours = {"tae-local-symmetric", "whole-clip-symmetric"}
    assert set(protocols.available()) - found == ours
    for name in ("kim-strict-k5", "tae-global-25", "tae-local-dropdup", "tae-cross-40"):
        assert name not in found
        with pytest.raises(UnknownName):
            protocols.get(name)


@pytest.mark.parametrize("source", PAPERS)
def test_the_papers_print_these_numbers(source: str, shared_papers: Path) -> None:
    rows = [row for row in ROWS if row.source == source and row.kind == "paper"]
    assert len(rows) >= 24
    for text in texts_of(shared_papers, PAPERS[source]):
        for row in rows:
            assert token(row.printed).search(text), row
            if row.printed_std:
                assert token(row.printed_std).search(text), row


@pytest.mark.parametrize("source", PAPERS)
def test_the_papers_print_these_numbers_in_these_rows(source: str, shared_papers: Path) -> None:
    """The last text has every table row on one line; it takes precedence where there are two."""
    text = texts_of(shared_papers, PAPERS[source])[-1]
    lines = [plain(line) for line in text.splitlines() if "\t" in line]
    for row in ROWS:
        if row.source != source or row.kind != "paper" or (source, row.protocol) in APART:
            continue
        printed = f"{row.printed} ± {row.printed_std}" if row.printed_std else row.printed
        held = [line for line in lines if label(row) in line and token(printed).search(line)]
        assert held, row


def label(row: Row) -> str:
    """Say what the line of a row begins with in its paper's table."""
    if row.metric == "f1":
        return row.split  # speakers down, methods across
    return "The video is real" if row.metric == "judged_real" else row.printed_name


def test_the_torn_table_holds_these_numbers_and_no_others(shared_papers: Path) -> None:
    text = texts_of(shared_papers, ("003",))[0]
    table = text.split("Table 1: The literature")[1].split("could not make the original")[0]
    found = Counter(re.findall(r"(?<![\d.])\d+(?:\.\d+)?(?=%|\s|$)", table.split("\n", 1)[1]))
    held = Counter(row.printed for row in ROWS if (row.source, row.protocol) in APART)
    assert held - found == Counter()
    assert set(found - held) <= {"1", "2"}  # the table's number and "top-1"


def test_both_versions_of_kim_et_al_print_the_same_numbers(shared_papers: Path) -> None:
    first, second = texts_of(shared_papers, PAPERS["Kim et al. 2021"])
    number = re.compile(r"\d+\.\d\d")
    tables = [
        first.split("Table 2: Accuracy")[1].split("Conclusions")[0],
        second.split("Table 2. Accuracy")[1].split("3.2.2.")[0],
    ]
    one, other = (Counter(number.findall(table)) for table in tables)
    assert one == other
    kim = [row for row in ROWS if row.source == "Kim et al. 2021"]
    held = Counter(x for row in kim for x in (row.printed, row.printed_std) if x)
    assert held == one


def test_no_reference_row_is_missing(shared_specs: Path) -> None:
    with (shared_specs / "reference_rows.csv").open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 245
    ours = Counter(map(_ours, ROWS))
    theirs = Counter(map(_theirs, listed))
    assert theirs - ours == Counter()
    assert ours - theirs == Counter()


def _ours(row: Row) -> tuple[object, ...]:
    number = float(row.printed.lstrip("<>"))
    std = float(row.printed_std) if row.printed_std else None
    # Each of these rows says so in its note or its condition.
    judged = row.metric == "judged_real"
    method = "user-study" if judged else row.method
    split = "" if judged or "split not stated" in row.note else row.split
    window = None if row.protocol in ("tae-single-25", "tae-local") else row.window
    return row.kind, method, row.dataset, split, row.protocol, window, row.metric, number, std


def _theirs(row: dict[str, str]) -> tuple[object, ...]:
    number = float(row["value"].lstrip("<>"))
    std = float(row["std"]) if row["std"] else None
    window = re.search(r"(?:F|window)=(\d+)(?! \(assumed)\b", row["condition"])
    judged = row["metric"] == "judged_real_pct"
    split = "" if judged or row["split"] == "?" else row["split"]
    return (
        row["kind"],
        METHODS.get(row["method"], row["method"]),
        row["dataset"],
        split,
        PROTOCOLS.get(row["protocol"], row["protocol"]),
        int(window[1]) if window else None,
        METRICS.get(row["metric"], row["metric"]),
        number,
        std,
    )
