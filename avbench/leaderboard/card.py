"""What a run card says about where numbers come from, and when they went stale.

The card of a run is its ``run.json``: versions, machine, commit, data, task and methods. Two
questions are answered from it. Was this the same platform, so that every count must be equal? And
does a stored number still mean what it meant, so that it may stand beside new ones?
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbench.alignment_task import TASKS, WHOLE, AnyTask
from avbench.data import JSON
from avbench.errors import DataError
from avbench.results import Run, score

PROPORTIONS = ("accuracy@", "perceptual@")
"""Beginnings of the names of metrics that are a share of the questions."""
_MOVING = ("numpy", "torch", "torchaudio")
"""Packages that compute the numbers; the decoder has its own entry in the card."""
_DIGITS = 9


def platform(card: Mapping[str, JSON]) -> dict[str, str]:
    """Return what can move a number without anybody changing avbench.

    Returns
    -------
    dict
        Name -> version of the packages that compute, the decoder and the processor's features.
        The number of processors is not among them: networks run on one thread each.
    """
    versions, machine = card.get("versions") or {}, card.get("machine") or {}
    facts = {name: versions.get(name) for name in _MOVING}
    facts |= {name: machine.get(name) for name in ("system", "arch", "simd")}
    facts |= card.get("decoder") or {}
    return {name: _said(value) for name, value in sorted(facts.items())}


def _said(value: JSON) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def differences(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> list[str]:
    """Say in words where two descriptions differ, one text per name.

    >>> differences({"torch": "2.13", "arch": "x"}, {"torch": "2.14", "arch": "x"})
    ['torch 2.13 -> 2.14']
    """
    names = sorted({*before, *after})
    pairs = [(name, before.get(name), after.get(name)) for name in names]
    return [f"{name} {_said(old)} -> {_said(new)}" for name, old, new in pairs if old != new]


def parameters(card: Mapping[str, JSON]) -> dict[str, str]:
    """Return what each method's numbers depend on: hash of its checkpoint, and its extractor."""
    methods = card.get("methods") or {}
    return {
        name: f"{_short(facts.get('checkpoint_sha256'))}, extractor {facts.get('extractor')}"
        for name, facts in sorted(methods.items())
    }


def _short(sha256: str | None) -> str:
    return f"checkpoint {sha256[:16]}" if sha256 else "no checkpoint"


