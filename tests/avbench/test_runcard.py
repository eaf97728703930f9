from __future__ import annotations

import copy
import sys
from time import perf_counter
from typing import Any

import pytest

from avbench.runcard import identity, run_id, sanitised, usage

BLOCK: dict[str, Any] = {
    "commit": "abc",
    "versions": {"numpy": "2.0"},
    "machine": {"cpus": 4},
    "threads": 1,
    "refusals": [],
    "task": {"seed": 0},
    "methods": {"a": {"checkpoint_sha256": "1", "seconds": 2.5, "failures": {}}},
}


def changed(*path: str, to: object) -> dict[str, Any]:
    block = copy.deepcopy(BLOCK)
    inner = block
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return block


@pytest.mark.parametrize(
    "path",
    [
        ("machine", "cpus"),
        ("threads",),
        ("refusals",),
        ("usage",),
        ("files",),
        ("run",),
        ("methods", "a", "seconds"),
        ("methods", "a", "failures"),
    ],
)
def test_circumstances_and_outcomes_do_not_make_another_run(path: tuple[str, ...]) -> None:
    assert run_id(changed(*path, to=7)) == run_id(BLOCK)


@pytest.mark.parametrize(
    "path",
    [
        ("commit",),
        ("versions", "numpy"),
        ("task", "seed"),
        ("methods", "a", "checkpoint_sha256"),
        ("questions_sha256",),
    ],
)
def test_what_decides_the_numbers_does(path: tuple[str, ...]) -> None:
    assert run_id(changed(*path, to="other")) != run_id(BLOCK)


def test_the_order_of_facts_does_not_matter() -> None:
    assert run_id(dict(reversed(BLOCK.items()))) == run_id(BLOCK)
    assert identity(BLOCK)["methods"] == {"a": {"checkpoint_sha256": "1"}}
    assert BLOCK["methods"]["a"]["seconds"] == 2.5  # and the block is left as it was


def test_usage_is_measured() -> None:
    before = usage(perf_counter() - 3)
    assert 3 <= before["wall_seconds"] < 4
    ballast = bytearray(64 * 2**20)
    for place in range(0, len(ballast), 4096):
        ballast[place] = 1  # memory counts once it is touched
    sum(range(10**6))
    after = usage()
    assert after["wall_seconds"] is None
    assert after["cpu_seconds"] > before["cpu_seconds"]
    assert after["peak_memory_mib"] >= before["peak_memory_mib"] > 0
    assert after["peak_memory_mib"] > 64


def test_a_system_that_does_not_tell_memory_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert usage()["peak_memory_mib"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read /data/set/a.tar", "cannot read a.tar"),
        (
            "OSError: [Errno 2] No such file: '/my data/x/y.mp4'",
            "OSError: [Errno 2] No such file: 'y.mp4'",
        ),
        (r"cannot read C:\Users\ann\a.tar: gone", "cannot read a.tar: gone"),
        ("(/a/b/c), /d/e", "(c), e"),
        ("3/4 of 25 m/s", "3/4 of 25 m/s"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("baselines.syncnet:SyncNet", "baselines.syncnet:SyncNet"),
        ("results/run/table.md", "results/run/table.md"),
    ],
)
def test_only_absolute_paths_are_cut(text: str, shown: str) -> None:
    assert sanitised(text) == shown
    assert sanitised([{text: (text, 1, None)}]) == [{shown: [shown, 1, None]}]
