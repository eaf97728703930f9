"""Run a function over many units, in this process or on Ray, and survive every one of them.

A unit that raises, hangs or kills its worker becomes an `Outcome` with a reason; only a fault of
the whole run (a missing dependency, a full disk) stops it. Results come as they are ready and in
no particular order, so nothing downstream may depend on the order. This is the only file that
imports ray.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from avbench.data import JSON
from avbench.errors import AvbenchError, MissingDependency, UnknownName, UsageError

Function = Callable[[Mapping[str, JSON]], JSON]
"""What runs on a unit: JSON in, JSON out; pictures stay on disk."""

NAMES = ("ray", "local")
MAX_ATTEMPTS = 2
"""A unit whose worker died is tried once more: the worker may have died of a neighbour."""
STUCK_GRACE_S = 5.0
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
_FATAL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Job:
    """One unit to run."""

    name: str
    """For messages and for finding the unit again."""
    payload: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    status: Literal["done", "rejected", "failed"]
    """rejected: the function raised an `AvbenchError`. failed: anything else went wrong."""
    value: JSON = None
    reason: str = ""
    attempts: int = 1
    trace: str = ""
    """The stack where it failed or hung, for a person to read."""


@dataclass(frozen=True)
class EngineSettings:
    """Where and how units run; nothing here can change a result."""

    name: str = "ray"
    workers: int | None = None
    """Units at a time; one less than there are CPUs where None."""
    address: str = "local"
    """``local`` starts a private Ray and stops it; else the address of a running cluster."""
    time_limit_s: float = 600.0
    """A unit that takes longer is given up; the unit itself may ask for more by `set_limit`."""
    object_store_mb: int = 256

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise UnknownName("engine", self.name, NAMES)
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"got {self.workers} workers, expected at least 1")
        if self.time_limit_s <= 0:
            raise UsageError(f"got a time limit of {self.time_limit_s} s, expected more than 0")


class Engine(Protocol):
    """Something that runs jobs; use it as a context manager."""

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run ``function`` on the payload of every job, yielding outcomes as they complete."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *error: object) -> None: ...


def open_engine(settings: EngineSettings, scratch: Path) -> Engine:
    """Return the engine that the settings name.

    Parameters
    ----------
    settings
        Which engine, and its bounds.
    scratch
        A folder that every worker can write to, for the stacks of units that hang.
    """
    scratch = scratch.absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    return (RayEngine if settings.name == "ray" else LocalEngine)(settings, scratch)


def available_cpus() -> int:
    """Return how many CPUs this process may use: its affinity, and its share in a container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count or 1, max(1, round(int(quota) / int(period))))
    return count or 1


def set_limit(seconds: float) -> None:
    """Called by a unit: give it this long from now, because it has seen how big it is."""
    if _rearm is not None:
        _rearm(seconds)


_rearm: Callable[[float], None] | None = None


class FatalError(AvbenchError):
    """A fault of the whole run, carried over from a worker."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _TimeUp(BaseException):
    """Raised in a unit that ran past its limit; no library's ``except Exception`` stops it."""


