"""Keep native libraries from talking over our own words."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

_LOCK = threading.Lock()


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back warnings, and what native code writes to standard error, unless something fails.

    One thread at a time: standard error belongs to the process.
    """
    with _LOCK, TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
