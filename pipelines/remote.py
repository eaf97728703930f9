"""Sources and outputs that lie elsewhere: any address that fsspec knows (s3://, gs://, memory://).

A remote source is fetched once into a local folder, read-only, and from there treated like any
other; what it is called, and so what is made of it, does not depend on where it lay. A remote
output is built locally, where an interrupted run goes on, and sent when it is complete: every file
under another name first, then renamed, the manifest last. A reader sees the set it knew or the new
one, or none, never half of one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from avbench import progress
from avbench.cache import default_directory
from avbench.errors import DataError, UsageError
from avbench.shards import MANIFEST, write_json

from .files import read_json
from .units import NOT_VIDEO

KEPT_BESIDE = ".truth.json"
"""Files that are no videos and are fetched all the same: what is known of the video beside."""


def is_url(place: Path | str) -> bool:
    """Say whether a place is an address rather than a path.

    >>> is_url("s3://bucket/films"), is_url("films/a.mp4")
    (True, False)
    """
    return "://" in str(place)


def local_place(place: Path | str) -> Path:
    """Return where an output is built: the path itself, or a folder of its own for an address."""
    if not is_url(place):
        return Path(place)
    name = hashlib.sha256(str(place).rstrip("/").encode()).hexdigest()[:16]
    return default_directory().parent / "builds" / name


def local_sources(sources: Sequence[Path | str], scratch: Path) -> list[Path]:
    """Return sources as paths, fetching those that are addresses into ``scratch``."""
    return [fetch(str(s), scratch) if is_url(s) else Path(s) for s in sources]


def fetch(url: str, scratch: Path) -> Path:
    """Copy a file or folder from elsewhere, as far as it is not there yet or has changed.

    Files that are no videos by their name become empty files, so that they are counted as passed
    over; they are not fetched.

    Raises
    ------
    UsageError
        If the address cannot be read or holds nothing.
    """
    files, root = _open(url)
    try:
        single = files.isfile(root)
        found = [root] if single else sorted(files.find(root))
    except Exception as error:
        raise UsageError(f"source {url} cannot be read ({_said(error)})") from error
    if not found:
        raise UsageError(f"source {url} does not exist, or holds no file")
    name = PurePosixPath(root.rstrip("/")).name or "source"
    place = scratch / hashlib.sha256(url.encode()).hexdigest()[:12]
    base = place if single else place / name
    known = read_json(place / "fetched.json") or {}
    fetched: dict[str, str] = {}
    for path in progress.track(found, f"fetch {name}", len(found), "file"):
        relative = name if single else PurePosixPath(path).relative_to(root).as_posix()
        target = base / relative
        mark = fetched[relative] = str(files.ukey(path))
        if known.get(relative) != mark or not target.is_file():
            _copy(files, path, target, url)
    for relative in set(known) - set(fetched):
        (base / relative).unlink(missing_ok=True)
    write_json(place / "fetched.json", fetched)
    return base / name if single else base


def _copy(files: Any, path: str, target: Path, url: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".fetching")
    wanted = target.suffix.lower() not in NOT_VIDEO or target.name.endswith(KEPT_BESIDE)
    try:
        part.unlink(missing_ok=True)
        if wanted:
            files.get_file(path, str(part))
        else:
            part.touch()
    except Exception as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{path} of {url} cannot be fetched ({_said(error)})") from error
    part.chmod(0o444)
    part.replace(target)


def send(place: Path, url: str) -> int:
    """Copy a finished set to an address, and return how many files were sent.

    What lies there already with the same hash in its manifest is not sent again; shards of an
    earlier set that are no longer part of it are removed.

    Raises
    ------
    UsageError
        If the address cannot be written to.
    """
    files, root = _open(url)
    try:
        files.makedirs(root, exist_ok=True)
        before = _manifest(files, root)
        now = read_json(place / MANIFEST) or {}
        if before and before == now:
            return 0
        if before:
            files.rm_file(f"{root}/{MANIFEST}")
        for stale in sorted(_members(before) - _members(now)):
            if files.exists(f"{root}/{stale}"):
                files.rm_file(f"{root}/{stale}")
        names = [path.name for path in sorted(place.iterdir()) if path.is_file()]
        names.sort(key=lambda name: name == MANIFEST)
        for name in progress.track(names, "send", len(names), "file"):
            part = f"{root}/{name}.part"
            files.put_file(str(place / name), part)
            files.mv(part, f"{root}/{name}")
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"cannot write to {url} ({_said(error)}); the set is complete in {place}, run again to "
            "send it"
        ) from error
    return len(names)


def _manifest(files: Any, root: str) -> dict[str, Any]:
    path = f"{root}/{MANIFEST}"
    if not files.exists(path):
        return {}
    try:
        found: dict[str, Any] = json.loads(files.cat_file(path))
    except ValueError:
        return {}
    return found


def _members(manifest: dict[str, Any]) -> set[str]:
    """Return the files of the shards that a manifest lists."""
    stems = [str(entry["name"]).rpartition(".")[0] for entry in manifest.get("shards", ())]
    return {f"{stem}.{ending}" for stem in stems for ending in ("tar", "parquet", "json")}


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError, OSError) as error:
        raise UsageError(f"address {url} cannot be opened: {_said(error)}") from error
    return files, str(root).rstrip("/")


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
