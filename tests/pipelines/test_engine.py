from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.errors import AvbenchError, UnknownName, UsageError
from pipelines import on_ray
from pipelines.build import build
from pipelines.engine import (
    EngineSettings,
    Job,
    Outcome,
    available_cpus,
    open_engine,
)
from pipelines.guard import set_limit

ROOT = Path(__file__).resolve().parents[2]


def make_unit() -> Callable[[Mapping[str, Any]], Any]:
    """Return a nested function, which Ray ships by value."""

    def unit(payload: Mapping[str, Any]) -> Any:
        import ctypes
        import errno
        import os
        import signal
        import time
        from pathlib import Path

        from avbench.errors import DataError, MissingDependency

        deed = payload["do"]
        if deed == "raise":
            raise KeyError("something unforeseen")
        if deed == "reject":
            raise DataError("x.mp4 holds\nno picture")
        if deed == "exit":
            raise SystemExit(3)
        if deed == "hang":
            time.sleep(1000)
        if deed == "hang in native code":
            ctypes.PyDLL(None).sleep(1000)  # never lets go of the interpreter lock
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "die once":
            try:
                Path(payload["mark"]).mkdir()
            except FileExistsError:
                return "second try"
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "lack":
            raise MissingDependency("install the package mediapipe")
        if deed == "full disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        return {
            "pid": os.getpid(),
            "threads": os.environ["OMP_NUM_THREADS"],
            "cwd": str(Path.cwd()),
        }

    return unit


def run(settings: EngineSettings, scratch: Path, *deeds: str, **payload: Any) -> list[Outcome]:
    jobs = [Job(f"{number}", {"do": deed, **payload}) for number, deed in enumerate(deeds)]
    with open_engine(settings, scratch) as engine:
        outcomes = list(engine.map(make_unit(), jobs))
    assert sorted(outcome.job.name for outcome in outcomes) == [job.name for job in jobs]
    return sorted(outcomes, key=lambda outcome: outcome.job.name)


def descendants(root: int) -> set[int]:
    """Return the processes that a process started, and those that these started."""
    listing = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    children: dict[int, list[int]] = {}
    for line in listing.stdout.splitlines():
        pid, parent = map(int, line.split())
        children.setdefault(parent, []).append(pid)
    found, todo = set(), [root]
    while todo:
        todo = [child for parent in todo for child in children.get(parent, [])]
        found.update(todo)
    return found


