"""``avbench redub`` on stored recordings whose mouths are their brightness."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from avbench import plugins
from avbench.cli import main
from avbench.data import Alignment, Clip, Embeddings, FloatArray, Prediction, UInt8Array
from avbench.media import VideoWriter, encode_sound
from avbench.methods import Aligned
from avbench.shards import Sample, ShardWriter, finish_set
from avbench.similarity import similarity_matrix

SPEAKERS, SENTENCES = 3, 2


class Bright:
    """Finds for every sound the picture that is as bright as the sound is loud."""

    name = "bright"
    BIBTEX = ""
    extractor = "bright"

    @classmethod
    def load(cls, checkpoint: Path | None = None) -> Bright:
        return cls()

    def embed(self, clip: Clip) -> Embeddings:
        bright = clip.frames.mean(axis=(1, 2, 3)) / 255
        loud = np.sqrt((clip.audio.reshape(-1, 640) ** 2).mean(axis=1)) * 2
        rows = [np.stack([np.cos(3 * x), np.sin(3 * x)], axis=1)[2:-2] for x in (bright, loud)]
        return Embeddings(*(row.astype(np.float32) for row in rows))

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        near = similarity_matrix(audio, video)
        lead = (video.shape[1] - audio.shape[1]) // 2
        apart = np.arange(video.shape[1]) - np.arange(audio.shape[1])[:, None] - lead
        return Aligned((near - 1e-3 * np.abs(apart)).argmax(axis=-1).astype(float))

    def predict(self, clip: Clip) -> Prediction:
        return Prediction(clip.key, Alignment.from_offset(0, len(clip)))


class Sure(Bright):
    """The same, saying how probable each picture is."""

    name = "sure"

    @classmethod
    def load(cls, checkpoint: Path | None = None) -> Sure:
        return cls()

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        found = super().align(video, audio).index
        near = 20.0 * similarity_matrix(audio, video)
        return Aligned(found, near - np.logaddexp.reduce(near, axis=-1, keepdims=True))


def lips(frames: UInt8Array) -> np.ndarray:
    """Say that a mouth is as open and as wide as its picture is bright."""
    points = np.zeros((len(frames), 68, 2))
    points[:, 66, 1] = points[:, 64, 0] = frames.mean(axis=(1, 2, 3))
    return points


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "bright": f"{__name__}:Bright",
        "sure": f"{__name__}:Sure",
        "oracle": "baselines.oracle:Oracle",
    }
    found = [EntryPoint(name, value, plugins.METHODS) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    monkeypatch.setattr("avbench.redub.measuring.lips", lips)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build recordings, a list of them and truth files; one listed file has no clip."""
    root = tmp_path_factory.mktemp("made")
    lines = ["file,speaker,sentence", "gone.mp4,x,sentence-0"]
    with ShardWriter(root / "shards", "redub", "test") as writer:
        for sentence in range(SENTENCES):
            levels = np.random.default_rng(sentence).integers(0, 12, 12)
            for speaker in range(SPEAKERS):
                name = f"r-{sentence}-{speaker}"
                rng = np.random.default_rng([sentence, speaker])
                counts = rng.integers(3, 6, len(levels))
                shown = np.repeat(levels, counts) / 12
                path = root / f"{name}.mp4"
                with VideoWriter(path) as video:
                    for level in shown:
                        video.write(np.full((32, 32, 3), round(255 * level), np.uint8))
                sound = np.repeat(shown / 2, 640) * np.sign(rng.standard_normal(len(shown) * 640))
                truth = Alignment.from_offset(0, len(shown))
                data = encode_sound(sound.astype(np.float32))
                writer.add(
                    Sample(f"{name}-00", path.read_bytes(), data, truth, {}), path=f"{name}.mp4"
                )
                lines.append(f"{name}.mp4,speaker-{speaker},sentence-{sentence}")
                (root / f"{name}.truth.json").write_text(planted(counts, shown), "utf-8")
    finish_set(root / "shards", writer.shards, {"dataset": "redub", "synthetic": True})
    (root / "recordings.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def planted(counts: np.ndarray, shown: np.ndarray) -> str:
    ends = np.cumsum(counts) / 25
    face = {
        "boxes": [[0, 0, 10, 10]] * len(shown),
        "mouth_width_px": shown.tolist(),
        "mouth": {"opening": shown.tolist()},
    }
    phones = [
        [f"p{k}", float(end - n / 25), float(end)]
        for k, (n, end) in enumerate(zip(counts, ends, strict=True))
    ]
    return json.dumps({"shots": [{"phones": phones, "faces": [face]}]})


def avbench(made: Path, out: Path, *words: object) -> Result:
    given = ["redub", "--shards", made / "shards", "--out", out, *words]
    return CliRunner().invoke(main, [str(word) for word in given])


def usual(made: Path) -> tuple[Any, ...]:
    return ("--recordings", made / "recordings.csv", "--truth", made)


def test_all_pairs_are_measured_and_written(made: Path, tmp_path: Path) -> None:
    done = avbench(made, tmp_path, *usual(made), "--method", "bright")
    assert done.exit_code == 0, done.output
    assert "1 of 7 recordings have no clip as long as their truth" in done.output
    assert (tmp_path / "table.txt").read_text("utf-8") in done.output
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    count = SENTENCES * SPEAKERS * (SPEAKERS - 1)
    assert pairs.groupby("method").size().to_dict() == {
        "no-alignment": count,
        "truth": count,
        "bright": count,
    }
    means = pairs.groupby("method")[["height", "truth_height", "mcd"]].mean()
    assert means.loc["truth", "height"] > 0.8
    assert means.loc["truth", "height"] > means.loc["no-alignment", "height"] + 0.2
    assert means.loc["bright", "truth_height"] > means.loc["no-alignment", "truth_height"] + 0.2
    assert means["mcd"].notna().all()
    run = json.loads((tmp_path / "redub.json").read_text("utf-8"))
    assert run["recordings"] == {"listed": 7, "used": 6}
    assert [one["method"] for one in run["reports"]] == ["no-alignment", "truth", "bright"]
    assert run["reports"][1]["errors"]["accuracy@0"] == 1.0
    assert run["reports"][0]["means"]["height"] == pytest.approx(
        means.loc["no-alignment", "height"], abs=1e-4
    )
    assert run["mouth"] == "mouth/axis@1"


def test_a_recording_that_was_cut_is_left_out(made: Path, tmp_path: Path) -> None:
    for file in made.glob("*.truth.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "r-0-0.truth.json").write_text(planted(np.array([3, 4]), np.ones(7)), "utf-8")
    words = ("--recordings", made / "recordings.csv", "--truth", tmp_path, "--no-sound")
    done = avbench(made, tmp_path / "out", *words)
    assert done.exit_code == 0, done.output
    assert "2 of 7 recordings have no clip as long as their truth" in done.output
    pairs = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert not pairs["pair"].str.contains(r"speaker-0.*sentence-0").any()
    assert pairs["pair"].str.contains(r"speaker-0.*sentence-1").any()


def test_methods_are_asked_as_fits_them_unless_told_otherwise(made: Path, tmp_path: Path) -> None:
    both = ("--method", "bright", "--method", "sure", "--no-sound", "--limit", 2)

    def how(*words: object) -> tuple[Any, float]:
        done = avbench(made, tmp_path, *usual(made), *both, *words)
        assert done.exit_code == 0, done.output
        run = json.loads((tmp_path / "redub.json").read_text("utf-8"))
        told = [f"{way} ({name})" for name, way in run["how"].items()]
        assert all(part in done.output for part in told)
        turns = {one["method"]: one["frames"]["deleted"] for one in run["reports"]}
        return run["how"], turns["sure"]

    assert how()[0] == {"bright": "weighted-chain", "sure": "viterbi"}
    assert how("--how", "sure=median", "--how", "bright=chain")[0] == {
        "bright": "chain",
        "sure": "median",
    }
    free, dear = (how("--turn", turn)[1] for turn in (0, 1000))
    assert free > dear


def test_the_same_numbers_come_twice(made: Path, tmp_path: Path) -> None:
    words = (*usual(made), "--method", "bright", "--no-sound", "--limit", 3)
    for name in ("a", "b"):
        assert avbench(made, tmp_path / name, *words).exit_code == 0
    first, second = ((tmp_path / name / "pairs.csv").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first.splitlines()) == 1 + 3 * 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "either --recordings FILE.csv or --tcd-timit"),
        (("--tcd-timit",), "found 0 volunteers"),
        (("--recordings", "absent.csv"), "cannot be read"),
        (("--method", "oracle"), "one offset for a whole clip"),
        (("--checkpoint", "bright=x"), "expected NAME=PATH"),
        (("--method", "bright", "--how", "guess"), "a HOW of chain"),
        (("--method", "bright", "--how", "sure=chain"), "the NAME of a --method"),
        (("--method", "bright", "--how", "viterbi"), "says no probabilities"),
        (("--truth", "nowhere"), "no truth file of one speaker"),
    ],
)
def test_mistakes_get_one_sentence(
    made: Path, tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    given: list[object] = list(words)
    if words and words[0] not in ("--tcd-timit", "--recordings"):
        given += ["--recordings", made / "recordings.csv"]
    done = avbench(made, tmp_path, *given)
    assert done.exit_code in (1, 2, 3), done.output
    assert complaint in done.output
    assert "Traceback" not in done.output
