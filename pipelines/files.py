"""Files by what they hold: hashes, remembered by size and time of change, and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from avbench.data import JSON
from avbench.errors import DataError
from avbench.progress import track
from avbench.shards import to_json, write_atomic


class Hashes:
    """SHA-256 of files, remembered by path, size and time of change.

    Parameters
    ----------
    cache
        Where they are remembered; nowhere where None.
    meanwhile
        Called while files are being hashed, where there are some whose hash is not remembered.
    """

    def __init__(
        self, cache: Path | None = None, meanwhile: Callable[[], None] | None = None
    ) -> None:
        self._path, self._meanwhile = cache, meanwhile
        self._known: dict[str, str] = (read_json(cache) if cache else None) or {}

    def __call__(self, paths: Sequence[Path]) -> list[str]:
        """Return the hash of each file, empty where it cannot be read."""
        # Hashing lets go of the interpreter lock, and a network disk serves several readers.
        new = self._meanwhile and any(self._mark(path) not in self._known for path in paths)
        with ThreadPoolExecutor(4) as pool:
            try:
                running = pool.map(self._one, paths)
                if new and self._meanwhile:
                    self._meanwhile()
                hashes = list(track(running, "hash", len(paths), "file"))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if self._path is not None:
            write_atomic(self._path, json.dumps(self._known, sort_keys=True).encode())
        return hashes

    def _mark(self, path: Path) -> str:
        return "|".join(map(str, [clean(str(path)), *mark_of(path)]))

    def _one(self, path: Path) -> str:
        try:
            mark = self._mark(path)
            if mark not in self._known:
                self._known[mark] = hash_file(path)
            return self._known[mark]
        except OSError:
            return ""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def mark_of(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file, which differ when its bytes do; -1 for none."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def read_json(path: Path) -> dict[str, JSON] | None:
    """Return the JSON object in a file, or None where there is no such file.

    Raises
    ------
    DataError
        If it is damaged, which no interrupted run can cause: files appear when complete.
    """
    try:
        value: dict[str, JSON] = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run again") from error
    return value


def clean(value: JSON) -> JSON:
    r"""Return JSON whose texts any table can hold: bytes of names that are no UTF-8 are escaped.

    >>> clean({"path": "caf\udce9.mp4", "n": 1})
    {'path': 'caf\\xe9.mp4', 'n': 1}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {clean(name): clean(entry) for name, entry in value.items()}
    if isinstance(value, list):
        # Most of what is stored are long lists of numbers.
        return value if _NUMBERS.issuperset(map(type, value)) else [clean(each) for each in value]
    return value


_NUMBERS = frozenset({int, float, bool, type(None)})


def digest_of(*parts: JSON) -> str:
    """Return a short digest of JSON values: equal values give equal digests."""
    return hashlib.sha256(to_json(list(parts)).encode()).hexdigest()[:20]
