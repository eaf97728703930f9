"""What a number was measured with: software, data, parameters, machine and cost.

The card of a run is one JSON object. Its **identity** is what decides the numbers; what only
describes the circumstances (the machine, how long it took, how much memory) and what came out
(failures, refusals) is left out of it, so that a second run of the same thing has the same id.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

import avbench
from avbench.data import JSON
from avbench.methods import Method

FORMAT = 2
"""Of the files of a run: 2 since score rows name their run instead of repeating it."""
_PACKAGES = ("avbench", "torch", "torchaudio", "numpy", "scipy", "pandas", "pyarrow")
_CIRCUMSTANCES = ("format", "run", "usage", "files", "machine", "threads", "refusals")
_OF_A_METHOD = ("seconds", "failures")
_PATH = re.compile(
    r"(?<=['\"])(?:[A-Za-z]:)?[/\\][^'\"\n]*[/\\]"  # in quotes, where it may hold spaces
    r"|(?<![\w:/.~])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\"]+[/\\])+"
)


def identity(block: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the part of a run's block that decides its numbers."""
    methods = {
        name: {k: v for k, v in facts.items() if k not in _OF_A_METHOD}
        for name, facts in block.get("methods", {}).items()
    }
    rest = {k: v for k, v in block.items() if k not in _CIRCUMSTANCES}
    return rest | {"methods": methods}


def run_id(block: Mapping[str, JSON]) -> str:
    """Return the id of a run: 12 hex digits of the hash of its identity."""
    text = json.dumps(sanitised(identity(block)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def usage(started: float | None = None) -> dict[str, JSON]:
    """Return what this process has used.

    Parameters
    ----------
    started
        ``time.perf_counter()`` when the work began.

    Returns
    -------
    dict
        ``wall_seconds`` (None where the start is unknown), ``cpu_seconds`` of all threads, and
        ``peak_memory_mib`` (None where the system does not tell). A run that was interrupted
        counts from where it went on.
    """
    return {
        "wall_seconds": None if started is None else round(perf_counter() - started, 3),
        "cpu_seconds": round(process_time(), 3),
        "peak_memory_mib": _peak_memory(),
    }


def _peak_memory() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def sanitised(value: JSON) -> JSON:
    """Return JSON in which absolute paths are cut down to their last name.

    >>> sanitised({"failure": "cannot read '/home/ann/set/a.tar': truncated"})
    {'failure': "cannot read 'a.tar': truncated"}
    """
    if isinstance(value, dict):
        return {sanitised(name): sanitised(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [sanitised(inner) for inner in value]
    if not isinstance(value, str):
        return value
    for folder in sorted({str(Path.cwd()), str(Path.home())}, key=len, reverse=True):
        # These may hold spaces, which the pattern takes for the end of a path.
        if len(Path(folder).parts) > 1:
            value = value.replace(f"{folder}{os.sep}", f"{os.sep}-{os.sep}")
    return _PATH.sub("", value)


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
            "simd": list(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),
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
        parameters come from with their SHA-256 (None for a method without) and, for those shipped,
        what they were trained on, as its class says (``TRAINED_ON``).
    """
    shipped = Path(avbench.__file__).parent / "checkpoints" / f"{method.name}.safetensors"
    source = checkpoint or (shipped if shipped.is_file() else None)
    return {
        "class": f"{type(method).__module__}:{type(method).__qualname__}",
        "sees_truth": bool(getattr(method, "sees_truth", False)),
        "extractor": getattr(method, "extractor", None),
        "checkpoint": source and ("given" if checkpoint else "shipped"),
        "checkpoint_sha256": source and hashlib.sha256(source.read_bytes()).hexdigest(),
        "trained_on": getattr(method, "TRAINED_ON", None) if source and not checkpoint else None,
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