def helpers(pids: set[int]) -> set[int]:
    """Return those that Ray itself lets end a minute after the rest."""
    listing = subprocess.run(
        ["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    pairs = (line.split(maxsplit=1) for line in listing.stdout.splitlines())
    names = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
    return {int(pid) for pid, args in pairs if args.startswith(names)} & pids


def alive(pids: set[int]) -> set[int]:
    listing = subprocess.run(
        ["ps", "-e", "-o", "pid=,stat="], capture_output=True, text=True, check=True
    )
    states = dict(line.split() for line in listing.stdout.splitlines())
    return {pid for pid in pids if states.get(str(pid), "Z")[0] != "Z"}


def gone(pids: set[int], seconds: float) -> bool:
    """Say whether all these processes end within a while."""
    end = time.monotonic() + seconds
    while alive(pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def test_a_unit_that_raises_is_an_outcome(tmp_path: Path) -> None:
    settings = EngineSettings("local", time_limit_s=1)
    fine, raised, rejected, left, hung, last = run(
        settings, tmp_path, "work", "raise", "reject", "exit", "hang", "work"
    )
    assert (fine.status, last.status) == ("done", "done")
    assert (raised.status, raised.reason) == ("failed", "KeyError: 'something unforeseen'")
    assert "in unit" in raised.trace
    assert (rejected.status, rejected.reason) == ("rejected", "x.mp4 holds no picture")
    assert left.status == "failed"
    assert hung.status == "failed"
    assert "time limit" in hung.reason
    assert "time.sleep" in hung.trace


def test_a_unit_may_ask_for_more_time(tmp_path: Path) -> None:
    def slow(payload: Mapping[str, Any]) -> Any:
        set_limit(payload["limit"])
        time.sleep(0.5)

    jobs = [Job("patient", {"limit": 10}), Job("hasty", {"limit": 0.2})]
    with open_engine(EngineSettings("local", time_limit_s=0.3), tmp_path) as engine:
        states = {outcome.job.name: outcome.status for outcome in engine.map(slow, jobs)}
    assert states == {"patient": "done", "hasty": "failed"}


@pytest.mark.parametrize("deed", ["lack", "full disk"])
def test_a_fault_of_the_whole_run_ends_it_with_one_sentence(tmp_path: Path, deed: str) -> None:
    with pytest.raises(AvbenchError, match=r"mediapipe|No space left"):
        run(EngineSettings("local"), tmp_path, "work", deed, "work")


def test_settings_are_checked() -> None:
    with pytest.raises(UnknownName, match="'ray'"):
        EngineSettings("rai")
    with pytest.raises(UsageError, match="at least 1"):
        EngineSettings(workers=0)
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)


@pytest.mark.ray
def test_ray_survives_every_kind_of_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    decoy = tmp_path / "decoy"
    for package in ("pipelines", "baselines"):
        (decoy / package).mkdir(parents=True)
        (decoy / package / "__init__.py").write_text("raise ImportError('the decoy was imported')")
    monkeypatch.chdir(decoy)
    before = descendants(os.getpid())
    settings = EngineSettings("ray", workers=2, time_limit_s=4)
    deeds = ("work", "raise", "die", "hang", "hang in native code", "die once", "reject", "work")
    outcomes = run(settings, tmp_path / "scratch", *deeds, mark=str(tmp_path / "died"))
    fine, raised, dead, hung, stuck, revived, rejected, last = outcomes
    assert (fine.status, last.status, rejected.status) == ("done", "done", "rejected")
    assert fine.value["threads"] == "1"
    assert fine.value["pid"] != os.getpid()
    assert Path(fine.value["cwd"]) != decoy
    assert (raised.status, raised.attempts) == ("failed", 1)
    assert (dead.status, dead.attempts) == ("failed", 2)
    assert "died 2 times" in dead.reason
    assert (revived.status, revived.value, revived.attempts) == ("done", "second try", 2)
    for outcome in (hung, stuck):
        assert outcome.status == "failed"
        assert "time limit" in outcome.reason
        assert "in unit" in outcome.trace
    assert gone(descendants(os.getpid()) - before, 15)
    assert list((tmp_path / "scratch").iterdir()) == []
    printed = capfd.readouterr()
    assert "raylet" not in printed.out + printed.err


@pytest.mark.ray
def test_ray_begins_before_there_are_jobs_and_without_servers_that_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    load, log = tmp_path / "loaded", tmp_path / "log"
    load.mkdir()

    def first(_payload: Mapping[str, Any]) -> Any:
        import os

        (load / str(os.getpid())).touch()
        raise RuntimeError("of no consequence")

    def unit(_payload: Mapping[str, Any]) -> Any:
        import os
        import time

        for word in ("begin", "end"):
            with log.open("a") as file:
                file.write(f"{word}\n")
            time.sleep(0.3 if word == "begin" else 0)
        return {"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}

    before = descendants(os.getpid())
    with open_engine(EngineSettings("ray", workers=2), tmp_path / "scratch") as engine:
        engine.begin(first)
        end = time.monotonic() + 60
        while not list(load.iterdir()):
            assert time.monotonic() < end
            time.sleep(0.1)
        outcomes = list(engine.map(unit, [Job(str(number)) for number in range(9)]))
        started = descendants(os.getpid()) - before
        listing = subprocess.run(
            ["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True
        )
    words = [line.split(maxsplit=1) for line in listing.stdout.splitlines()]
    running = " ".join(args for pid, args in words if int(pid) in started)
    assert "raylet" in running
    assert not any(name in running for name in ("dashboard.py", "monitor.py"))
    assert [outcome.status for outcome in outcomes] == ["done"] * 9
    assert {outcome.value["threads"] for outcome in outcomes} == {"1"}
    pids = {str(outcome.value["pid"]) for outcome in outcomes}
    assert pids & {path.name for path in load.iterdir()}
    assert len(pids) == 2
    # More units wait at Ray than there are workers, but no more run.
    deeds = [1 if word == "begin" else -1 for word in log.read_text().split()]
    assert max(accumulate(deeds)) == 2
    assert list((tmp_path / "scratch").iterdir()) == []
    assert os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.ray
def test_a_worker_without_a_job_loads_what_comes_next(tmp_path: Path) -> None:
    begun, loaded = tmp_path / "begun", tmp_path / "loaded"

    def load(_payload: Mapping[str, Any]) -> Any:
        loaded.touch()
        raise RuntimeError("of no consequence")

    def unit(payload: Mapping[str, Any]) -> Any:
        import time

        begun.touch() if payload["long"] else None
        # The long one ends only when the other worker, idle by then, has loaded.
        while not (loaded if payload["long"] else begun).exists():
            time.sleep(0.05)
        return None

    jobs = [Job(f"{number}", {"long": not number}) for number in range(6)]
    with open_engine(EngineSettings("ray", workers=2, time_limit_s=60), tmp_path / "s") as engine:
        outcomes = list(engine.map(unit, jobs, load))
    assert sorted(outcome.job.name for outcome in outcomes) == [job.name for job in jobs]
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert list((tmp_path / "s").iterdir()) == []


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_ray_process_outlives_an_interrupted_run(tmp_path: Path, number: int) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from pipelines.engine import EngineSettings, Job, open_engine

            def unit(payload):
                import time
                Path(payload["started"]).touch()
                time.sleep(1000)

            scratch = Path(sys.argv[1])
            jobs = [Job(str(n), {"started": str(scratch / f"started{n}")}) for n in range(3)]
            with open_engine(EngineSettings("ray", workers=2), scratch / "stacks") as engine:
                list(engine.map(unit, jobs))
            """
        )
    )
    driver = subprocess.Popen(
        [sys.executable, script, tmp_path],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "started0").exists():
            assert time.monotonic() < end
            assert driver.poll() is None
            time.sleep(0.1)
        started = descendants(driver.pid)
        assert len(started) >= 4  # at the least two servers of Ray and two workers
        if number == signal.SIGINT:
            os.killpg(driver.pid, number)  # as a terminal does: to the whole group
        else:
            driver.send_signal(number)
        _, errors = driver.communicate(timeout=90)
    finally:
        driver.kill()
    assert driver.returncode != 0
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert list((tmp_path / "stacks").iterdir()) == []
    late = set() if number == signal.SIGINT else helpers(started)
    assert len(late) <= 2
    assert gone(started - late, 90)  # a worker that was just starting takes its time
    for pid in late:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_of_two_nodes_is_joined_by_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in on_ray._RAY_ENVIRONMENT.items():  # read when Ray is first imported
        monkeypatch.setenv(name, value)
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    import ray

    node = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 100 * 2**20}
    # The head computes nothing, so that work can only be done by nodes that joined.
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = {cluster.add_node(**node).node_id for _ in range(2)}
        cluster.wait_for_nodes()
        settings = EngineSettings("ray", address=cluster.address, time_limit_s=60)

        def unit(payload: Mapping[str, Any]) -> Any:
            import time

            import ray

            time.sleep(0.5)
            return ray.get_runtime_context().get_node_id()

        jobs = [Job(str(number)) for number in range(6)]
        with open_engine(settings, tmp_path / "scratch") as engine:
            outcomes = list(engine.map(unit, jobs))
        assert [outcome.status for outcome in outcomes] == ["done"] * 6
        assert {outcome.value for outcome in outcomes} == nodes
        sources = [write_source(tmp_path / f"in/two-{n}.mp4", seed=n) for n in range(3)]
        common: dict[str, Any] = {"sync": "off", "split": "test", "process": make_process()}
        joined = {"engine": "ray", "ray_address": cluster.address}
        build(sources, tmp_path / "joined", **joined, **common)
        build(sources, tmp_path / "alone", engine="local", **common)
        names = [path.name for path in (tmp_path / "alone").glob("*.*") if path.is_file()]
        assert any(name.endswith(".tar") for name in names)
        for name in names:
            one, other = tmp_path / "alone" / name, tmp_path / "joined" / name
            assert one.read_bytes() == other.read_bytes(), name
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.ray
def test_an_address_where_no_cluster_is_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    settings = EngineSettings("ray", address="127.0.0.1:1", time_limit_s=5)
    with pytest.raises(AvbenchError, match=r"Ray at '127\.0\.0\.1:1' did not start"):
        run(settings, tmp_path, "work")
