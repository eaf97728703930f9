"""The exceptions that avbench raises for things a user can mend.

The command line prints the message of an `AvbenchError` as one line and exits with its
``exit_code``; any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AvbenchError(Exception):
    """Something a user can mend; the message names the thing, the problem and the remedy."""

    exit_code = 1


class UsageError(AvbenchError, ValueError):
    """The request itself is wrong: contradictory options, or a value out of range."""

    exit_code = 2


class DataError(AvbenchError, ValueError):
    """A file or record is damaged, empty or of the wrong kind."""

    exit_code = 3


class MissingDependency(AvbenchError, ImportError):
    """An optional package is needed for this request and is not installed."""

    exit_code = 4


class UnknownName(AvbenchError, LookupError):
    """A name is not among those available; the message lists them and the closest match.

    >>> print(UnknownName("method", "sink-cls", ["constant", "sync-cls"]))
    Unknown method 'sink-cls'. Did you mean 'sync-cls'? Available: constant, sync-cls.
    """

    exit_code = 2

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        names = sorted(available)
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        listing = ", ".join(names) if names else "none"
        super().__init__(f"Unknown {kind} '{name}'.{hint} Available: {listing}.")