class LocalEngine:
    """Every unit in this process, one after the other: for a debugger and for small sets.

    A unit past its limit is interrupted between two Python instructions; one that never returns
    from native code, or that takes the process down, cannot be survived here.
    """

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        self._limit_s = settings.time_limit_s

    def __enter__(self) -> LocalEngine:
        os.environ.update(_ONE_THREAD)
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run the jobs in order."""
        for job in jobs:
            with _alarm(self._limit_s):
                result = _guarded(function, job.payload)
            yield _outcome(job, result, attempts=1)


class RayEngine:
    """Units as Ray tasks, at most ``workers`` in flight; Ray starts with the first job.

    A private Ray ends with this engine. Where this process is killed outright, the servers and
    workers end at once, and two idle helpers of Ray's own within about a minute.
    """

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        self._folders: list[Path] = []
        self._workers = settings.workers or max(1, available_cpus() - 1)
        self._ray: Any = None

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._ray is not None:
            self._ray.shutdown()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def map(self, function: Function, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run the jobs, yielding outcomes as they complete."""
        if not jobs:
            return
        ray = self._start()
        remote = ray.remote(_on_worker).options(num_cpus=1, max_retries=0)
        waiting = [(job, 1) for job in reversed(jobs)]
        running: dict[Any, tuple[Job, int, Path]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self._workers:
                    job, attempt = waiting.pop()
                    stack = self._scratch / f"{uuid.uuid4().hex}.stack"
                    ref = remote.remote(
                        function, dict(job.payload), self._settings.time_limit_s, str(stack)
                    )
                    running[ref] = (job, attempt, stack)
                ready, _ = ray.wait(list(running), num_returns=1, timeout=None)
                for ref in ready:
                    job, attempt, stack = running.pop(ref)
                    outcome = self._collect(ref, job, attempt, stack)
                    if outcome is None:
                        waiting.append((job, attempt + 1))
                    else:
                        yield outcome
        finally:
            for ref, (_, _, stack) in running.items():
                with contextlib.suppress(Exception):
                    ray.cancel(ref, force=True)
                stack.unlink(missing_ok=True)

    def _collect(self, ref: Any, job: Job, attempt: int, stack: Path) -> Outcome | None:
        """Return what became of a task, or None where it deserves another attempt."""
        from ray.exceptions import RayError, RayTaskError

        try:
            return _outcome(job, self._ray.get(ref), attempt)
        except RayTaskError as error:
            cause = str(error).strip().splitlines()[-1]
            return Outcome(job, "failed", None, f"could not run on a worker: {cause}", attempt)
        except RayError as error:
            where = stack.read_text("utf-8") if stack.exists() else ""
            if where:
                reason = "did not finish within its time limit and was stopped"
                return Outcome(job, "failed", None, reason, attempt, where)
            if attempt < MAX_ATTEMPTS:
                return None
            reason = f"its worker died {attempt} times ({type(error).__name__})"
            return Outcome(job, "failed", None, reason, attempt, str(error))
        finally:
            stack.unlink(missing_ok=True)

    def _start(self) -> Any:
        """Start or join Ray once; quiet, bounded, and blind to the caller's folder."""
        if self._ray is not None:
            return self._ray
        for name, value in _RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        # An empty working directory keeps a `pipelines` or `baselines` folder in the caller's
        # directory from hiding the installed packages on the workers.
        empty = Path(tempfile.mkdtemp(prefix="avbench-empty-"))
        self._folders.append(empty)
        options: dict[str, Any] = {
            "address": self._settings.address,
            "runtime_env": {"working_dir": str(empty), "env_vars": _ONE_THREAD},
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        if self._settings.address == "local":
            # The default place may be on a small disk, and its sockets need a short path.
            session = Path(tempfile.mkdtemp(prefix="avb-"))
            self._folders.append(session)
            options |= {
                "num_cpus": self._workers,
                "num_gpus": 0,
                "object_store_memory": self._settings.object_store_mb * 2**20,
                "include_dashboard": False,
                "_temp_dir": str(session),
            }
        try:
            ray.init(**options)
        except Exception as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise AvbenchError(
                f"Ray at '{self._settings.address}' did not start ({cause}); use --engine local, "
                "or check --ray-address"
            ) from error
        self._ray = ray
        return ray


_RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A worker that dies is told about in the ledger; Ray would print a paragraph for each.
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_enable_metrics_collection": "0",
}
"""Read by Ray when it is imported and when it starts."""


def _outcome(job: Job, result: Mapping[str, JSON], attempts: int) -> Outcome:
    if result["status"] == "fatal":
        raise FatalError(str(result["reason"]), int(result["exit_code"]))
    return Outcome(
        job,
        result["status"],
        result.get("value"),
        result.get("reason", ""),
        attempts,
        result.get("trace", ""),
    )


def _on_worker(
    function: Function, payload: Mapping[str, JSON], limit_s: float, stack: str
) -> Mapping[str, JSON]:
    """Run one unit in a worker process that ends itself when the unit hangs.

    The watchdog is a native thread: it works where the unit holds the interpreter lock for ever,
    and it writes where the unit hung before it ends the process.
    """
    global _rearm
    with Path(stack).open("w") as file:

        def arm(seconds: float) -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)

        _rearm = arm
        arm(limit_s)
        try:
            return _guarded(function, payload)
        finally:
            faulthandler.cancel_dump_traceback_later()
            _rearm = None


@contextlib.contextmanager
def _alarm(limit_s: float) -> Iterator[None]:
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


def _guarded(function: Function, payload: Mapping[str, JSON]) -> dict[str, JSON]:
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
            "reason": "did not finish within its time limit and was stopped",
            "trace": traceback.format_exc(),
        }
    except OSError as error:
        if error.errno in _FATAL_ERRNO:
            reason = f"cannot write results ({error.strerror}); free some space and run again"
            return {"status": "fatal", "reason": reason, "exit_code": 1}
        return _failed(error)
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
