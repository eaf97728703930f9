from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pages_maker
import pytest
from click.testing import CliRunner

from avbench import media
from avbench.cli import main
from avbench.errors import DataError, UsageError
from avbench.pages.model import Entry, Source, Track
from avbench.pages.overlay import INK, KEPT, LOST, draw_tracks, find_source, words, write_overlay

sys.path.insert(0, str(Path(__file__).parents[2] / "pipelines"))
from fake_facetracks import write_source


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return pages_maker.make(tmp_path_factory.mktemp("built"), patch)


def film(built: Path, name: str = "two-faces.mp4") -> Path:
    return built.parent / "films" / name


def near(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - colour).max(axis=2) < 40


def test_boxes_are_drawn_in_their_frames_and_nowhere_else() -> None:
    still = np.full((400, 600, 3), 120, np.uint8)
    box = [200.0, 150.0, 300.0, 250.0]
    kept = Track(10, 12, key="film-0003-01", boxes=[box, [400.0, 150.0, 500.0, 250.0]])
    found = Source(Entry("s", "film.mp4", frames=20), [kept], shots=[(0, 20)])
    for frame, x in ((10, 200), (11, 400)):
        drawn = near(draw_tracks(still, found, frame), KEPT)
        assert drawn[160:240, x].all()
        assert drawn[150, x : x + 100].all()
        assert not drawn[160:240, x + 10 : x + 90].any()
    assert (still == 120).all()
    for frame in (9, 12):
        drawn = draw_tracks(still, found, frame)
        assert not near(drawn, KEPT).any()
        assert near(drawn[:40], INK).any()  # the number of the frame


def test_rejected_tracks_are_red_with_their_reason() -> None:
    still = np.full((400, 600, 3), 120, np.uint8)
    box = [200.0, 150.0, 300.0, 250.0]
    placed = Track(0, 1, "sync: offset beyond 3 frames", "film-0000-00", boxes=[box])
    nowhere = Track(0, 1, "track-too-short", shot=4)
    found = Source(Entry("s", "film.mp4", frames=1), [placed, nowhere])
    drawn = near(draw_tracks(still, found, 0), LOST)
    assert drawn[160:240, 200].all()
    assert drawn[370:, :200].any()
    assert words(nowhere) == "shot 4  track-too-short"
    measured = Track(0, 1, "why", "a-0001-02", sync={"offset": -9, "confidence": 0.4})
    assert words(measured) == "0001-02  -9  conf 0.400  why"


def test_the_film_keeps_length_and_sound_and_the_source_its_bytes(
    built: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(film(built).read_bytes())
    before = hashlib.sha256(moved.read_bytes()).hexdigest()
    done = CliRunner().invoke(
        main, ["overlay", str(built), str(moved), "--out", str(tmp_path / "new" / "over.mkv")]
    )
    assert done.exit_code == 0, done.output
    assert "(60 frames)" in done.output
    over = tmp_path / "new" / "over.mkv"
    pictures = [frame.image for frame in media.iter_frames(over)]
    assert len(pictures) == 60
    sound, own = media.read_audio(over, 60), media.read_audio(moved, 60)
    assert np.corrcoef(sound, own)[0, 1] > 0.8
    assert hashlib.sha256(moved.read_bytes()).hexdigest() == before


def test_a_track_that_sync_rejected_still_has_its_boxes(built: Path) -> None:
    found = find_source(built, film(built))
    lost = next(track for track in found.rejected if track.key)
    assert lost.reason.startswith("sync: ")
    assert len(lost.boxes) == len(lost) == 45
    assert all(len(track.boxes) == len(track) for track in found.kept)


def test_other_films_and_the_film_itself_are_refused(built: Path, tmp_path: Path) -> None:
    other = write_source(tmp_path / "other.mp4", seed=99)
    with pytest.raises(UsageError, match="none has these bytes"):
        write_overlay(built, other, tmp_path / "over.mp4")
    with pytest.raises(UsageError, match="is the source itself"):
        write_overlay(built, film(built), film(built))
    with pytest.raises(UsageError, match="cannot be read"):
        write_overlay(built, tmp_path / "absent.mp4", tmp_path / "over.mp4")
    bare = pages_maker.make_bare(tmp_path)
    with pytest.raises(DataError, match=r"no ledger\.parquet"):
        write_overlay(bare, other, tmp_path / "over.mp4")
    assert not (tmp_path / "over.mp4").exists()
