"""Results of somebody else, packed for a leaderboard: checked, complete, without a network."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avbench import methods
from avbench.data import JSON
from avbench.errors import AvbenchError
from avbench.leaderboard import store
from avbench.leaderboard.card import changed_files, objections
from avbench.results import PREDICTIONS, Run
from avbench.shards import to_json, write_atomic

METHODS = "methods.json"
_OLDEST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Submission:
    """What is packed, and what still keeps it from being admitted."""

    measured: store.Measured
    methods: Mapping[str, JSON]
    """Name -> class, BibTeX, package and version, checkpoint hash and origin."""
    predictions: bytes
    missing: tuple[str, ...]
    """In words; empty where the submission is complete."""


def prepare(
    results: Path,
    run: Run,
    manifest: Mapping[str, JSON] | None,
    *,
    note: str = "",
    licence: str = "",
    origins: Mapping[str, str] | None = None,
) -> Submission:
    """Collect everything a leaderboard asks for, and say what is missing.

    Parameters
    ----------
    results
        Folder of the run.
    run
        As read from it.
    manifest
        ``dataset.json`` of the shard set; None where it is not at hand.
    note, licence
        As in `avbench.leaderboard.card.objections`; both go into the card.
    origins
        Method -> where its checkpoint comes from: data, command, seed.
    """
    given = dict(origins or {})
    found = store.read(results)
    said = {"note": note, "licence": licence}
    card = {**found.card, **{name: text for name, text in said.items() if text}}
    facts = {name: _facts(name, said, given) for name, said in card["methods"].items()}
    lacking = objections(run, manifest, note, licence) + changed_files(results, run.block)
    for name, known in facts.items():
        lacking += _objections_to(name, known)
    lacking += [
        f"--origin names {name}, which was not measured" for name in sorted(set(given) - set(facts))
    ]
    return Submission(
        measured=store.Measured(card, found.rows, found.table, found.comparisons, manifest),
        methods=facts,
        predictions=(results / PREDICTIONS).read_bytes(),
        missing=tuple(lacking),
    )


def _facts(name: str, said: Mapping[str, JSON], origins: Mapping[str, str]) -> dict[str, JSON]:
    shared = ("class", "sees_truth", "extractor", "checkpoint", "checkpoint_sha256", "options")
    facts = {key: said[key] for key in shared if key in said}
    facts["origin"] = origins.get(name)
    try:
        method = methods.load_class(name)
    except AvbenchError as error:
        return facts | {"bibtex": None, "installed": str(error)}
    return facts | {
        "bibtex": getattr(method, "BIBTEX", None),
        "documentation": (method.__doc__ or "").strip().partition("\n")[0],
        "installed": f"{method.__module__}:{method.__qualname__}",
    }


def _objections_to(name: str, facts: Mapping[str, JSON]) -> list[str]:
    found = []
    if facts["installed"] != facts["class"]:
        found.append(
            f"{name}: it was measured with {facts['class']}, and here it is {facts['installed']}; "
            "submit from the environment that measured"
        )
    if facts["bibtex"] is None:
        found.append(f"{name}: its class has no BIBTEX; give it one, empty if it is not published")
    if facts.get("checkpoint") == "given" and not facts["origin"]:
        found.append(
            f"{name}: its checkpoint is your own; say where it comes from (data, command, seed) "
            f"with --origin '{name}=TEXT'"
        )
    return found


def pack(submission: Submission, out: Path) -> list[str]:
    """Write a submission as a folder, or as a zip where the name ends so; return file names.

    The same submission gives the same bytes.
    """
    files = {
        **store.contents(submission.measured),
        PREDICTIONS: submission.predictions,
        METHODS: to_json(dict(submission.methods)).encode(),
    }
    if out.suffix == ".zip":
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, _zipped(files, out.stem))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomic(out / name, data)
    return sorted(files)


def _zipped(files: Mapping[str, bytes], folder: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{folder}/{name}", _OLDEST)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
