"""The files of a run: what was said, what it scores, and what it was measured with.

A run's folder holds ``predictions.parquet`` (one row per method and question, so that any other
metric can be computed later), ``scores.jsonl`` (tidy rows, one metric each, with the id of the
run), ``comparisons.json`` (all methods in pairs, with shared ranks), ``run.json`` (the run card)
and the table. The same questions and answers give the same bytes but for the run card, whose
``usage`` and ``seconds`` are times and memory.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from avbench.alignment_task import AlignmentTask
from avbench.comparisons import compare
from avbench.data import JSON
from avbench.errors import DataError
from avbench.runcard import FORMAT, environment, identify, run_id, sanitised, usage
from avbench.scoring import Score, reductions, score
from avbench.shards import to_json, write_atomic, write_json

__all__ = [
    "COMPARISONS",
    "PREDICTIONS",
    "RUN",
    "SCORES",
    "Run",
    "Score",
    "environment",
    "identify",
    "read_run",
    "reductions",
    "score",
    "write_run",
]

PREDICTIONS, SCORES, RUN = "predictions.parquet", "scores.jsonl", "run.json"
COMPARISONS = "comparisons.json"


@dataclass(frozen=True, eq=False)
class Run:
    """The results of one run, as read back from its folder."""

    predictions: pd.DataFrame
    scores: list[Score]
    block: Mapping[str, JSON]
    """What the numbers were measured with."""
    comparisons: Mapping[str, JSON] | None = None
    """As from `avbench.comparisons.compare`; None in folders of early versions."""


def write_run(
    directory: Path,
    predictions: pd.DataFrame,
    scores: Iterable[Score],
    block: Mapping[str, JSON],
    *,
    started: float | None = None,
) -> None:
    """Write the results of a run, ``run.json`` last.

    Parameters
    ----------
    directory
        Made if absent.
    predictions, scores
        As from `avbench.benchmark.evaluate`.
    block
        What the numbers were measured with, as from `avbench.benchmark.Outcome.describe`.
        Absolute paths in it, and in the messages of failures, are cut down to their last name.
    started
        ``time.perf_counter()`` when the run began, for the run card.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # An old card beside new scores would name the wrong run.
    (directory / RUN).unlink(missing_ok=True)
    shown, run = sanitised(dict(block)), run_id(block)
    rows = [json.dumps(asdict(row) | {"run": run}, sort_keys=True) for row in scores]
    files = {
        PREDICTIONS: _parquet(predictions),
        SCORES: "".join(f"{row}\n" for row in rows).encode(),
        COMPARISONS: to_json(_comparisons(predictions, block)).encode(),
    }
    for name, content in files.items():
        write_atomic(directory / name, content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    card = {"format": FORMAT, "run": run, "usage": usage(started), "files": hashes}
    write_json(directory / RUN, shown | card)


def _parquet(predictions: pd.DataFrame) -> bytes:
    if "failure" in predictions:
        said = predictions["failure"]
        names = {text: sanitised(str(text)) for text in said.dropna().unique()}
        predictions = predictions.assign(failure=said.replace(names))
    buffer = io.BytesIO()
    predictions.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _comparisons(predictions: pd.DataFrame, block: Mapping[str, JSON]) -> dict[str, JSON]:
    task, methods = block["task"], block.get("methods", {})
    return compare(
        predictions,
        task["tolerances"],
        macro=task.get("rules", {}).get("reduction") == "macro",
        errors=task.get("name") == AlignmentTask.name,
        unranked=[name for name, facts in methods.items() if facts.get("sees_truth")],
    )


def read_run(directory: Path) -> Run:
    """Read back the results of a run.

    Raises
    ------
    DataError
        If the folder holds no finished run, or a damaged one.
    """
    names = {field for field in Score.__dataclass_fields__}
    try:
        block = json.loads((directory / RUN).read_text("utf-8"))
        rows = [json.loads(x) for x in (directory / SCORES).read_text("utf-8").splitlines()]
        scores = [Score(**{k: v for k, v in row.items() if k in names}) for row in rows]
        predictions = pd.read_parquet(directory / PREDICTIONS)
        file = directory / COMPARISONS
        comparisons = json.loads(file.read_text("utf-8")) if file.is_file() else None
    except FileNotFoundError:
        raise DataError(
            f"{directory} holds no finished results; make some with "
            f"'avbench run --method all --shards DIR --out {directory}'"
        ) from None
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{directory} holds damaged results ({error}); run it again") from error
    return Run(predictions, scores, block, comparisons)
