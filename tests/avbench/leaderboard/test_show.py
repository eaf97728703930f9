from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from programs import program

from avbench.cli import main
from avbench.cli.leaderboard import COMMANDS
from avbench.errors import DataError, UnknownName, UsageError
from avbench.leaderboard.ranking import how_ranked, interval_of, paired_ranks, ranks
from avbench.leaderboard.rows import Row, read_measured, read_reported
from avbench.leaderboard.show import families, frame, select, tables, to_json

FOLDER = Path(__file__).resolve().parents[3] / "leaderboards"
ROWS = read_reported(FOLDER) + read_measured(FOLDER)


DEMO = ("--dataset", "demo", "--protocol", "kim-strict-5")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["leaderboard", "show", *arguments])


def chosen(**wanted: str) -> list[Row]:
    return select(ROWS, {name: [pattern] for name, pattern in wanted.items()})


KIM = chosen(protocol="kim-strict-5", dataset="lrs2", metric="accuracy@0", window="20")
MEASURED = replace(KIM[0], kind="measured", printed="", version=1, source="measured/x", n=1000)


def with_interval(method: str, low: float, high: float) -> Row:
    return replace(MEASURED, method=method, value=(low + high) / 2, low=low, high=high)


# --- Choosing


def test_filters_choose_rows_that_match_all_of_them() -> None:
    rows = select(ROWS, {"metric": ["accuracy@*"], "window": ["11", "13"], "kind": ["reported"]})
    assert rows
    assert {row.window for row in rows} == {11, 13}
    assert {row.metric for row in rows} == {"accuracy@0", "accuracy@1"}
    assert "measured" not in {row.kind for row in rows}
    assert select(ROWS, {"metric": []}) == ROWS


def test_a_name_that_nothing_has_is_refused_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"Unknown protocol 'kim-strict'.*Did you mean 'kim-str"):
        chosen(protocol="kim-strict")
    with pytest.raises(UsageError, match=r"no row has all of .*leave one"):
        chosen(dataset="lrs2", method="light-asd")


# --- Laying out


def test_a_table_holds_only_rows_of_one_kind_protocol_and_data() -> None:
    found = families(ROWS)
    assert sum(map(len, found)) == len(ROWS)
    for family in found:
        same = {
            (r.kind == "measured", r.protocol, r.version, r.dataset, r.split, r.condition, r.drawn)
            for r in family
        }
        assert len(same) == 1


def test_numbers_are_shown_as_printed_and_doubts_below() -> None:
    (table,) = tables(chosen(protocol="kim-strict-5", dataset="lrs2"))
    text = table.to_text()
    assert table.columns == (11, 13, 15, 20)
    for printed in ("63.34† ± 0.39", "31.32†", "22.70", "90.88 ± 0.20", "syncnet (Baseline)"):
        assert printed in text
    assert text.count("†") == 3
    assert "33.1236 .. 33.154, not 31.32" in text.replace("\n", " ")
    assert "Relative error reduction (%), exact, against syncnet" in text


def test_a_bound_is_shown_as_one() -> None:
    first, _ = tables(chosen(protocol="human-*"))
    assert ">99" in first.to_text()


def test_the_unit_is_the_source_s_own() -> None:
    (table,) = tables(chosen(protocol="redub"))
    titles = [block.title for block in table.blocks]
    assert "Deleted (count)" in titles
    assert "Mel-cepstral distortion (dB)" in titles


def test_intervals_are_shown_unless_others_are_asked_for() -> None:
    rows = [replace(with_interval("syncnet", 70, 74), std=0.5)]
    shown = {how: tables(rows, how)[0].to_text() for how in ("interval", "repeats", "none")}
    assert "72.00 [70.00, 74.00]" in shown["interval"]
    assert "72.00 ± 0.50" in shown["repeats"]
    assert "±" not in shown["none"]
    assert "[" not in shown["none"]


# --- Ranking


def test_ranks_are_shared_where_intervals_meet() -> None:
    rows = [
        with_interval("a", 70, 74),
        with_interval("b", 73, 78),
        with_interval("c", 77, 80),
        with_interval("d", 10, 12),
    ]
    assert ranks(rows) == [2, 1, 1, 4]
    assert "95 % intervals meet." in how_ranked(rows, None)


