"""Score rows, the run they come from, and the files that hold them.

A run's folder holds ``predictions.parquet`` (one row per method and question, so that any other
metric can be computed later), ``scores.jsonl`` (tidy rows, one metric each, every row with the
block that says what it was measured with), ``run.json`` (the whole block) and the table.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

import avbench
from avbench.data import JSON
from avbench.errors import DataError
from avbench.methods import Method
from avbench.metrics import offset as metrics
from avbench.shards import write_atomic, write_json
from avbench.tasks import OffsetTask

PREDICTIONS, SCORES, RUN = "predictions.parquet", "scores.jsonl", "run.json"
_PACKAGES = ("avbench", "torch", "torchaudio", "numpy", "pandas")


@dataclass(frozen=True)
class Score:
    """One metric of one method at one window length."""

    method: str
    task: str
    task_version: int
    protocol: str
    dataset: str
    split: str | None
    window: int
    """Window length in frames."""
    metric: str
    """``accuracy@<tolerance>``, ``rer@<tolerance>``, or a shift error in frames."""
    value: float | None
    """Accuracies and error reductions as fractions; None where undefined."""
    std: float | None
    """Population standard deviation over the repeats; None where not defined."""
    repeats: int
    n: int
    """Questions, over all repeats."""
    n_failed: int
    """Questions without an answer; they count as wrong."""
    reference: str | None = None
    """The method that an error reduction is relative to."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the value; None where there is none."""
    interval: str | None = None
    """How the interval was made: ``wilson`` or ``cluster-bootstrap``."""
    clusters: int | None = None
    """Recordings that the questions came from."""
    standard_error: float | None = None
    """Over the recordings."""
    caution: str = ""
    """Why the interval is not to be relied on; empty where it is."""


def score(
    predictions: pd.DataFrame,
    task: OffsetTask,
    *,
    reference: str | None = None,
    dataset: str = "",
    split: str | None = None,
) -> list[Score]:
    """Turn predictions into score rows.

    Parameters
    ----------
    predictions
        One row per method and question: ``method``, ``length``, ``repeat``, ``offset`` and
        ``predicted`` (NA where there was no answer).
    task
        What was asked.
    reference
        Method that error reductions are relative to; none are computed where it is absent.
    dataset, split
        Copied into the rows.

    Returns
    -------
    list of Score
        Ordered by method, window length and metric.
    """
    rows: list[Score] = []
    for (method, _), part in predictions.groupby(["method", "length"], sort=True):
        truth, said = _offsets(part)
        common: dict[str, JSON] = {
            "method": str(method),
            "task": task.name,
            "task_version": task.version,
            "protocol": task.protocol,
            "dataset": dataset,
            "split": split,
            "window": int(part["length"].iloc[0]),
            "repeats": part["repeat"].nunique(),
            "n": len(part),
            "n_failed": int(np.isnan(said).sum()),
        }
        repeats = [
            metrics.evaluate(*_offsets(p), task.tolerances) for _, p in part.groupby("repeat")
        ]
        for metric, value in metrics.evaluate(truth, said, task.tolerances).items():
            std = float(np.std([found[metric] for found in repeats]))
            spread = std if metric.startswith("accuracy@") else None
            rows.append(Score(metric=metric, value=_known(value), std=spread, **common))
    return sorted(
        [*rows, *reductions(rows, reference)], key=lambda s: (s.method, s.window, s.metric)
    )


