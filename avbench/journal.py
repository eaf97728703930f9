"""Answers kept as they come, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType

from avbench.data import JSON


class Journal(MutableMapping[str, JSON]):
    """A mapping of clip key to record, on disk as one line each; use it as a context manager.

    The first line is the fingerprint of the work. A file with another one belongs to other work
    and is begun anew; a last line that was cut short is dropped.

    Parameters
    ----------
    path
        The file; made if absent.
    fingerprint
        Everything that the records depend on, as one string.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._records: dict[str, JSON] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f"{json.dumps({'fingerprint': fingerprint})}\n".encode()
        found = path.read_bytes() if path.is_file() else b""
        kept = self._recover(found) if found.startswith(head) else 0
        self._file = path.open("r+b" if kept else "wb")
        self._file.seek(kept)
        self._file.truncate()
        if not kept:
            self._write(head)

    def _recover(self, found: bytes) -> int:
        """Take over the whole lines of an earlier run; return how many bytes they fill."""
        kept = 0
        for line in found.splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            if kept:
                self._records[entry[0]] = entry[1]
            kept += len(line)
        return kept

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def __getitem__(self, key: str) -> JSON:
        return self._records[key]

    def __setitem__(self, key: str, record: JSON) -> None:
        self._records[key] = record
        self._write(f"{json.dumps([key, record], allow_nan=False)}\n".encode())

    def __delitem__(self, key: str) -> None:
        raise TypeError("a journal only grows")

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def discard(self) -> None:
        """Remove the file, once what it was for is done."""
        self._file.close()
        self.path.unlink(missing_ok=True)
