"""Folders of results of simulated methods, as ``avbench run`` writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from simulated import Simulated, clip

from avbench.benchmark import evaluate
from avbench.results import environment, identify, read_run, write_run
from avbench.shards import write_json
from avbench.tables import run_table
from avbench.tasks import OffsetTask

TASK = OffsetTask(lengths=(11, 15), repeats=2, windows_per_clip=2)
SHARDS = [{"name": "toy-test-000000.tar", "sha256": "5" * 64}]
COMMIT = "c" * 40


def pair(noise: float = 2.0) -> list[Any]:
    return [Simulated("syncnet", noise=noise), Simulated("diag-avg", noise=1.5)]


def results(
    folder: Path, methods: list[Any] | None = None, task: OffsetTask = TASK, **facts: Any
) -> Path:
    """Measure simulated methods and write what a run leaves behind."""
    asked = methods or pair()
    found = evaluate(asked, [clip(n, 50 + n) for n in range(9)], task, dataset="toy", split="test")
    joined = "".join(shard["sha256"] for shard in SHARDS)
    block = {
        **environment(),
        "commit": COMMIT,
        "commit_changed": False,
        "task": task.describe(),
        "dataset": "toy",
        "synthetic": True,
        "split": "test",
        "limit": None,
        "shards_sha256": hashlib.sha256(joined.encode()).hexdigest(),
        "reference": "syncnet",
        "methods": {method.name: identify(method) for method in asked},
        **facts,
    }
    write_run(folder, found.predictions, found.scores, found.describe(block))
    (folder / "table.md").write_text(run_table(read_run(folder)).to_markdown())
    write_json(folder / "dataset.json", {"format_version": 1, "recipe": {}, "shards": SHARDS})
    return folder
