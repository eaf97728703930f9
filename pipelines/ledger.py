"""The ledger: one row per input file, and the sums that must hold.

Every file that came in is kept, rejected or failed, and every frame of a kept or
rejected video is in a packed clip or in a named rejection. `check` says where that is not so.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from avbench.data import JSON
from avbench.errors import AvbenchError
from avbench.shards import write_atomic
from avbench.timing import FPS

FAILED = "failed"
STATES = ("kept", "rejected", FAILED)
CUT = "pack: cut away by the fault or correction of the sound"


@dataclass(frozen=True)
class Row:
    """What became of one input file."""

    source: str
    """Name of the SOURCE it was found in."""
    path: str
    """Path below that SOURCE."""
    status: str
    """One of `STATES`; empty while it is open.

    kept: it gave clips. rejected: for a reason in the file. failed: for a reason in the run, and
    tried again by the next.
    """
    step: str = ""
    """Where it was decided: discover, facetracks, sync or pack."""
    reason: str = ""
    """One sentence; empty where kept."""
    decoder: str = ""
    """What was wrong with the file as the decoder says it, kept or not; empty where nothing."""
    video_id: str = ""
    sha256: str = ""
    attempts: int = 0
    frames: int = 0
    """25 fps frames that came in; 0 where the file could not be read."""
    kept_frames: int = 0
    """Frames that at least one packed clip shows."""
    rejected_frames: Mapping[str, int] = field(default_factory=dict)
    """Frames that no packed clip shows, by reason."""
    tracks: int = 0
    """Facetracks cut from it."""
    clips: int = 0
    """Clips packed into shards."""
    clip_frames: int = 0
    """Frames of those clips; more than ``kept_frames`` where several faces share a frame."""
    split: str = ""


class LedgerError(AvbenchError):
    """Frames or files went missing without a reason: a bug that must not pass in silence."""


def check(rows: Iterable[Row]) -> None:
    """Raise `LedgerError` unless every frame that came in is accounted for."""
    for row in rows:
        if row.status not in STATES:
            raise LedgerError(f"{row.path} was lost on the way; please report this")
        total = row.kept_frames + sum(row.rejected_frames.values())
        if total != row.frames or min([0, row.kept_frames, *row.rejected_frames.values()]) < 0:
            raise LedgerError(
                f"{row.path}: {row.frames} frames came in, but {row.kept_frames} kept and "
                f"{dict(row.rejected_frames)} rejected make {total}; please report this"
            )
        if (row.status == "kept") != (row.clips > 0) or (row.status != "kept") != bool(row.reason):
            raise LedgerError(
                f"{row.path}: status {row.status} with {row.clips} clips and reason "
                f"{row.reason!r} contradict each other; please report this"
            )


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Return how many files came to each of `STATES`."""
    found = Counter(row.status for row in rows)
    return {name: found[name] for name in STATES}


def funnel(rows: Sequence[Row], skipped: Mapping[str, int]) -> list[str]:
    """Return the yield as lines of text: files, then frames, by what became of them.

    ``skipped`` counts the files that were passed over, by reason; they have no row.
    """
    parts = [f"{count} {name}" for name, count in counts(rows).items()]
    came, kept = sum(row.frames for row in rows), sum(row.kept_frames for row in rows)
    lines = [
        f"videos {len(rows)} = " + " + ".join(parts),
        f"frames {came} ({_time(came)}) = {kept} in clips ({_share(kept, came)}) + rejected:",
    ]
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row.rejected_frames)
    width = max([len(reason) for reason in reasons], default=0)
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"  {reason:<{width}}  {count:>8}  {_share(count, came):>6}")
    if not reasons:
        lines[-1] = lines[-1].replace(" + rejected:", " + 0 rejected")
    if skipped:
        kinds = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        lines.append(f"other files passed over: {kinds}")
    return lines


def rejections(rows: Iterable[Row]) -> list[str]:
    """Return one line per file that gave no clips."""
    return [f"{row.status} {row.source}/{row.path}: {row.reason}" for row in rows if not row.clips]


def write(rows: Sequence[Row], out: Path) -> None:
    """Write ``ledger.jsonl`` and ``ledger.parquet``, the same rows in the same order."""
    import pandas as pd

    records = [asdict(row) for row in rows]
    text = "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
    write_atomic(out / "ledger.jsonl", text.encode())
    for record in records:
        record["rejected_frames"] = json.dumps(record["rejected_frames"], sort_keys=True)
    buffer = io.BytesIO()
    columns = list(Row.__dataclass_fields__)
    pd.DataFrame(records, columns=columns).to_parquet(buffer, index=False)
    write_atomic(out / "ledger.parquet", buffer.getvalue())


def read(out: Path) -> list[Row]:
    """Return the rows of ``ledger.jsonl``; none where it is absent."""
    try:
        lines = (out / "ledger.jsonl").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Row(**json.loads(line)) for line in lines]


def account(
    row: Row,
    rejected: Mapping[str, int],
    tracks: Sequence[Mapping[str, JSON]],
    decisions: Mapping[str, str],
    split: str,
    spans: Mapping[str, tuple[int, int]] | None = None,
) -> Row:
    """Close the books of one video after its facetracks were judged.

    Parameters
    ----------
    row
        The row so far: names, hash, attempts, and ``frames``, all that came in.
    rejected
        Frames that no facetrack shows, by reason.
    tracks
        ``key``, ``start`` and ``stop`` of every facetrack; they may share frames.
    decisions
        Reason for leaving a facetrack out, by key; absent where it is packed.
    split
        Where its clips went.
    spans
        Frames [start, stop) of the video that a packed clip still shows, by key, where its fault
        took some away.
    """
    whole = {track["key"]: (int(track["start"]), int(track["stop"])) for track in tracks}
    packed = {key: span for key, span in whole.items() if key not in decisions}
    packed |= {key: span for key, span in (spans or {}).items() if key in packed}
    shown = {frame for span in packed.values() for frame in range(*span)}
    lost = Counter(rejected)
    counted = set(shown)
    for key, span in whole.items():
        # A frame that no clip shows goes to the first facetrack, in key order, that has it.
        frames = set(range(*span)) - counted
        if frames:
            lost[decisions.get(key, CUT)] += len(frames)
            counted |= frames
    if packed:
        status, step, reason = "kept", "pack", ""
    elif tracks:
        status = "rejected"
        step = "pack" if all(said.startswith("pack: ") for said in decisions.values()) else "sync"
        reason = "no facetrack passed: " + ", ".join(sorted(set(decisions.values())))
    else:
        status, step, reason = "rejected", "facetracks", why_empty(rejected)
    return replace(
        row,
        status=status,
        step=step,
        reason=reason,
        kept_frames=len(shown),
        rejected_frames=dict(sorted(lost.items())),
        tracks=len(tracks),
        clips=len(packed),
        clip_frames=sum(stop - start for start, stop in packed.values()),
        split=split if packed else "",
    )


def why_empty(rejected: Mapping[str, int]) -> str:
    """Say why a video gave no facetrack, the commonest reason first."""
    ordered = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{reason} ({count} frames)" for reason, count in ordered]
    return "no facetrack: " + (", ".join(parts) if parts else "it has no frames")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def _time(frames: int) -> str:
    seconds = frames / FPS
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.1f} s"