def _offsets(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    said = part["predicted"].to_numpy(dtype=np.float64, na_value=np.nan)
    return part["offset"].to_numpy(dtype=np.float64), said


def reductions(rows: Iterable[Score], reference: str | None) -> list[Score]:
    """Return the relative error reductions that follow from accuracies.

    Parameters
    ----------
    rows
        Scores of one task and data set.
    reference
        Method that the reductions are relative to; it gets none itself.

    Returns
    -------
    list of Score
        ``rer@<tolerance>`` for every accuracy whose reference was measured too.
    """
    accuracies = [row for row in rows if row.metric.startswith("accuracy@")]
    base = {(row.window, row.metric): row.value for row in accuracies if row.method == reference}
    found = []
    for row in accuracies:
        against = base.get((row.window, row.metric))
        if row.method == reference or against is None or row.value is None:
            continue
        fields = asdict(row) | {
            "metric": row.metric.replace("accuracy@", "rer@"),
            "value": _known(metrics.rer(row.value, against)),
            "std": None,
            "reference": reference,
        }
        found.append(Score(**fields))
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class Run:
    """The results of one run, as read back from its folder."""

    predictions: pd.DataFrame
    scores: list[Score]
    block: Mapping[str, JSON]
    """What the numbers were measured with."""
    comparisons: Mapping[str, JSON] | None = None
    """Paired comparisons of all methods; None where there are none."""


def write_run(
    directory: Path,
    predictions: pd.DataFrame,
    scores: Iterable[Score],
    block: Mapping[str, JSON],
) -> None:
    """Write the results of a run, ``run.json`` last.

    Parameters
    ----------
    directory
        Made if absent.
    predictions, scores
        As from `avbench.benchmark.evaluate`.
    block
        What the numbers were measured with; ``block["methods"][name]`` goes into the score rows
        of that method, everything else but the other methods into all of them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    predictions.to_parquet(buffer, index=False)
    write_atomic(directory / PREDICTIONS, buffer.getvalue())
    lines = [
        json.dumps(asdict(row) | {"run": _block_of(block, row.method)}, sort_keys=True)
        for row in scores
    ]
    write_atomic(directory / SCORES, "".join(f"{line}\n" for line in lines).encode())
    write_json(directory / RUN, dict(block))


def _block_of(block: Mapping[str, JSON], method: str) -> dict[str, JSON]:
    shared = {name: value for name, value in block.items() if name not in ("methods", "refusals")}
    return shared | dict(block.get("methods", {}).get(method, {}))


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
    except FileNotFoundError:
        raise DataError(
            f"{directory} holds no finished results; make some with "
            f"'avbench run --method all --shards DIR --out {directory}'"
        ) from None
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{directory} holds damaged results ({error}); run it again") from error
    return Run(predictions, scores, block)


def environment(threads: int | None = None) -> dict[str, JSON]:
    """Return the part of a run's block that is the same for every method.

    Parameters
    ----------
    threads
        Threads that the networks ran on, if set.

    Returns
    -------
    dict
        Versions of Python, avbench and the libraries that can move a number, the decoder, the
        commit of the checkout (None outside one) and whether it had changes, and the machine.
    """
    from avbench.media import decoder_versions

    commit, changed = _commit()
    return {
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in _PACKAGES},
        "decoder": decoder_versions(),
        "commit": commit,
        "commit_changed": changed,
        "machine": {
            "system": platform.system(),
            "arch": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "threads": threads,
    }


def identify(method: Method, checkpoint: Path | None = None) -> dict[str, JSON]:
    """Say which method this is, down to the hash of its parameters.

    Parameters
    ----------
    method
        Ready to predict.
    checkpoint
        The file that it was loaded from, where not the shipped one.

    Returns
    -------
    dict
        Its class, whether it is shown the truth, the identity of its embeddings, and where its
        parameters come from with their SHA-256 (None for a method without).
    """
    shipped = Path(avbench.__file__).parent / "checkpoints" / f"{method.name}.safetensors"
    source = checkpoint or (shipped if shipped.is_file() else None)
    return {
        "class": f"{type(method).__module__}:{type(method).__qualname__}",
        "sees_truth": bool(getattr(method, "sees_truth", False)),
        "extractor": getattr(method, "extractor", None),
        "checkpoint": source and ("given" if checkpoint else "shipped"),
        "checkpoint_sha256": source and hashlib.sha256(source.read_bytes()).hexdigest(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> tuple[str | None, bool | None]:
    checkout = Path(avbench.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return None, None
    try:
        head, status = (
            subprocess.run(
                ["git", "-C", str(checkout), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return head, bool(status)
