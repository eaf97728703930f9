"""One contract for every registered method, as it is installed."""

from __future__ import annotations

import inspect
import pickle

import cv2
import numpy as np
import pytest

from avbench import methods
from avbench.benchmark import evaluate, unfit
from avbench.data import Alignment, Clip
from avbench.methods import Aligner, EmbeddingMethod, Method
from avbench.synthetic import render_talking
from avbench.tasks import OffsetTask
from avbench.timing import SAMPLES_PER_FRAME

LENGTHS = OffsetTask().lengths
NAMES = methods.available()
every_method = pytest.mark.parametrize("name", NAMES)
LONG = {"tae", "tae-no-attention"}
"""Made for three seconds of picture: of 20 frames these small decoders know next to nothing."""


def load(name: str) -> Method:
    return methods.load(name, search=5)


def told(method: Method) -> bool:
    return bool(getattr(method, "sees_truth", False))


def noise(num_frames: int, seed: int = 0) -> Clip:
    """Make a clip of noise, as no method expects it."""
    rng = np.random.default_rng(seed)
    return Clip(
        key=f"noise-{seed}",
        frames=rng.integers(0, 256, (num_frames, 64, 64, 3), dtype=np.uint8),
        audio=rng.uniform(-1, 1, num_frames * SAMPLES_PER_FRAME).astype(np.float32),
        alignment=Alignment.from_offset(0, num_frames),
    )


def drawn(index: int) -> Clip:
    """Make a clip of a drawn head, cut out as the facetrack pipeline does."""
    made = render_talking(index, pool="test", preset="easy-v1", seconds=3.0)
    boxes = made.truth.shots[0].faces[0].drawn.boxes
    x0, y0, x1, y1 = np.median(boxes, axis=0)
    half = max(x1 - x0, y1 - y0) / 2
    left, top, side = (x0 + x1) / 2 - 1.4 * half, (y0 + y1) / 2 - half, 2.8 * half
    scale = 224 / side
    warp = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
    grey = (110, 110, 110)
    frames = [
        cv2.warpAffine(image, warp, (224, 224), flags=cv2.INTER_AREA, borderValue=grey)
        for image in made.pictures()
    ]
    truth = Alignment.from_offset(0, len(frames))
    return Clip(f"drawn-{index}", np.stack(frames).astype(np.uint8), made.audio, truth)


@pytest.fixture(scope="module")
def heads() -> list[Clip]:
    return [drawn(index) for index in range(3)]


@every_method
def test_it_says_what_it_is(name: str) -> None:
    method = load(name)
    assert isinstance(method, Method)
    assert method.name == name
    assert method.BIBTEX == "" or method.BIBTEX.startswith("@")
    line = (inspect.getdoc(type(method)) or "").partition("\n")[0]
    assert line.endswith((".", ";")), "the first line of the docstring is what people see"


@every_method
@pytest.mark.parametrize("length", LENGTHS)
def test_it_answers_every_length_and_leaves_the_clip_alone(name: str, length: int) -> None:
    method = load(name)
    clip = noise(length)
    seen = clip if told(method) else clip.without_truth()
    frames, audio = clip.frames.copy(), clip.audio.copy()
    prediction = method.predict(seen)
    assert prediction.key == clip.key
    if isinstance(method, Aligner):
        shown = prediction.alignment.video_index
        assert len(shown) == length
        assert shown.min() >= 0
        assert shown.max() < length
        assert (np.diff(shown) >= 0).all()
    else:
        assert prediction.offset is not None
        assert abs(prediction.offset) <= 5
    if prediction.scores is not None:
        assert prediction.scores.shape == (11,)
        assert int(np.argmax(prediction.scores)) - 5 == prediction.offset
    assert np.array_equal(clip.frames, frames)
    assert np.array_equal(clip.audio, audio)


@every_method
def test_it_gives_the_same_answer_again(name: str) -> None:
    method, again = load(name), load(name)
    copy = pickle.loads(pickle.dumps(method))
    for seed in range(3):
        clip = noise(15, seed)
        seen = clip if told(method) else clip.without_truth()
        first = method.predict(seen)
        for other in (method, again, copy):
            second = other.predict(seen)
            assert np.array_equal(second.alignment.video_index, first.alignment.video_index)
            assert second.confidence == pytest.approx(first.confidence, nan_ok=True)
            if first.scores is not None:
                assert np.array_equal(second.scores, first.scores)


@every_method
def test_a_slice_of_a_clip_answers_as_the_window_itself(name: str) -> None:
    method = load(name)
    if isinstance(method, Aligner):
        pytest.skip("its rows are asked for in test_aligners")
    if not isinstance(method, EmbeddingMethod):
        assert not hasattr(method, "compare"), "a method that compares must embed as well"
        return
    clip = noise(40).without_truth()
    rows = method.embed(clip)
    assert len(rows.video) == len(rows.audio) == 36
    assert method.extractor == load(name).extractor
    for start, offset in ((5, 0), (9, 4), (12, -5)):
        window = clip.window(start, 15, offset)
        alone = method.embed(window)
        video, audio = rows.video[start : start + 11], rows.audio[start + offset :][:11]
        assert np.allclose(alone.video, video, atol=1e-4)
        assert np.allclose(alone.audio, audio, atol=1e-4)
        scores = method.compare(np.stack([video, video]), np.stack([audio, audio]))
        assert scores.shape == (2, 11)
        assert np.allclose(scores[0], scores[1], atol=1e-5)
        predicted = method.predict(window)
        assert np.allclose(np.asarray(predicted.scores), scores[0], atol=1e-3)


def test_all_methods_stand_where_they_should(heads: list[Clip]) -> None:
    """The oracle is perfect, a constant is at chance, and the others know early from late."""
    task = OffsetTask(lengths=(20,), repeats=12, windows_per_clip=2)
    names = [name for name in NAMES if name not in LONG]
    asked = [method for name in names if not unfit(method := load(name), task)]
    assert {method.name for method in asked} >= {"constant", "oracle", "syncnet", "sync-e2e"}
    outcome = evaluate(asked, heads, task)
    assert not outcome.failures
    assert not outcome.refusals
    for name, part in outcome.predictions.groupby("method"):
        truth, said = (part[c].to_numpy(dtype=float) for c in ("offset", "predicted"))
        right = float(np.mean(truth == said))
        if name == "oracle":
            assert right == 1
        elif name == "constant":
            assert right < 0.25
        else:
            assert right > 0.3, f"{name} finds {right:.2f}, where chance is 0.09"
            assert np.corrcoef(truth, said)[0, 1] > 0.5, f"{name} takes early for late"
            early = part[part["offset"] == 3]["predicted"].to_numpy(dtype=float)
            assert abs(float(np.median(early)) - 3) <= 1, f"{name} reads +3 as {early.tolist()}"