def same_clips(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> bool:
    """Say whether two cards speak of the same pictures and sounds.

    The hash of a shard set also moves with the sync scores stored beside a clip, in their last
    digits; the hash of the clips alone decides where both cards have it.
    """
    for name in ("clips_sha256", "shards_sha256"):
        old, new = before.get(name), after.get(name)
        if old and new and old == new:
            return True
    return False


def task_of(card: Mapping[str, JSON]) -> AnyTask:
    """Make the task that a card describes.

    Raises
    ------
    DataError
        If it describes none that this avbench knows.
    """
    try:
        described: Mapping[str, JSON] = card["task"]
        kind = TASKS[described.get("name", "offset")]
        given: dict[str, Any] = {
            f.name: tuple(v) if isinstance(v := described[f.name], list) else v
            for f in fields(kind)
            if f.name in described
        }
        return kind(**given)
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(
            f"the run card describes no task that this avbench knows ({error}); measure again"
        ) from error


def metric_versions(task: AnyTask) -> dict[str, str]:
    """Return for every metric a hash of what it says about fixed answers to fixed questions.

    It changes when the metric starts to mean something else, and with nothing else: not with a
    new name inside the code, a comment or a package.
    """
    values: dict[str, list[float | None]] = {}
    for row in score(_battery(task.search, (task.lengths or (WHOLE,))[0]), task, reference="a"):
        known = None if row.value is None else round(row.value, _DIGITS)
        values.setdefault(row.metric, []).append(known)
    return {
        metric: hashlib.sha256(json.dumps(found).encode()).hexdigest()[:8]
        for metric, found in sorted(values.items())
    }


def _battery(search: int, length: int) -> pd.DataFrame:
    """Answers of two methods to questions about clips of unequal number: all errors, some none."""
    asked = [(clip, window) for clip in range(12) for window in range(4 + clip % 3)]
    clips, windows = np.array(asked).T
    order = np.arange(len(asked))
    truth = order * 4 % (2 * search + 1) - search
    parts: list[pd.DataFrame] = []
    for method, step in (("a", 7), ("b", 3)):
        drift = order * step % (2 * search + 1) - search
        said = np.clip(truth + np.where(order % 4 < 2, 0, drift), -search, search)
        part = pd.DataFrame({"method": method, "length": length, "window": windows})
        part["key"] = part["source"] = [f"clip-{clip:02d}" for clip in clips]
        part["repeat"], part["offset"] = order % 2, truth
        part["predicted"] = pd.array(said, dtype="Int64")
        part["confidence"] = pd.array((order * step % 17) / 17, dtype="Float64")
        silent = order % 11 == 5
        part.loc[silent, ["predicted", "confidence"]] = pd.NA
        part["failure"] = pd.array(["none" if x else None for x in silent], dtype="string")
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def result_version(card: Mapping[str, JSON], metric: str, metrics: Mapping[str, str]) -> str:
    """Return a hash of metric, rules and items: numbers may share a table where it is equal.

    Parameters
    ----------
    card
        Of the run that measured.
    metric
        Name of the metric.
    metrics
        Version of every metric, as from `metric_versions`.
    """
    task = dict(card.get("task") or {})
    parts = (metric, metrics.get(metric), task, card.get("questions_sha256"), _data(card))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _data(card: Mapping[str, JSON]) -> JSON:
    return card.get("clips_sha256") or card.get("shards_sha256")


def objections(
    run: Run, manifest: Mapping[str, JSON] | None, note: str = "", licence: str = ""
) -> list[str]:
    """Say in words what keeps a run from being admitted; empty where nothing does.

    Parameters
    ----------
    run
        As read from its folder.
    manifest
        The ``dataset.json`` of the shard set it was measured on; None where it is not at hand.
    note
        A sentence on why questions failed, if some did.
    licence
        Of a corpus that has no such file, and where it can be had.
    """
    card = run.block
    found = _objections_to_code(card)
    if not licence.strip():
        found += _objections_to_data(card, manifest)
    failed = {row.method for row in run.scores if row.n_failed}
    if failed and not note.strip():
        found.append(
            f"{', '.join(sorted(failed))} failed on some questions; say why in a sentence with "
            "--note (failures stay counted as wrong)"
        )
    asked = ["length", "repeat", "key", "window", "offset"]
    groups = [part[asked].reset_index(drop=True) for _, part in run.predictions.groupby("method")]
    if any(not group.equals(groups[0]) for group in groups[1:]):
        found.append("the methods were not asked the same questions; measure them in one run")
    return found + _objections_to_scores(run)


def changed_files(folder: Path, card: Mapping[str, JSON]) -> list[str]:
    """Say in words which files of a run are not those that it wrote."""
    found = []
    for name, sha256 in sorted((card.get("files") or {}).items()):
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            found.append(f"{name} is not the file that the run wrote; measure again")
    return found


def _objections_to_code(card: Mapping[str, JSON]) -> list[str]:
    found = []
    if card.get("commit") is None:
        found.append(
            "no commit is recorded, so nobody can get the code back; measure from a git checkout"
        )
    elif card.get("commit_changed"):
        found.append("it was measured with uncommitted changes; commit them and measure again")
    for name, facts in sorted(card.get("methods", {}).items()):
        if facts.get("options"):
            found.append(f"{name} was given options ({facts['options']}); measure it as it comes")
    if card.get("limit") is not None:
        found.append(f"it saw the first {card['limit']} clips only; measure without --limit")
    for name, facts in sorted((card.get("methods") or {}).items()):
        if facts.get("checkpoint") and not facts.get("checkpoint_sha256"):
            found.append(f"{name} has a checkpoint without a SHA-256; measure again")
    return found


def _objections_to_data(card: Mapping[str, JSON], manifest: Mapping[str, JSON] | None) -> list[str]:
    if manifest is None:
        return [
            "there is no dataset.json beside the results, so nobody can build the set; name it "
            "with --shards DIR, or say with --licence where the corpus can be had"
        ]
    joined = "".join(entry["sha256"] for entry in manifest.get("shards", []))
    if hashlib.sha256(joined.encode()).hexdigest() != card.get("shards_sha256"):
        return ["the shard set is not the one that was measured on: its hash differs"]
    return []


def _objections_to_scores(run: Run) -> list[str]:
    """Score the predictions again: the rows must follow from them, today, under these rules."""
    try:
        task = task_of(run.block)
    except DataError as error:
        return [str(error)]
    version = run.block["task"].get("version")
    if version != task.version:
        return [
            f"it was measured under {task.protocol} v{version}, and the rules are v{task.version} "
            "now; measure again"
        ]
    first = run.scores[0]
    again = score(
        run.predictions,
        task,
        reference=run.block.get("reference"),
        dataset=first.dataset,
        split=first.split,
    )
    now = {(row.method, row.window, row.metric): row.value for row in again}
    then = {(row.method, row.window, row.metric): row.value for row in run.scores}
    moved = [key for key in sorted({*now, *then}) if not _close(now.get(key), then.get(key))]
    if not moved:
        return []
    method, window, metric = moved[0]
    return [
        f"{len(moved)} of {len(then)} scores do not follow from the predictions with this avbench, "
        f"first {metric} of {method} at {window} frames ({then.get(moved[0])}, now "
        f"{now.get(moved[0])}); measure again"
    ]


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) < 0.1**_DIGITS
