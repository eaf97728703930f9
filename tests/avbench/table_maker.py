"""A small run, rows as papers print them, and rows of a leaderboard, for tests of tables."""

from __future__ import annotations

from dataclasses import replace

from simulated import Simulated, clip

from avbench.benchmark import Outcome, evaluate
from avbench.leaderboard.rows import Row
from avbench.methods import Method
from avbench.results import Run, Score, identify, reductions
from avbench.tasks import OffsetTask
from baselines.oracle import Oracle

TASK = OffsetTask(lengths=(11, 20), repeats=4)


def measured() -> list[Method]:
    return [Simulated("syncnet", noise=2.5), Simulated("diag-avg", noise=2.0), Oracle()]


def outcome() -> Outcome:
    clips = [clip(number, num_frames=26 + 2 * number) for number in range(8)]
    return evaluate(measured(), clips, TASK, dataset="toy", split="test")


def block(found: Outcome, **facts: object) -> dict[str, object]:
    run = {
        "task": TASK.describe(),
        "dataset": "toy",
        "split": "test",
        "synthetic": True,
        "limit": None,
        "reference": "syncnet",
        "methods": {method.name: identify(method) for method in measured()},
        **facts,
    }
    return found.describe(run)


def a_run() -> Run:
    found = outcome()
    return Run(found.predictions, found.scores, block(found))


def printed(method: str, cells: dict[int, tuple[float, float]], tolerance: int = 0) -> list[Score]:
    """Make score rows out of percentages, as a paper prints them."""
    return [
        Score(
            method=method,
            task="offset",
            task_version=1,
            protocol="kim-strict-5",
            dataset="lrs2",
            split=None,
            window=window,
            metric=f"accuracy@{tolerance}",
            value=mean / 100,
            std=std / 100,
            repeats=10,
            n=71000,
            n_failed=0,
        )
        for window, (mean, std) in cells.items()
    ]


# Kim et al. (2021), Table 2, two columns.
PAPER = [
    *printed("syncnet", {11: (45.17, 0.32), 20: (73.66, 0.33)}),
    *printed("sync-e2e", {11: (66.88, 0.35), 20: (79.26, 0.29)}),
]


def with_reductions(rows: list[Score]) -> list[Score]:
    return [*rows, *reductions(rows, "syncnet")]


def with_intervals(rows: list[Score], half: float = 0.0035) -> list[Score]:
    return [
        replace(row, low=row.value - half, high=row.value + half, interval="wilson", clusters=70)
        if row.value is not None and row.metric.startswith("accuracy@")
        else row
        for row in rows
    ]


def row(method: str, window: int | None, value: float | None, **facts: object) -> Row:
    """Make a reported row of Kim et al., changed by ``facts``."""
    given: dict[str, object] = dict.fromkeys(Row.__dataclass_fields__)
    given |= dict.fromkeys(("condition", "interval", "reference", "note", "suspect", "run"), "")
    given |= {
        "kind": "paper",
        "method": method,
        "dataset": "LRS2",
        "split": "held out",
        "protocol": "kim-strict-5",
        "window": window,
        "metric": "accuracy@0",
        "unit": "percent",
        "value": value,
        "source": "Kim et al. (2021)",
        "verified": "",
        "printed": "" if value is None else f"{value}",
        "printed_std": "",
        "printed_name": "",
        "drawn": False,
        "ranked": True,
        **facts,
    }
    return Row(**given)  # type: ignore[arg-type]


REPORTED = [
    row("syncnet", 11, 45.17, std=0.32, repeats=10, printed_name="Baseline"),
    row("diag-avg", 11, 63.34, std=0.39, repeats=10),
    row("diag-avg", 11, 31.32, metric="rer@0", reference="syncnet", suspect="33.14 would follow"),
    row("diag-avg", 20, 77.9, printed="77.9"),
    row("fast", 20, None, low=90.0, interval="bound as printed", printed=">90"),
    row("chance", 11, 9.09, kind="chance"),
]
MEASURED = [
    row(
        name,
        window,
        value,
        kind="measured",
        dataset="demo",
        split="test",
        version=1,
        drawn=True,
        std=1.5,
        repeats=10,
        source="measured/demo",
        printed="",
        run="0123456789ab",
    )
    for name, window, value in (
        ("syncnet", 11, 45.775),
        ("sync-e2e", 11, 57.425),
        ("sync-e2e", 15, 68.35),
    )
]