def test_fewer_frames_of_error_are_better() -> None:
    rows = [
        replace(with_interval("a", 1, 2), metric="mean_absolute_error", unit="frames"),
        replace(with_interval("b", 3, 4), metric="mean_absolute_error", unit="frames"),
    ]
    assert ranks(rows) == [1, 2]


def test_reported_shares_get_the_interval_of_their_clips() -> None:
    """With 7,100 clips the half-width is 0.94 points near 79.3 %: less separates the methods."""
    best = next(row for row in KIM if row.method == "sync-e2e")
    low, high = interval_of(best) or (0.0, 0.0)
    assert (high - low) / 2 == pytest.approx(0.94, abs=0.01)
    found = dict(zip((row.method for row in KIM), ranks(KIM), strict=True))
    assert found == {"sync-e2e": 1, "sync-cls": 1, "diag-avg": 1, "syncnet": 4}
    assert "Wilson's" in how_ranked(KIM, None)


def test_numbers_that_round_alike_share_a_rank() -> None:
    rows = [
        replace(KIM[0], n=None, value=v, printed=p) for v, p in ((95.18, "95.18"), (95.2, "95.2"))
    ]
    assert ranks(rows) == [1, 1]
    assert "by the numbers alone" in how_ranked(rows, None)


def test_what_frames_a_table_or_cannot_be_right_has_no_rank() -> None:
    rows = [
        with_interval("a", 70, 74),
        replace(with_interval("oracle", 99, 100), ranked=False),
        replace(with_interval("b", 90, 92), suspect="a reason"),
        replace(with_interval("c", 90, 92), value=None, low=None, high=None),
    ]
    assert ranks(rows) == [1, None, None, None]


def test_paired_comparisons_rank_where_there_are_some(tmp_path: Path) -> None:
    rows = [with_interval("a", 70, 74), with_interval("b", 73, 78)]
    assert paired_ranks(tmp_path, rows) is None
    (tmp_path / "measured" / "x").mkdir(parents=True)
    path = tmp_path / "measured" / "x" / "comparisons.json"
    methods = [{"method": "a", "rank": 2}, {"method": "b", "rank": 1}]
    cells = [{"metric": "accuracy@0", "window": 20, "methods": methods}]
    path.write_text(json.dumps({"cells": cells}))
    found = paired_ranks(tmp_path, rows)
    assert found == {"a": 2, "b": 1}
    assert ranks(rows, found) == [2, 1]
    assert "paired" in how_ranked(rows, found)
    assert paired_ranks(tmp_path, [*rows, KIM[0]]) is None
    path.write_text("{}")
    with pytest.raises(DataError, match=r"comparisons\.json is damaged"):
        paired_ranks(tmp_path, rows)


# --- The command


def test_reported_stand_beside_measured() -> None:
    result = run("--protocol", "kim-strict-5", "--metric", "accuracy@0")
    assert result.exit_code == 0, result.output
    assert result.output.index("Reported: kim-strict-5, lrs2") < result.output.index(
        "Measured: kim-strict-5 v1, demo"
    )
    assert "drawn faces" in result.output
    assert "never ranked against each other" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--metric", "accuracy@0", "--window", "11"], "drawn faces are never ranked"),
        (["--kind", "measured", *DEMO, "--window", "11"], "the metric differs"),
        (["--kind", "paper", "--dataset", "lrs2", "--metric", "accuracy@1"], "differs"),
        (["--kind", "measured", *DEMO, "--metric", "accuracy@0"], "window differs: 11 and 13"),
    ],
)
def test_a_mixed_selection_is_not_ranked_and_the_reason_is_given(
    arguments: list[str], why: str
) -> None:
    result = run(*arguments, "--rank")
    assert result.exit_code == 2
    assert why in result.output
    assert "not ranked" in result.output
    assert len(result.output.splitlines()) == 1


def test_one_column_is_ranked() -> None:
    result = run("--kind", "measured", *DEMO, "--metric", "accuracy@0", "--window", "15", "--rank")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    found = {line[0]: line[1] for line in lines if len(line) > 2 and line[0] in COLUMN}
    assert found["oracle"] == found["constant"] == "-"
    assert "1" in found.values()
    assert found["syncnet"] > found["sync-e2e"]


COLUMN = ("oracle", "constant", "syncnet", "diag-avg", "sync-cls", "sync-e2e")


