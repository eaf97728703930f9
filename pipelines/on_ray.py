"""Units as tasks of Ray: a private one that ends with the run, or a running cluster.

This is the only file that imports ray.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avbench.errors import AvbenchError

from .engine import ONE_THREAD, EngineSettings, Job, Outcome, available_cpus, outcome_of
from .guard import OVERTIME, Function, Interrupts, run_on_worker

MAX_ATTEMPTS = 2
"""A unit whose worker died is tried once more: the worker may have died of a neighbour."""
KNOCK_S = 10.0
"""How long a cluster may take to answer at all, in seconds."""
POLL_S = 0.5
"""How long Ctrl-C may go unnoticed, in seconds."""


class RayEngine:
    """Units as Ray tasks, at most ``workers`` at a time; Ray starts with the first job.

    A private Ray has as many slots as there are workers, and a task for each waits in its queue, so
    that no worker waits for this process. It ends with this engine. Where this process is killed
    outright, the servers and workers end at once, and two idle helpers of Ray's own within about a
    minute.
    """

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        self._session: Path | None = None
        self._private = settings.address == "local"
        self._workers = settings.workers or max(1, available_cpus() - 1)
        self._ray: Any = None

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._ray is not None:
            self._ray.shutdown()
        if self._session is not None:
            shutil.rmtree(self._session, ignore_errors=True)
        self._warm.unlink(missing_ok=True)

    @property
    def _warm(self) -> Path:
        """Stack of a worker that hangs before it has a job; it then has not begun."""
        return self._scratch / "begin.stack"

    def begin(self, function: Function | None = None) -> None:
        """Start Ray and its workers."""
        remote = self._remote()
        for _ in range(self._workers if self._private and function is not None else 0):
            remote.remote(function, {}, self._settings.time_limit_s, str(self._warm))

    def map(
        self, function: Function, jobs: Sequence[Job], then: Function | None = None
    ) -> Iterator[Outcome]:
        """Run the jobs, yielding outcomes as they complete."""
        if not jobs:
            return
        remote = self._remote()
        ray = self._ray
        # Others may use the slots of a cluster that is not ours.
        most = 2 * self._workers if self._private else self._workers
        waiting = [(job, 1) for job in reversed(jobs)]
        running: dict[Any, tuple[Job, int, Path]] = {}
        interrupts = Interrupts()
        try:
            while waiting or running:
                interrupts.check()
                while waiting and len(running) < most:
                    job, attempt = waiting.pop()
                    stack = self._scratch / f"{uuid.uuid4().hex}.stack"
                    ref = remote.remote(
                        function, dict(job.payload), self._settings.time_limit_s, str(stack)
                    )
                    running[ref] = (job, attempt, stack)
                ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                for ref in ready:
                    job, attempt, stack = running.pop(ref)
                    outcome = self._collect(ref, job, attempt, stack)
                    if outcome is None:
                        waiting.append((job, attempt + 1))
                        continue
                    idle = not waiting and len(running) < self._workers
                    if then is not None and idle and self._private:
                        remote.remote(then, {}, self._settings.time_limit_s, str(self._warm))
                    yield outcome
        finally:
            interrupts.release()
            for ref, (_, _, stack) in running.items():
                with contextlib.suppress(Exception):
                    ray.cancel(ref, force=True)
                stack.unlink(missing_ok=True)

    def _collect(self, ref: Any, job: Job, attempt: int, stack: Path) -> Outcome | None:
        """Return what became of a task, or None where it deserves another attempt."""
        from ray.exceptions import RayError, RayTaskError

        try:
            return outcome_of(job, self._ray.get(ref), attempt)
        except RayTaskError as error:
            cause = str(error).strip().splitlines()[-1]
            return Outcome(job, "failed", None, f"could not run on a worker: {cause}", attempt)
        except RayError as error:
            where = stack.read_text("utf-8") if stack.exists() else ""
            if where:
                return Outcome(job, "failed", None, OVERTIME, attempt, where)
            if attempt < MAX_ATTEMPTS:
                return None
            reason = f"its worker died {attempt} times ({type(error).__name__})"
            return Outcome(job, "failed", None, reason, attempt, str(error))
        finally:
            stack.unlink(missing_ok=True)

    def _remote(self) -> Any:
        """Return what sends a unit to a worker, once Ray has started."""
        return self._start().remote(run_on_worker).options(num_cpus=1, max_retries=0)

    def _start(self) -> Any:
        """Start or join Ray once; quiet, bounded, and blind to the caller's folder."""
        if self._ray is not None:
            return self._ray
        for name, value in _RAY_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        _hush()
        self._session = _session_folder()
        options: dict[str, Any] = {
            "address": self._settings.address,
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        options |= self._own() if self._private else self._joined()
        try:
            _knock(self._settings.address)
            with _bare(self._private):
                ray.init(**options)
        except Exception as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise AvbenchError(
                f"Ray at '{self._settings.address}' did not start ({cause}); use --engine local, "
                "or check --address"
            ) from error
        self._ray = ray
        if not self._private and self._settings.workers is None:
            self._workers = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return ray

    def _own(self) -> dict[str, Any]:
        """Return what a private Ray is started with."""
        from ray.job_config import JobConfig

        class Blind(JobConfig):
            """Says that its workers have a folder to work in, and so need not see the caller's.

            A `pipelines` or `baselines` folder there would hide the installed packages. To have Ray
            make them a folder takes every worker a process more.
            """

            def _runtime_env_has_working_dir(self) -> bool:
                return True

        blind = hasattr(JobConfig, "_runtime_env_has_working_dir")
        return {
            **({"job_config": Blind()} if blind else self._joined()),
            "num_cpus": self._workers,
            "num_gpus": 0,
            "object_store_memory": self._settings.object_store_mb * 2**20,
            "include_dashboard": False,
            "_temp_dir": str(self._session),
        }

    def _joined(self) -> dict[str, Any]:
        """Return what a running cluster is joined with: an empty folder for its workers."""
        assert self._session is not None
        empty = self._session / "empty"
        empty.mkdir()
        return {"runtime_env": {"working_dir": str(empty), "env_vars": ONE_THREAD}}


@contextlib.contextmanager
def _bare(private: bool) -> Iterator[None]:
    """Keep a private Ray from starting servers that nobody asks, and give its workers one thread.

    Its dashboard, autoscaler and forwarder of logs take longer to start than the rest of it. There
    is no option to leave them out.
    """
    if not private:
        yield
        return
    from ray._private.node import Node

    starts = {name: getattr(Node, name) for name in _NEEDLESS if hasattr(Node, name)}
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        for name in starts:
            setattr(Node, name, lambda *_, **__: None)
        yield
    finally:
        for name, start in starts.items():
            setattr(Node, name, start)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


_NEEDLESS = ("start_api_server", "start_monitor", "start_log_monitor")
"""What starts a server that a private Ray can do without."""


def _hush() -> None:
    """Keep Ray from printing a paragraph for every worker that dies: the ledger tells of it.

    Its setting for that is read when Ray is first imported, which someone else may have done.
    """
    from ray._private import ray_logging

    for printer in (ray_logging.stdout_deduplicator, ray_logging.stderr_deduplicator):
        printer.skip_re = re.compile(os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"])


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT; Ray itself would try for minutes."""
    host, found, port = address.rpartition(":")
    if found and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()


def _session_folder() -> Path:
    """Make a folder for Ray's files, and remove those of runs of this machine that were killed.

    Its path is short, because the sockets in it may have no more than 107 characters.
    """
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
    for old in Path(tempfile.gettempdir()).glob(f"avb-{host}-*-*"):
        try:
            os.kill(int(old.name.split("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(old, ignore_errors=True)
        except (OSError, ValueError):
            continue
    return Path(tempfile.mkdtemp(prefix=f"avb-{host}-{os.getpid()}-"))


_RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_enable_metrics_collection": "0",
}
"""Read by Ray when it is imported and when it starts."""
