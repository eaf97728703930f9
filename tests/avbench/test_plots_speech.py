"""Which frames speak, and how often methods are right where there is speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from avbench import plots
from avbench.cli import main
from avbench.data import Alignment
from avbench.errors import DataError
from avbench.media import VideoWriter, encode_sound
from avbench.plots.speech import EDGES
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.speech import REACH_DB, speaking
from avbench.timing import SAMPLES_PER_FRAME

FRAMES = 60
LENGTH = 10


def sound(loud: range, quiet_db: float = -60.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Noise that is loud in a range of frames, and so much less elsewhere."""
    gain = np.full(FRAMES, 10 ** (quiet_db / 20))
    gain[loud.start : loud.stop] = 1.0
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, FRAMES * SAMPLES_PER_FRAME)
    return np.asarray(noise * np.repeat(gain, SAMPLES_PER_FRAME), np.float32)


@given(start=st.integers(0, 40), count=st.integers(8, 20), gain=st.floats(1e-3, 1.0))
def test_loud_frames_speak_whatever_the_gain(start: int, count: int, gain: float) -> None:
    """Of a recording that is loud for at least a tenth of its length."""
    heard = speaking(sound(range(start, start + count)) * gain)
    assert np.flatnonzero(heard).tolist() == list(range(start, start + count))


def test_what_is_not_much_less_loud_speaks_too() -> None:
    assert speaking(sound(range(20, 40), 5 - REACH_DB)).all()
    assert not speaking(sound(range(20, 40), -5 - REACH_DB))[:20].any()


def test_silence_and_nothing_do_not_speak() -> None:
    assert not speaking(np.zeros(FRAMES * SAMPLES_PER_FRAME, np.float32)).any()
    assert speaking(np.zeros(SAMPLES_PER_FRAME - 1, np.float32)).shape == (0,)


def answers() -> pd.DataFrame:
    """One method that is right wherever the sound speaks at least half of the time."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(400):
        start, displacement = int(rng.integers(5, 45)), int(rng.integers(-5, 6))
        heard = spoken()["a"][start + displacement :][:LENGTH].mean()
        said = displacement if heard >= 0.5 else displacement + 3
        rows.append(["m", LENGTH, "a", f"s{number % 9}", start, displacement, displacement, said])
    names = ["method", "length", "key", "source", "start", "displacement", "offset", "predicted"]
    return pd.DataFrame(rows, columns=names).astype({"predicted": "Int64"})


def spoken() -> dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    return {"a": np.arange(FRAMES) >= 30}


def test_windows_are_counted_by_the_speech_in_their_own_sound() -> None:
    found = answers()
    table = plots.speech_table(found, spoken(), methods=["m"], length=LENGTH)
    between = table[table["kind"] == "between"].set_index("least")
    assert between["questions"].sum() == len(found)
    assert between["share"].sum() == pytest.approx(1)
    assert between.loc[[0.0, 0.2], "value"].tolist() == [0, 0]
    assert between.loc[[0.6, 0.8], "value"].tolist() == [1, 1]
    assert 0 < between.loc[0.4, "value"] < 1
    above = table[table["kind"] == "from"].set_index("least")
    assert above["questions"].is_monotonic_decreasing
    assert above.loc[0.0, "value"] == pytest.approx(
        (found["offset"] == found["predicted"]).mean(), abs=1e-12
    )
    assert (table["low"] <= table["value"]).all()
    assert (table["high"] >= table["value"]).all()
    wide = plots.speech_table(found, spoken(), methods=["m"], length=LENGTH, tolerance=3)
    assert wide["value"].tolist() == [1.0] * 2 * (len(EDGES) - 1)


def test_an_unanswered_question_is_wrong() -> None:
    found = answers().assign(predicted=pd.array([pd.NA] * 400, "Int64"))
    table = plots.speech_table(found, spoken(), methods=["m"], length=LENGTH, tolerance=99)
    assert table["value"].tolist() == [0.0] * 2 * (len(EDGES) - 1)


def test_another_set_is_not_taken_for_the_measured_one() -> None:
    with pytest.raises(DataError, match="clip a was measured and is not there"):
        plots.speech_table(answers(), {"b": spoken()["a"]}, methods=["m"], length=LENGTH)


def test_the_figure_has_a_point_for_every_range_with_windows() -> None:
    never = {"a": np.ones(FRAMES, np.bool_)}
    table = plots.speech_table(answers(), never, methods=["m"], length=LENGTH)
    assert table[table["kind"] == "between"]["questions"].tolist() == [0, 0, 0, 0, 400]
    (axes,) = plots.speech(table, length=LENGTH, tolerance=0).axes
    (line,) = (line for line in axes.lines if line.get_marker() in plots.MARKERS)
    assert np.allclose(line.get_xdata(), [90])
    assert [bar.get_height() for bar in axes.patches] == [100]


def test_the_command_listens_to_the_shards(tmp_path: Path) -> None:
    shards, results = tmp_path / "shards", tmp_path / "results"
    shards.mkdir()
    with ShardWriter(shards, "noise", "test") as writer:
        for number in range(3):
            path = tmp_path / f"{number}.mp4"
            with VideoWriter(path) as video:
                for _ in range(FRAMES):
                    video.write(np.full((48, 48, 3), 99, np.uint8))
            data = encode_sound(sound(range(20, 60)))
            truth = Alignment.from_offset(0, FRAMES)
            facts = {"video_id": f"v{number}"}
            writer.add(Sample(f"noise-{number}-00", path.read_bytes(), data, truth, facts))
    finish_set(shards, writer.shards, {"dataset": "noise", "synthetic": True})
    measured = ("--method", "constant", "--reference", "none", "--shards", shards, "--lengths", 11)
    assert avbench("run", *measured, "--out", results) == (0, True)
    figure, data = tmp_path / "speech.pdf", tmp_path / "speech.csv"
    words = ("plot", "speech", results, "--out", figure, "--data", data)
    assert avbench(*words, "--shards", shards) == (0, True)
    assert figure.read_bytes().startswith(b"%PDF-")
    table = pd.read_csv(data)
    assert set(table["method"]) == {"constant"}
    between = table[table["kind"] == "between"]
    assert between["questions"].sum() == 30
    assert (between["questions"] > 0).sum() > 1
    code, calm = avbench(*words, "--shards", tmp_path / "absent")
    assert (code != 0, calm) == (True, True)


def avbench(*arguments: object) -> tuple[int, bool]:
    """Return the exit code, and whether no stack was shown."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return done.exit_code, "Traceback" not in done.output
