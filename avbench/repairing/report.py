"""What was done to a video: as JSON, as a table of edits, and as a page with figures."""

from __future__ import annotations

import csv
import html
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avbench.data import JSON, FloatArray
from avbench.errors import UsageError
from avbench.media.retime import Retimed
from avbench.plots import style
from avbench.repairing.faces import FaceRepair
from avbench.repairing.mend import Repair
from avbench.repairing.plan import edit_rows
from avbench.shards import write_json
from avbench.timing import FPS, offset_to_ms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDIT_ENDINGS = (".csv", ".json")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top;
  font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; }
.edits { max-height: 24rem; overflow: auto; }
"""


def summary(repair: Repair) -> str:
    """Say what was found in one sentence without its full stop."""
    drift = np.abs(repair.drift)
    counts = repair.retiming
    if not drift.any():
        return f"in sync already; confidence {repair.grade}"
    left = max((face.surety.remains for face in repair.used), key=lambda r: (np.isnan(r), r))
    about = "" if np.isnan(left) else f", about {_ms(left)} may remain"
    return (
        f"picture and sound are {_ms(drift.mean())} apart on average, {_ms(drift.max())} at most; "
        f"{counts.duplicated} pictures shown again, {counts.deleted} left out; "
        f"confidence {repair.grade}{about}"
    )


def _ms(frames: float) -> str:
    return f"{offset_to_ms(float(frames)):.0f} ms"


def as_json(repair: Repair, written: Retimed | None = None) -> dict[str, JSON]:
    """Describe a repair, every face and every edit."""
    drift, counts = np.abs(repair.drift), repair.retiming
    entry: dict[str, JSON] = {
        "file": str(repair.video),
        "sound": str(repair.sound),
        "frames": len(repair.video_index),
        "source_frames": repair.num_video,
        "confidence": repair.grade,
        "words": summary(repair),
        "mean_drift_ms": _known(offset_to_ms(float(drift.mean()))),
        "max_drift_ms": _known(offset_to_ms(float(drift.max()))),
        "pictures": {
            name: getattr(counts, name)
            for name in ("output", "source", "unique", "duplicated", "deleted", "consecutive")
        },
        "pictures_per_100": {k: _known(v) for k, v in counts.per_100().items()},
        "faces_found": repair.found,
        "faces": [_face_json(face, face in repair.used) for face in repair.faces],
        "notes": list(repair.notes),
        "edits": edit_rows(repair.edits),
    }
    if written is not None:
        entry["written"] = {
            "file": str(written.path),
            "frames": written.frames,
            "fps": str(written.fps),
            "sound_s": round(written.sound_s, 6),
            "codec": written.codec,
            "warnings": list(written.warnings),
        }
    return entry


def _face_json(face: FaceRepair, used: bool) -> dict[str, JSON]:
    return {
        "face": face.number,
        "used": used,
        "start_s": round(face.start / FPS, 3),
        "stop_s": round(face.stop / FPS, 3),
        "centre": [round(value, 1) for value in face.centre],
        "held_pictures": face.held,
        "confidence": _known(face.surety.confidence),
        "p_value": _known(face.surety.p_value),
        "grade": face.surety.grade,
        "doubt": _known(face.surety.doubt),
        "chance_doubt": _known(face.surety.chance_doubt),
        "drift_ms": _known(offset_to_ms(face.surety.drift)),
        "remains_ms": _known(offset_to_ms(face.surety.remains)),
        "agreement_before": _known(float(face.before.mean())),
        "agreement_after": _known(float(face.after.mean())),
        "over_time": {
            "before": [_known(round(float(v), 3)) for v in face.before[:: FPS // 5]],
            "after": [_known(round(float(v), 3)) for v in face.after[:: FPS // 5]],
            "every_s": 1 / 5,
        },
    }


def _known(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def write_edits(repair: Repair, path: Path) -> None:
    """Write the list of edits as CSV or JSON, by the ending of the name.

    Raises
    ------
    UsageError
        If the name ends otherwise.
    """
    check_edits(path)
    rows = edit_rows(repair.edits)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        write_json(path, {"format": 1, "fps": FPS, "file": str(repair.video), "edits": rows})
        return
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    _write(path, text.getvalue())


def check_edits(path: Path) -> None:
    """Refuse a name for the list of edits that does not say its form."""
    if path.suffix.lower() not in EDIT_ENDINGS:
        raise UsageError(f"--edits {path}: end its name in {' or '.join(EDIT_ENDINGS)}")


def write_page(repair: Repair, path: Path, written: Retimed | None = None) -> None:
    """Write a page that opens from the disk: what was found, two figures, and all edits."""
    entry = as_json(repair, written)
    facts = {
        "Video": entry["file"],
        "Sound": entry["sound"],
        "Confidence": entry["confidence"],
        "Apart on average": f"{entry['mean_drift_ms']} ms",
        "Apart at most": f"{entry['max_drift_ms']} ms",
        "Pictures": ", ".join(f"{value} {name}" for name, value in entry["pictures"].items()),
        "Written": entry["written"]["file"] if written else "nothing",
    }
    lines = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in facts.items())
    body = (
        f"<h1>{_text(repair.video.name)}</h1><p>{_text(entry['words'])}.</p><table>{lines}</table>"
        f"<h2>Over time</h2>{_svg(figure(repair))}<h2>Faces</h2>{_table(_faces(entry))}"
        f'<h2>Edits</h2><div class="edits">{_table(entry["edits"])}</div>'
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Repair of {_text(repair.video.name)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, page)


def _faces(entry: dict[str, JSON]) -> list[dict[str, JSON]]:
    names = ("face", "used", "start_s", "stop_s", "held_pictures", "confidence", "grade")
    more = ("agreement_before", "agreement_after")
    return [{name: face[name] for name in (*names, *more)} for face in entry["faces"]]


def _table(rows: list[dict[str, Any]]) -> str:
    head = "".join(f"<th>{_text(name.replace('_', ' '))}</th>" for name in rows[0])
    lines = "".join(
        "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _text(value: object) -> str:
    return html.escape(str(value))


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def figure(repair: Repair, *, width: float = 7.0) -> Figure:
    """Draw how far sound and picture are apart over time, and how well they agree.

    Above, the drift that was found, in milliseconds, and what may remain of it; below, the
    agreement in the second around each instant, before and after, in units of the spread of sound
    that does not belong.
    """
    with style.styled():
        drawn = style.new_figure(width, 0.55 * width)
        above, below = drawn.subplots(2, 1, sharex=True)
        time = np.arange(len(repair.drift)) / FPS
        above.step(time, offset_to_ms(1) * repair.drift, where="post", color=style.PALETTE[0])
        for face in repair.used:
            _doubt(above, repair, face)
        above.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
        above.set_ylabel("Sound early by (ms)")
        for face in repair.used:
            _lines(below, face, first=face is repair.used[0])
        below.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
        below.set_ylabel("Agreement above chance\n(its standard deviations)")
        below.set_xlabel("Time in the sound (s)")
        below.legend(loc="best")
    return drawn


def _lines(axes: Axes, face: FaceRepair, *, first: bool) -> None:
    looks: tuple[tuple[FloatArray, str, str], ...] = (
        (face.before, style.FAINT, "before"),
        (face.after, style.PALETTE[2], "after"),
    )
    for values, color, name in looks:
        time = (face.start + 2 + np.arange(len(values))) / FPS
        axes.plot(time, values, color=color, label=name if first else None)


def _doubt(axes: Axes, repair: Repair, face: FaceRepair) -> None:
    """Shade what may remain, where the aligner tells."""
    if np.isnan(face.doubt).any():
        return
    place = face.start + 2 + np.arange(len(face.doubt))
    middle, room = repair.drift[place], face.doubt
    low, high = offset_to_ms(1) * (middle - room), offset_to_ms(1) * (middle + room)
    axes.fill_between(place / FPS, low, high, color=style.PALETTE[0], alpha=0.15, linewidth=0)


def _svg(drawn: Figure) -> str:
    text = io.StringIO()
    with style.styled():
        drawn.savefig(text, format="svg", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]
