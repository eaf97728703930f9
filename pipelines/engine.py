"""Run a function over many units, in this process or on Ray, and survive every one of them.

A unit that raises, hangs or kills its worker becomes an `Outcome` with a reason; only a fault of
the whole run (a missing dependency, a full disk) stops it. Results come as they are ready and in
no particular order, so nothing downstream may depend on the order.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from avbench.data import JSON
from avbench.errors import AvbenchError, UnknownName, UsageError

from .guard import Function, alarm, guarded

NAMES = ("ray", "local")
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
"""Environment in which numerical libraries keep to one thread."""


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

    def map(
        self, function: Function, jobs: Sequence[Job], then: Function | None = None
    ) -> Iterator[Outcome]:
        """Run ``function`` on the payload of every job, yielding outcomes as they complete.

        A worker for which no job is left runs ``then``, as for `begin`.
        """
        ...

    def begin(self, function: Function | None = None) -> None:
        """Start the workers before there are jobs, and let each run ``function`` by itself.

        Nobody waits for that, and nobody asks what became of it: it may load what jobs will need.
        """
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
    if settings.name == "local":
        return LocalEngine(settings)
    from .on_ray import RayEngine

    return RayEngine(settings, scratch)


def available_cpus() -> int:
    """Return how many CPUs this process may use: its affinity, and its share in a container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count or 1, max(1, round(int(quota) / int(period))))
    return count or 1


class FatalError(AvbenchError):
    """A fault of the whole run, carried over from a worker."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class LocalEngine:
    """Every unit in this process, one after the other: for a debugger and for small sets.

    A unit past its limit is interrupted between two Python instructions; one that never returns
    from native code, or that takes the process down, cannot be survived here.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._limit_s = settings.time_limit_s

    def __enter__(self) -> LocalEngine:
        os.environ.update(ONE_THREAD)
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def begin(self, function: Function | None = None) -> None:
        """Do nothing: this process is there, and waits for nobody."""

    def map(
        self, function: Function, jobs: Sequence[Job], then: Function | None = None
    ) -> Iterator[Outcome]:
        """Run the jobs in order."""
        for job in jobs:
            with alarm(self._limit_s):
                result = guarded(function, job.payload)
            yield outcome_of(job, result, attempts=1)


def outcome_of(job: Job, result: Mapping[str, JSON], attempts: int) -> Outcome:
    """Return what `pipelines.guard.guarded` made of a job.

    Raises
    ------
    FatalError
        If it was a fault of the whole run.
    """
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
