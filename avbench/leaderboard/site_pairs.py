"""What the comparisons of a run say: shared ranks, and which methods differ by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avbench.data import JSON
from avbench.errors import DataError
from avbench.leaderboard.rows import unit_of
from avbench.leaderboard.site_model import Rank


@dataclass(frozen=True)
class Pair:
    """Two methods on the same questions; numbers in the unit of the metric's rows."""

    metric: str
    window: int
    a: str
    b: str
    difference: float
    """Of `a` over `b`."""
    low: float
    high: float
    """Ends of its 95 % interval."""
    p: float
    """Corrected for the number of pairs."""
    test: str
    differ: bool
    detectable: float
    """Smallest true difference that such a test would mostly find."""


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of one run."""

    ranks: Mapping[tuple[str, int, str], Rank]
    """(metric, window, method) -> rank."""
    pairs: tuple[Pair, ...]
    cautions: Mapping[str, tuple[str, ...]]
    """Metric -> what its comparisons warn of."""
    rule: str
    """How ranks are given, in words."""


NONE = Comparisons({}, (), {}, "")


def comparisons_of(content: Mapping[str, JSON], where: str) -> Comparisons:
    """Read the contents of a ``comparisons.json``.

    Parameters
    ----------
    content
        As `avbench.comparisons.compare` makes it; proportions as fractions.
    where
        Name of the file, for the message.

    Raises
    ------
    DataError
        If it is no such content.
    """
    ranks: dict[tuple[str, int, str], Rank] = {}
    pairs: list[Pair] = []
    cautions: dict[str, list[str]] = {}
    try:
        for cell in content["cells"]:
            metric, window = str(cell["metric"]), int(cell["window"])
            placed = {m["method"]: m["rank"] for m in cell["methods"] if m["rank"] is not None}
            taken = list(placed.values())
            for method, rank in placed.items():
                ranks[metric, window, str(method)] = Rank(int(rank), taken.count(rank) > 1)
            pairs += [_pair(metric, window, pair) for pair in cell["pairs"]]
            if cell["caution"]:
                cautions.setdefault(metric, []).append(str(cell["caution"]))
        rule = str(content.get("statistics", {}).get("rank", ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where} is damaged ({error!r}); copy it from the run again") from error
    said = {metric: tuple(dict.fromkeys(texts)) for metric, texts in cautions.items()}
    return Comparisons(ranks, tuple(pairs), said, rule)


def _pair(metric: str, window: int, pair: Mapping[str, JSON]) -> Pair:
    scale = 100.0 if unit_of(metric) == "percent" else 1.0
    return Pair(
        metric,
        window,
        str(pair["a"]),
        str(pair["b"]),
        difference=scale * float(pair["difference"]),
        low=scale * float(pair["low"]),
        high=scale * float(pair["high"]),
        p=float(pair["p_holm"]),
        test=str(pair["test"]),
        differ=bool(pair["significant"]),
        detectable=scale * float(pair["minimum_detectable"]),
    )


def telling(pairs: Sequence[Pair], left_out: set[str]) -> list[Pair]:
    """Return the pairs of methods that may be ranked, sorted by metric, window and names."""
    kept = [pair for pair in pairs if not {pair.a, pair.b} & left_out]
    return sorted(kept, key=lambda pair: (pair.metric, pair.window, pair.a, pair.b))