def test_a_suspect_number_is_shown_without_a_rank() -> None:
    selection = ["--kind", "paper", "--dataset", "lrs2", "--metric", "accuracy@0"]
    result = run(*selection, "--protocol", "kim*", "--window", "11", "--rank")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("diag-avg")]
    assert line.split() == ["diag-avg", "-", "63.34†", "±", "0.39"]
    assert "not 31.32" in " ".join(result.output.split())


def test_no_leaderboards_folder_is_a_clear_error(tmp_path: Path) -> None:
    result = run("--folder", str(tmp_path / "nowhere"))
    assert result.exit_code == 2
    assert "belongs to a checkout" in result.output
    result = run("--folder", str(tmp_path))
    assert result.exit_code == 2
    assert "holds neither" in result.output


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "reported").mkdir()
    (tmp_path / "reported" / "bad.json").write_text("[]")
    result = run("--folder", str(tmp_path))
    assert result.exit_code == 3
    assert "bad.json" in result.output


def test_csv_and_json_hold_every_field_of_every_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    result = run("--format", "csv", "--out", str(path))
    assert result.exit_code == 0, result.output
    written = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert len(written) == len(ROWS)
    assert set(written[0]) == {"table", *Row.__dataclass_fields__}
    by_json = json.loads(run("--format", "json").output)
    assert by_json == [asdict(row) for row in ROWS]
    assert [float(row["value"]) for row in written if row["printed"] == "31.32"] == [31.32]


def test_frames_number_the_tables_and_carry_ranks() -> None:
    found = frame(KIM, ranks(KIM))
    assert list(found["rank"]) == ranks(KIM)
    assert set(found["table"]) == {1}
    everything = frame(ROWS)
    assert everything["table"].nunique() == len(families(ROWS))
    assert everything["value"].isna().sum() == sum(row.value is None for row in ROWS)
    assert json.loads(to_json(KIM, ranks(KIM)))[0]["rank"] == ranks(KIM)[0]


def test_suspect_numbers_alone() -> None:
    rows = json.loads(run("--suspect", "--format", "json").stdout)
    assert len(rows) == 5
    assert all(row["suspect"] for row in rows)
    for form in ("text", "markdown", "latex", "csv", "json", "bibtex"):
        only = ("--protocol", "tae-local", "--kind", "reported")
        result = run("--suspect", *only, "--format", form)
        assert result.exit_code == 0, result.output
        assert result.stderr == "0 of 6 rows\n"
    assert run("--suspect", "--rank").exit_code == 2


def test_sources_are_cited() -> None:
    text = run("--protocol", "kim-strict-5", "--format", "bibtex").output
    assert text.startswith("@inproceedings{kim2021end,")
    assert text.count("@") == 1  # neither chance nor what was measured has a paper
    threads = run("--method", "wav2lip-expert", "--format", "bibtex").output
    assert threads.count("% ") == 2
    assert "https://github.com/Rudrabha/Wav2Lip/issues/363" in threads


def test_among_some_methods_of_a_run_the_first_are_first() -> None:
    rows = [with_interval(name, 70, 74) for name in "abc"]
    assert ranks(rows, {"a": 4, "b": 2, "c": 4, "best": 1}) == [2, 1, 2]


def test_markdown_has_one_table_for_each_block() -> None:
    output = run("--protocol", "redub", "--format", "markdown").output
    assert output.count("|---|") == 8
    assert "67.10†" in output


@pytest.mark.slow
def test_latex_compiles(tmp_path: Path) -> None:
    pdflatex = program("pdflatex")
    body = run("--protocol", "kim-strict-5", "--format", "latex").output
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    source = tmp_path / "tables.tex"
    source.write_text(f"{head}{body}\\end{{document}}\n", "utf-8")
    done = subprocess.run(
        [pdflatex, "-interaction=nonstopmode", "-halt-on-error", source.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_group_lists_its_commands_without_loading_them() -> None:
    result = CliRunner().invoke(main, ["leaderboard", "--help"])
    assert result.exit_code == 0, result.output
    for name, (_, line) in COMMANDS.items():
        assert name in result.output
        assert line.split()[0] in result.output
    assert CliRunner().invoke(main, ["leaderboard", "shwo"]).exit_code == 2
