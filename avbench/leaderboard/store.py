"""Measured results as they are committed: one folder per data set and rules.

``leaderboards/measured/<name>/`` holds ``run.json`` (the run card, with the version of every
metric), ``scores.jsonl`` (sorted rows), ``comparisons.json`` where the run made them, ``table.md``
and ``dataset.json`` (how the shard set is built). A new run replaces what it measured again; rows
of other methods stay only while they mean the same, and drop out with the reason otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from avbench.data import JSON
from avbench.errors import DataError
from avbench.leaderboard.card import (
    differences,
    metric_versions,
    platform,
    result_version,
    task_of,
)
from avbench.results import COMPARISONS, RUN, SCORES, Score
from avbench.runcard import run_id, sanitised
from avbench.shards import MANIFEST, to_json, write_atomic
from avbench.tables import accuracy_table

TABLE = "table.md"
Key: TypeAlias = tuple[str, int, str]
"""Method, window length, metric: what a row is of."""


class Dropped(NamedTuple):
    """A stored row that no longer stands, and why."""

    row: Mapping[str, JSON]
    reason: str


@dataclass(frozen=True, eq=False)
class Measured:
    """The contents of one folder."""

    card: Mapping[str, JSON]
    """The run card, with ``metrics``: the version of every metric."""
    rows: tuple[Mapping[str, JSON], ...]
    """As in ``scores.jsonl``, sorted by method, window length and metric."""
    table: str
    comparisons: JSON = None
    manifest: JSON = None
    """``dataset.json`` of the shard set."""

    @property
    def by_key(self) -> dict[Key, Mapping[str, JSON]]:
        """Rows by what they are of."""
        return {key_of(row): row for row in self.rows}


def key_of(row: Mapping[str, JSON]) -> Key:
    """Return what a row is of: method, window length, metric."""
    return row["method"], row["window"], row["metric"]


def read(folder: Path) -> Measured:
    """Read a folder of measured results, or the results of a run.

    Raises
    ------
    DataError
        If it holds none, or damaged ones.
    """
    try:
        card = json.loads((folder / RUN).read_text("utf-8"))
        lines = (folder / SCORES).read_text("utf-8").splitlines()
        rows = [_row(json.loads(line), card) for line in lines]
        card.setdefault("metrics", metric_versions(task_of(card)))
        return Measured(
            card=sanitised(card),
            rows=tuple(sorted(rows, key=key_of)),
            table=(folder / TABLE).read_text("utf-8"),
            comparisons=_optional(folder / COMPARISONS),
            manifest=_optional(folder / MANIFEST),
        )
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} holds no finished results ({Path(error.filename).name} is missing); make "
            f"some with 'avbench run --method all --shards DIR --out {folder}'"
        ) from None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise DataError(f"{folder} holds damaged results ({error!r}); measure again") from error


def _optional(path: Path) -> JSON:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _row(row: dict[str, JSON], card: Mapping[str, JSON]) -> dict[str, JSON]:
    """Let a row name its run by id; rows of early versions held the whole card."""
    return row if isinstance(row["run"], str) else row | {"run": run_id(card)}


def contents(measured: Measured) -> dict[str, bytes]:
    """Return what the files of a folder hold, by name; the same results give the same bytes."""
    lines = [json.dumps(dict(row), sort_keys=True, allow_nan=False) for row in measured.rows]
    files = {
        SCORES: "".join(f"{line}\n" for line in lines),
        TABLE: measured.table,
        RUN: to_json(dict(measured.card)),
    }
    for name, content in ((COMPARISONS, measured.comparisons), (MANIFEST, measured.manifest)):
        if content is not None:
            files[name] = to_json(content)
    return {name: text.encode() for name, text in sorted(files.items())}


def write(folder: Path, measured: Measured) -> None:
    """Write a folder of measured results; what it held before is gone, other files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    files = contents(measured)
    for name, data in files.items():
        write_atomic(folder / name, data)
    for name in {COMPARISONS, MANIFEST} - set(files):
        (folder / name).unlink(missing_ok=True)


