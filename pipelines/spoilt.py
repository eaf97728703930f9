"""Pictures that show nothing although they decode: grey ones, and those with concealed damage.

A decoder that has to begin without the picture that the next ones build on begins from mid grey.
What follows are shadows on grey, until a picture comes that is coded by itself. Decoders of MPEG-4
and its relatives hand such pictures out and flag none of them; and where a recording was once
converted in this way, they are coded so for good, and no decoder has anything to complain of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avbench.data import JSON
from avbench.media import Frame

GREY = "grey-picture"
"""Reason for which frames are in no track."""
GREY_KINDS = {
    "grey-coded": "grey instead of a picture, coded so as in a copy of a recording whose first key "
    "picture was missing; no other way of decoding shows more",
    "grey-missing": "grey instead of a picture, because the key picture that they build on is "
    "missing in the file; only a whole copy of it shows more",
}
"""Kind -> what is said of its frames."""
KINDS = {**GREY_KINDS, "concealed": "damage that the decoder concealed"}
_ROWS = 48
"""At least so many rows of a picture are looked at, and as dense columns."""
_MID, _NEAR = 128.0, 6.0
"""Brightness that decoders begin from, and how far from it these pictures are on average."""
_EMPTY, _FAINT = 8.0, 20.0
"""Most that the brightness of the first picture of a stretch spreads, and of those after it. In the
five clips of GRID's first speaker that begin so, up to 11; in all others 34 and more."""
_NAMED = 4
"""Stretches of a kind that are named."""


class Spoilt:
    """Collects, frame by frame, what of a video shows nothing."""

    def __init__(self) -> None:
        self._spans: list[dict[str, JSON]] = []
        self._last: dict[str, dict[str, JSON]] = {}

    @property
    def spans(self) -> list[dict[str, JSON]]:
        """``kind``, one of `KINDS`, and frames [``start``, ``stop``) of every stretch, in order."""
        return [dict(span) for span in self._spans]

    def see(self, frame: Frame) -> None:
        """Look at the next frame."""
        if frame.corrupt:
            self._add("concealed", frame.index)
        going_on = next((kind for kind in GREY_KINDS if self._adjoins(kind, frame.index)), None)
        if is_grey(frame, _EMPTY if going_on is None else _FAINT):
            self._add(going_on or ("grey-coded" if frame.key else "grey-missing"), frame.index)

    def _adjoins(self, kind: str, frame: int) -> bool:
        return kind in self._last and self._last[kind]["stop"] == frame

    def _add(self, kind: str, frame: int) -> None:
        if self._adjoins(kind, frame):
            self._last[kind]["stop"] = frame + 1
        else:
            self._last[kind] = {"kind": kind, "start": frame, "stop": frame + 1}
            self._spans.append(self._last[kind])


def is_grey(frame: Frame, most: float) -> bool:
    """Return whether a picture is mid grey, with a spread of brightness of ``most`` or less."""
    # Of a picture in RGB all three colours are looked at: in grey they are the same.
    plane = frame.whole.planes[0]
    step = max(min(plane.shape[:2]) // _ROWS, 1)
    levels = plane[::step, ::step]
    return abs(float(levels.mean()) - _MID) <= _NEAR and float(levels.std()) <= most


def sentences(spans: Sequence[Mapping[str, JSON]]) -> list[str]:
    """Return one sentence for each kind of stretch, which names the frames.

    >>> sentences([{"kind": "concealed", "start": 7, "stop": 8}])
    ['frames 7: damage that the decoder concealed']
    """
    found = []
    for kind, said in KINDS.items():
        own = [span for span in spans if span["kind"] == kind]
        if own:
            words = [_words(span["start"], span["stop"]) for span in own[:_NAMED]]
            more = f" and {len(own) - _NAMED} more stretches" if len(own) > _NAMED else ""
            found.append(f"frames {', '.join(words)}{more}: {said}")
    return found


def _words(start: int, stop: int) -> str:
    return f"{start}–{stop - 1}" if stop - start > 1 else str(start)  # noqa: RUF001
