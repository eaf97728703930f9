"""Run one unit so that whatever it does becomes a record: raise, run over time, or hang."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from avbench.data import JSON
from avbench.errors import AvbenchError, MissingDependency, UnknownName, UsageError

Function = Callable[[Mapping[str, JSON]], JSON]
"""What runs on a unit: JSON in, JSON out; pictures stay on disk."""

OVERTIME = "did not finish within its time limit and was stopped"
STUCK_GRACE_S = 5.0
"""A unit that swallows the first alarm gets another so much later."""
_FATAL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def set_limit(seconds: float) -> None:
    """Called by a unit: give it this long from now, because it has seen how big it is."""
    if _rearm is not None:
        _rearm(seconds)


_rearm: Callable[[float], None] | None = None


@contextlib.contextmanager
def memory_cap(megabytes: int) -> Iterator[None]:
    """Let a unit have so much more memory than the process holds now; for Linux only.

    The kernel refuses what goes beyond, whoever asks for it: Python, NumPy, or the decoder. Other
    systems do not say how much a process holds, and there is no cap.

    Raises
    ------
    MemoryError
        If it is asked for.
    """
    held = _memory_held()
    if held is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = held + megabytes * 2**20
    bounds = [bound for bound in before if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([limit, *bounds]), before[1]))
    try:
        yield
    except MemoryError as error:
        # The frames that hold the memory are let go of before anything else is done.
        traceback.clear_frames(error.__traceback__)
        raise MemoryError(
            f"needed more than its {megabytes} MiB of memory and was stopped"
        ) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _memory_held() -> int | None:
    """Return the bytes of private memory of this process; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("VmData:")), "")
    return int(line.split()[1]) * 1024 if line else None


class _TimeUp(BaseException):
    """Raised in a unit that ran past its limit; no library's ``except Exception`` stops it."""


def run_on_worker(
    function: Function, payload: Mapping[str, JSON], limit_s: float, stack: str
) -> Mapping[str, JSON]:
    """Run one unit in a worker process that ends itself when the unit hangs.

    It works in the folder of ``stack``, wherever the worker was started. The watchdog is a native
    thread: it works where the unit holds the interpreter lock for ever, and it writes where the
    unit hung before it ends the process.
    """
    global _rearm
    os.chdir(Path(stack).parent)
    with Path(stack).open("w") as file:

        def arm(seconds: float) -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)

        _rearm = arm
        arm(limit_s)
        try:
            return guarded(function, payload)
        finally:
            faulthandler.cancel_dump_traceback_later()
            _rearm = None


@contextlib.contextmanager
def alarm(limit_s: float) -> Iterator[None]:
    """Raise `_TimeUp` in the main thread after a while; elsewhere there is no limit."""
    global _rearm
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        # Rung again, should the first have been swallowed on its way up.
        signal.setitimer(signal.ITIMER_REAL, STUCK_GRACE_S)
        raise _TimeUp

    def arm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.signal(signal.SIGALRM, ring)
    _rearm = arm
    arm(limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        _rearm = None


def guarded(function: Function, payload: Mapping[str, JSON]) -> dict[str, JSON]:
    """Run one unit with one thread and turn whatever it raises into a record."""
    _single_thread()
    try:
        return {"status": "done", "value": function(payload)}
    except (MissingDependency, UsageError, UnknownName) as error:
        return {"status": "fatal", "reason": str(error), "exit_code": error.exit_code}
    except AvbenchError as error:
        return {"status": "rejected", "reason": _one_line(error)}
    except _TimeUp:
        return {
            "status": "failed",
            "reason": OVERTIME,
            "trace": traceback.format_exc(),
        }
    except OSError as error:
        if error.errno in _FATAL_ERRNO:
            reason = f"cannot write results ({error.strerror}); free some space and run again"
            return {"status": "fatal", "reason": reason, "exit_code": 1}
        return _failed(error)
    except MemoryError as error:
        reason = _one_line(error) or "ran out of memory"
        return {"status": "failed", "reason": reason, "trace": traceback.format_exc()}
    except (Exception, SystemExit) as error:
        return _failed(error)


def _failed(error: BaseException) -> dict[str, JSON]:
    reason = f"{type(error).__name__}: {_one_line(error)}".rstrip(": ")
    return {"status": "failed", "reason": reason, "trace": traceback.format_exc()}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _single_thread() -> None:
    """Keep one unit to one thread: units are the parallelism, and sums keep their order."""
    import cv2

    cv2.setNumThreads(1)
    # Only where a unit has imported it already; the environment sees to the rest.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


class Interrupts:
    """Hold Ctrl-C back until it is asked for.

    Python raises KeyboardInterrupt wherever the main thread happens to be; inside a callback of a
    compiled library it is printed and lost, and the run would go on. Released by `release`.
    """

    def __init__(self) -> None:
        self._came = False
        self._before: object = None
        self._held = threading.current_thread() is threading.main_thread()
        if self._held:
            self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._came:
            raise KeyboardInterrupt

    def release(self) -> None:
        """Give Ctrl-C its former meaning back."""
        if self._held:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]
            self._held = False