def stale(measured: Measured) -> list[str]:
    """Say what of a folder no longer means what it says, under the rules of this avbench."""
    card = measured.card
    task = task_of(card)
    found = []
    if (version := card["task"]["version"]) != task.version:
        found.append(f"{task.protocol} is v{task.version} now, and the rows are of v{version}")
    now = metric_versions(task)
    changed = {name for name, then in card["metrics"].items() if now.get(name, then) != then}
    gone = set(card["metrics"]) - set(now)
    found += [f"{name} means something else now" for name in sorted(changed)]
    return found + [f"there is no metric {name} any more" for name in sorted(gone)]


def merge(old: Measured, new: Measured) -> tuple[Measured, list[Dropped]]:
    """Put new results in place of old ones.

    Parameters
    ----------
    old
        What the folder holds.
    new
        A run on the same data set.

    Returns
    -------
    tuple
        The new contents, and the old rows that were neither measured again nor kept. A row is
        kept where its method was not measured and metric, rules, questions, clips and platform
        are the same.
    """
    again, fresh = set(new.card["methods"]), set(new.by_key)
    kept: list[Mapping[str, JSON]] = []
    dropped: list[Dropped] = []
    for key, row in old.by_key.items():
        if key in fresh:
            continue
        reason = "its method was measured again, without it" if row["method"] in again else ""
        reason = reason or _outdated(row, old, new)
        if reason:
            dropped.append(Dropped(row, reason))
        else:
            kept.append(row)
    return (_joined(old, new, kept) if kept else new), dropped


def _outdated(row: Mapping[str, JSON], old: Measured, new: Measured) -> str:
    """Say why a row of the old run may not stand beside the new ones; empty if it may."""
    metric, before, now = row["metric"], old.card, new.card
    if (before["dataset"], before["split"]) != (now["dataset"], now["split"]):
        return f"it is on {before['dataset']}, split {before['split']}"
    if rules := differences(before["task"], now["task"]):
        return f"it was asked under other rules: {'; '.join(rules)}"
    if before["metrics"].get(metric) != now["metrics"].get(metric):
        return f"{metric} means something else now"
    if result_version(before, metric, before["metrics"]) != result_version(
        now, metric, now["metrics"]
    ):
        return "it was asked about other clips, or other questions"
    if moved := differences(platform(before), platform(now)):
        return f"it was measured on another platform: {'; '.join(moved)}"
    if row.get("reference"):
        base = (row["reference"], row["window"], metric.replace("rer@", "accuracy@"))
        then, after = (m.by_key.get(base, {}).get("value") for m in (old, new))
        if after is not None and then != after:
            return f"it is relative to {row['reference']}, whose number moved"
    return ""


def _joined(old: Measured, new: Measured, kept: Sequence[Mapping[str, JSON]]) -> Measured:
    names = {row["method"] for row in kept}
    ids = {row["method"]: row["run"] for row in kept}
    methods = {name: old.card["methods"][name] | {"run": ids[name]} for name in sorted(names)}
    earlier = dict(old.card.get("earlier", {}))
    shared = {k: v for k, v in old.card.items() if k not in ("methods", "earlier", "refusals")}
    earlier |= {run: shared for run in ids.values() if run not in earlier}
    card = {
        **{k: v for k, v in new.card.items() if k != "files"},
        "methods": methods | new.card["methods"],
        "earlier": {run: earlier[run] for run in sorted(set(ids.values()))},
    }
    rows = tuple(sorted([*kept, *new.rows], key=key_of))
    joined = replace(new, card=card, rows=rows)
    return replace(joined, table=_table(joined, sorted(names)))


def _table(measured: Measured, kept: Sequence[str]) -> str:
    """Make the table again, with the rows of earlier runs and a note that says so."""
    card, known = measured.card, set(Score.__dataclass_fields__)
    task = card["task"]
    origin = (
        "Drawn faces and synthetic speech: never to be compared with numbers on recordings."
        if card.get("synthetic")
        else ""
    )
    return accuracy_table(
        [Score(**{k: v for k, v in row.items() if k in known}) for row in measured.rows],
        reference=card.get("reference"),
        sees_truth=[name for name, facts in card["methods"].items() if facts.get("sees_truth")],
        caption=f"{task['protocol']} v{task['version']}, on {card['dataset']}, "
        f"split {card['split']}",
        notes=[
            f"From earlier runs of the same questions on the same platform: {', '.join(kept)}.",
            *filter(None, [origin]),
        ],
    ).to_markdown()
