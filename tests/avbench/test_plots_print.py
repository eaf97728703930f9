"""Figures fit where they are printed, and are the same bytes twice."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from figure_maker import KINDS, an_outcome, draw
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from avbench import plots, venues
from avbench.benchmark import Outcome
from avbench.errors import UsageError


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return an_outcome()


def texts_of(figure: Figure) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Return every text that is drawn, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    unseen.add(tick.label1)
    found = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in unseen:
            box = text.get_window_extent(canvas.get_renderer())
            found.append((text.get_text(), (box.x0, box.y0, box.x1, box.y1)))
    return found


@pytest.mark.parametrize("venue", ["screen", "interspeech-1", "ieee-1", "ieee-2", "neurips-1"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_cut_off_or_lies_on_another(outcome: Outcome, kind: str, venue: str) -> None:
    name, _, columns = venue.partition("-")
    options = {"width": venues.get(name).inches(int(columns))} if columns else {}
    figure = draw(outcome, kind, **options)
    texts = texts_of(figure)
    assert len(texts) > 5
    width, height = figure.get_size_inches() * figure.dpi
    if options:
        assert width == pytest.approx(options["width"] * figure.dpi)
    for text, (x0, y0, x1, y1) in texts:
        assert x0 >= -1, text
        assert y0 >= -1, text
        assert x1 <= width + 1, text
        assert y1 <= height + 1, text
    for (a, p), (b, q) in itertools.combinations(texts, 2):
        wide = min(p[2], q[2]) - max(p[0], q[0])
        high = min(p[3], q[3]) - max(p[1], q[1])
        assert wide <= 2 or high <= 2 or (a, p) == (b, q), f"{a!r} lies on {b!r}"


@pytest.mark.parametrize("suffix", plots.FORMATS)
def test_the_same_figure_gives_the_same_bytes(
    outcome: Outcome, tmp_path: Path, suffix: str
) -> None:
    for name in ("a", "b"):
        plots.save(draw(outcome, "accuracy"), tmp_path / "made" / f"{name}.{suffix}")
    first, second = ((tmp_path / "made" / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert len(list((tmp_path / "made").iterdir())) == 2


def test_another_process_gives_the_same_pdf_with_embedded_fonts(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np; from avbench import plots;"
        "m = np.add.outer(np.arange(12.0), np.arange(12.0)) / 22;"
        "plots.save(plots.similarity(m, offset=1, search=3), pathlib.Path(sys.argv[1]))"
    )
    made = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.pdf"
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], env=env, check=True)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert b"/FontFile2" in made[0]  # TrueType, embedded
    assert not re.search(rb"/Subtype\s*/Type3", made[0])


def test_other_endings_are_refused(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.pdf or \.svg"):
        plots.save(draw(outcome, "accuracy"), tmp_path / "figure.jpg")
    with pytest.raises(UsageError, match="let them agree"):
        plots.save(draw(outcome, "accuracy"), tmp_path / "figure.png", "pdf")
