"""What a build came to, for the person who started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avbench.shards import ShardInfo

from . import card, ledger
from .ledger import FAILED, Row


@dataclass(frozen=True)
class BuildReport:
    """What a build came to."""

    out: Path
    rows: Sequence[Row]
    shards: Sequence[ShardInfo]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Files passed over because of their name, by reason."""
    up_to_date: bool = False
    """Nothing had to be done."""
    sent: str = ""
    """The address that the finished set was sent to; empty where it stays."""
    planned: Sequence[str] = ()
    """What would be done, where that was the question."""

    @property
    def clips(self) -> int:
        """Clips in shards."""
        return sum(info.samples for info in self.shards)

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        if self.planned:
            return list(self.planned)
        lines = ledger.rejections(self.rows)
        if any(row.status == FAILED for row in self.rows):
            lines.append(f"the stacks of failures are in {self.out / 'work' / FAILED}")
        lines += ledger.funnel(self.rows, self.skipped)
        lines += card.split_lines(self.shards)
        if self.sent:
            lines.append(f"shards, dataset.json, ledger.parquet and README.md are at {self.sent}")
        elif self.shards:
            lines.append(f"shards, dataset.json, ledger.parquet and README.md are in {self.out}")
        return lines

    def nothing_usable(self) -> str:
        """Say in one sentence why there are no clips; empty where there are some."""
        if self.shards or self.planned:
            return ""
        if not self.rows:
            return "no video among the sources; give a video, or a folder that holds some"
        first = self.rows[0]
        named = first.path in first.reason
        return (
            f"none of {len(self.rows)} videos gave a clip (the first: "
            f"{'' if named else first.path + ': '}{first.reason.rstrip('.')}); "
            f"every reason is in {self.out / 'ledger.parquet'}"
        )
