"""The notes under a table: what its numbers cannot be read without."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from avbench.data import JSON
from avbench.labels import label, within
from avbench.metrics.offset import chance
from avbench.results import Run, Score

_INTERVALS = {
    "cluster-bootstrap": "a bootstrap over the recordings that the clips were cut from",
    "wilson": "Wilson's score interval with one trial a recording",
}


def run_notes(
    run: Run, rows: Sequence[Score], metrics: Sequence[str], shown: str, *, ranked: bool
) -> list[str]:
    """Return all notes of a table of these rows of a run.

    Parameters
    ----------
    run
        Where they come from.
    rows
        The scores of the methods and window lengths that are shown.
    metrics
        One a block.
    shown
        What stands beside a number: ``repeats``, ``interval`` or ``none``.
    ranked
        Whether best means not told apart from the best by paired comparisons.
    """
    block, task = run.block, run.block["task"]
    names = {row.method for row in rows}
    accuracies = [metric for metric in metrics if metric.startswith("accuracy@")]
    notes = [_asked_note(block, rows), *_spread_notes(rows, metrics, shown)]
    if accuracies:
        tolerances = [int(metric.partition("@")[2]) for metric in accuracies]
        truth = task.get("rules", {}).get("truth", "uniform")
        notes.append(_reference_note(block["reference"]))
        if task.get("name", "offset") == "offset":
            notes.append(chance_note(task["search"], tolerances, truth))
    if ranked:
        notes.append(
            "Bold: the best of a column and every method that a paired test over the recordings "
            "does not tell apart from it."
        )
        notes += _detectable_notes(run.comparisons or {}, rows, metrics)
    notes += [*_option_notes(block, names)]
    notes += [*_refusal_notes(block), *_failure_notes(block, rows, names)]
    return list(dict.fromkeys([*notes, *_origin_notes(block, names)]))


def chance_note(search: int, tolerances: Iterable[int], truth: str = "uniform") -> str:
    """Say what guessing would score.

    >>> chance_note(5, (0, 1))
    'Chance (uniform guessing): 9.1 % exact, 25.6 % within ±1 frame.'
    >>> chance_note(15, (1,), truth="centre")
    'Chance (uniform guessing): 9.7 % within ±1 frame.'
    """
    parts = [f"{100 * chance_level(search, t, truth):.1f} % {within(t)}" for t in tolerances]
    return f"Chance (uniform guessing): {', '.join(parts)}."


def chance_level(search: int, tolerance: int, truth: str = "uniform") -> float:
    """Return the accuracy of uniform guessing, as a fraction.

    Parameters
    ----------
    search
        Range of the candidates in frames.
    tolerance
        Largest error that counts as correct, in frames.
    truth
        ``uniform`` over the candidates, or always in their ``centre``, where no tolerance is
        lost at the ends of the range.
    """
    return chance(search, tolerance, truth=0 if truth == "centre" else None)


def _asked_note(block: Mapping[str, JSON], rows: Sequence[Score]) -> str:
    task = block["task"]
    each = sorted({row.n for row in rows})
    count = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    limited = f" (the first {block['limit']})" if block["limit"] else ""
    windows = task["windows_per_clip"]
    asked = f"{plural(windows, 'window')} each" if windows else "every window that fits"
    macro = task.get("rules", {}).get("reduction") == "macro"
    mean = " Means are taken within each clip, then over the clips." if macro else ""
    if task.get("name") == "alignment":
        count += " frames of sound asked about, in"
    else:
        count += " questions a cell:"
    return (
        f"{count} {plural(block['clips'], 'clip')}{limited}, {asked}, "
        f"{plural(task['repeats'], 'repeat')}, seed {task['seed']}.{mean}"
    )


def _spread_notes(rows: Sequence[Score], metrics: Sequence[str], shown: str) -> list[str]:
    chosen = [row for row in rows if row.metric in metrics]
    if shown == "repeats" and any(row.std is not None and row.repeats > 1 for row in chosen):
        return [
            "± is the standard deviation over the repeats: what other draws would change, not "
            "what other clips would."
        ]
    kinds = sorted({row.interval for row in chosen if row.interval and row.low is not None})
    if shown != "interval" or not kinds:
        return []
    clusters = sorted({row.clusters for row in chosen if row.clusters})
    said = " or ".join(_INTERVALS.get(kind, kind) for kind in kinds)
    over = f" ({plural(clusters[-1], 'recording')})" if clusters else ""
    cautions = dict.fromkeys(row.caution for row in chosen if row.caution)
    return [f"In square brackets: 95 % interval, {said}{over}.", *map(_sentence, cautions)]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _detectable_notes(
    comparisons: Mapping[str, JSON], rows: Sequence[Score], metrics: Sequence[str]
) -> list[str]:
    """Say how small a difference would have been found, for each metric that was compared."""
    names, windows = {row.method for row in rows}, {row.window for row in rows}
    found = []
    for metric in metrics:
        sizes = [
            pair["minimum_detectable"]
            for cell in comparisons.get("cells", ())
            if cell["metric"] == metric and cell["window"] in windows
            for pair in cell["pairs"]
            if {pair["a"], pair["b"]} <= names and pair["minimum_detectable"] is not None
        ]
        if sizes:
            how = label(metric)
            found.append(f"{how.scale * max(sizes):.1f} ({how.title.replace(' (%)', '')})")
    if not found:
        return []
    cautions = dict.fromkeys(
        cell["caution"]
        for cell in comparisons["cells"]
        if cell["metric"] in metrics and cell["window"] in windows and cell.get("caution")
    )
    return [
        *map(_sentence, cautions),
        "Between any two of these methods a true difference of so many points would be found four "
        f"times out of five: {', '.join(found)}.",
    ]


def _reference_note(reference: str | None) -> str:
    if reference is None:
        return "No error reductions: no reference method was measured."
    return (
        f"In brackets: relative error reduction in % against {reference} (negative: more errors)."
    )


def _option_notes(block: Mapping[str, JSON], names: Collection[str]) -> list[str]:
    """Say which methods were not measured as they come."""
    return [
        f"{name} with {', '.join(f'{k}={v}' for k, v in facts['options'].items())}."
        for name, facts in block["methods"].items()
        if name in names and facts.get("options")
    ]


def _refusal_notes(block: Mapping[str, JSON]) -> list[str]:
    refused: dict[tuple[str, str], list[str]] = {}
    for refusal in block["refusals"]:
        lengths = refused.setdefault((refusal["key"], refusal["reason"]), [])
        lengths += [str(refusal["length"])] if refusal["length"] else []
    if not refused:
        return []
    named = [
        f"{key} ({reason}{' for ' + ', '.join(lengths) if lengths else ''})"
        for (key, reason), lengths in list(refused.items())[:3]
    ]
    more = "; ..." if len(refused) > len(named) else ""
    return [
        f"Not asked at every length: {len(refused)} of {plural(block['clips'], 'clip')}, listed "
        f"in run.json: {'; '.join(named)}{more}."
    ]


def _failure_notes(
    block: Mapping[str, JSON], rows: Sequence[Score], names: Collection[str]
) -> list[str]:
    notes = []
    for name, facts in block["methods"].items():
        if name in names and (failures := facts["failures"]):
            asked = sum({row.window: row.n for row in rows if row.method == name}.values())
            failed = sum({row.window: row.n_failed for row in rows if row.method == name}.values())
            message = max(failures, key=lambda text: (failures[text], text))
            notes.append(
                f"{name} failed on {failed} of {asked} questions, counted as wrong; most often: "
                f"{message}"
            )
    return notes


def _origin_notes(block: Mapping[str, JSON], names: Collection[str]) -> list[str]:
    """Say what the faces were, as far as the shard set tells; None means that it does not."""
    notes = []
    if block["synthetic"]:
        notes.append("Drawn faces and synthetic speech.")
    if block["synthetic"] is not False:
        notes.append(
            "Numbers on drawn faces are never to be compared with numbers on LRS2 or any other "
            "recordings."
        )
    trained: dict[str, list[str]] = {}
    for name, facts in block["methods"].items():
        if name in names and facts["checkpoint"] == "shipped":
            trained.setdefault(facts.get("trained_on") or "drawn faces", []).append(name)
    if trained and not block["synthetic"]:
        parts = [f"{', '.join(found)} on {what}" for what, found in trained.items()]
        notes.append(
            f"The shipped checkpoints were trained on little ({'; '.join(parts)}); train your own "
            "before you compare with published numbers."
        )
    return [" ".join(notes)] if notes else []


def plural(count: int, noun: str) -> str:
    """Count in words: ``1 clip``, ``2 clips``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
