"""The other detectors: their arithmetic by hand, their weights and messages, then real faces."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from avbench.cli import main
from avbench.data import UInt8Array
from avbench.errors import MissingDependency, UnknownName, UsageError
from avbench.media import iter_frames
from avbench.synthetic import render_talking
from pipelines.faces import (
    DETECTORS,
    WEIGHTS,
    Detections,
    Detector,
    check_weights,
    face_box,
    iou,
    load_detector,
    merge,
    weights_sha256,
)
from pipelines.faces.hog import Hog, hog_box
from pipelines.faces.retinaface import RetinaFace
from pipelines.faces.retinaface_mobilenet import Network, anchors, decode, load_network
from pipelines.faces.yunet import YuNet, fix_input
from pipelines.options import BuildOptions
from pipelines.settings import FacetrackSettings

FILES = {
    "retinaface-mobilenet": "retinaface_mobilenet0.25_Final.pth",
    "yunet": "yunet_n_dynamic.onnx",
}


def test_eyes_are_optional_and_follow_the_boxes() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]])
    plain = Detections(boxes, np.array([0.9, 0.8]), boxes[:, :2])
    assert plain.eyes.shape == (2, 2, 2)
    assert np.isnan(plain.eyes).all()
    eyes = np.arange(8.0).reshape(2, 2, 2)
    seen = Detections(boxes, np.array([0.5, 0.8]), boxes[:, :2], eyes)
    np.testing.assert_array_equal(seen[1:].eyes, eyes[1:])
    np.testing.assert_array_equal(merge(seen).eyes, eyes[::-1])
    np.testing.assert_array_equal(seen.scaled(2).eyes, 2 * eyes)
    assert Detections.join(plain, seen).eyes.shape == (4, 2, 2)


def test_an_anchor_decodes_to_itself_and_moves_by_a_tenth() -> None:
    places = anchors(64, 64)
    assert len(places) == 2 * (8 * 8 + 4 * 4 + 2 * 2)
    zero = np.zeros((len(places), 4)), np.zeros((len(places), 10))
    boxes, points = decode(places, *zero)
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], places[:, 2])
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, places[:, :2])
    np.testing.assert_allclose(points, np.repeat(places[:, None, :2], 5, axis=1))
    one = places[:1]
    boxes, points = decode(one, np.array([[1, 0, 5 * np.log(2), 0.0]]), np.full((1, 10), 2.0))
    # Side 16 at (4, 4): 1.6 to the right, twice as wide; points 3.2 off.
    np.testing.assert_allclose(boxes, [[4 + 1.6 - 16, -4, 4 + 1.6 + 16, 12]])
    np.testing.assert_allclose(points, np.full((1, 5, 2), 7.2))


@pytest.mark.parametrize("size", [(64, 96), (100, 75), (33, 31)])
def test_the_network_answers_for_every_anchor(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = Network().eval()
    with torch.inference_mode():
        logits, boxes, points = network(torch.zeros(1, 3, *size))
    rows = len(anchors(*size))
    assert logits.shape == (1, rows, 2)
    assert boxes.shape == (1, rows, 4)
    assert points.shape == (1, rows, 10)


def test_the_released_weights_fit_key_for_key(shared_weights: Path) -> None:
    path = shared_weights / FILES["retinaface-mobilenet"]
    released = torch.load(path, map_location="cpu", weights_only=True)
    own = Network().state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in released.items()}
    loaded = load_network(path).state_dict()
    assert all(torch.equal(loaded[name], released[name]) for name in released)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("content", [b"", b"\x80\x04junk", b"PK\x03\x04 no archive", b"\x00" * 64])
def test_a_file_of_something_else_is_one_sentence(
    name: str, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"weights\.bin .*--detector-weights") as caught:
        load_detector(name, 0.5, str(path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = Network().state_dict()
    state.pop("ssh2.conv3X3.0.weight")
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(UsageError, match=r"short\.pth does not hold"):
        load_detector("retinaface-mobilenet", 0.5, str(tmp_path / "short.pth"))


def test_weights_are_asked_for_before_any_work(tmp_path: Path) -> None:
    assert set(WEIGHTS) < set(DETECTORS)
    for name in FILES:
        with pytest.raises(UsageError, match=f"'{name}' needs its weights.*--detector-weights"):
            check_weights(name, "")
        with pytest.raises(UsageError, match="is not a file"):
            check_weights(name, str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="'blazeface' takes no file of weights"):
        check_weights("blazeface", __file__)
    with pytest.raises(UnknownName, match="Did you mean 'yunet'"):
        check_weights("younet", "")
    check_weights("retinaface", "")
    with pytest.raises(UsageError, match="cannot be read"):
        weights_sha256(str(tmp_path / "absent"))


def test_the_command_line_asks_too(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    ask = ["build-shards", str(tmp_path / "videos"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*ask, "--detector", "yunet"])
    assert done.exit_code == 2
    assert "avbench: the face detector 'yunet' needs its weights" in done.output
    assert "Traceback" not in done.output


def test_weights_count_by_their_bytes_and_defaults_keep_their_recipe(tmp_path: Path) -> None:
    plain = FacetrackSettings().as_json()
    assert not {"detector_weights", "detector_sha256", "shot_detector", "scenes"} & plain.keys()
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for path, content in ((one, b"same"), (two, b"same"), (other, b"else")):
        path.write_bytes(content)
    first, second, third = (
        BuildOptions(settings={"detector": "yunet", "detector_weights": str(path)}).recipe()
        for path in (one, two, other)
    )
    assert first == second != third
    assert first["facetracks"]["detector_sha256"] == weights_sha256(str(one))
    assert str(tmp_path) not in str(first)


def _pretend(monkeypatch: pytest.MonkeyPatch, **modules: dict[str, Any]) -> None:
    for name, content in modules.items():
        module = ModuleType(name.replace("__", "."))
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize(
    ("make", "package", "remedy"),
    [(Hog, "dlib", "pip install dlib-bin"), (RetinaFace, "retinaface", "retinaface-pytorch")],
)
def test_a_missing_package_is_one_sentence(
    make: Any, package: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=remedy):
        make(0.5)


def test_hog_margins_become_confidences_and_squares_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Finder:
        def run(self, image: UInt8Array, upsample: int, margin: float) -> tuple[Any, ...]:
            asked.append((image.shape, upsample, margin))
            edges = {"left": 100, "top": 100, "right": 199, "bottom": 199}
            box = SimpleNamespace(**{name: lambda v=v: v for name, v in edges.items()})
            return [box], [0.0], [0]

    _pretend(monkeypatch, dlib={"get_frontal_face_detector": Finder})
    found = Hog(0.5)(np.zeros((720, 1280, 3), np.uint8))
    assert asked == [((360, 640, 3), 1, pytest.approx(0))]
    assert found.scores.tolist() == [0.5]
    np.testing.assert_allclose(found.boxes, 2 * hog_box(np.array([[100.0, 100, 200, 200]])))
    assert np.isnan(found.mouths).all()
    ((x0, y0, x1, y1),) = hog_box(np.array([[100.0, 100, 200, 200]]))
    assert (x1 - x0, y1 - y0, (y0 + y1) / 2) == pytest.approx((91.0, 126.7, 143.1))


def test_retinaface_answers_become_detections(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [[10, 20], [30, 20], [20, 30], [12, 40], [28, 42]]
    faces = [{"bbox": [0, 0, 40, 50], "score": 0.99, "landmarks": points}]
    nobody = [{"bbox": [], "score": -1, "landmarks": []}]

    class Model:
        def __init__(self, max_size: int, device: str) -> None:
            assert (max_size, device) == (960, "cuda" if torch.cuda.is_available() else "cpu")

        def eval(self) -> None: ...

        def predict_jsons(
            self, image: UInt8Array, confidence_threshold: float, nms_threshold: float
        ) -> Any:
            assert (confidence_threshold, nms_threshold) == (0.7, 0.4)
            return faces if image.any() else nobody

    def get_model(name: str, max_size: int, device: str) -> Model:
        assert name == "resnet50_2020-07-20"
        return Model(max_size, device)

    _pretend(
        monkeypatch,
        retinaface={},
        retinaface__pre_trained_models={"get_model": get_model},
        retinaface__predict_single={"Model": Model},
    )
    detector = RetinaFace(0.7)
    found = detector(np.ones((60, 50, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 40, 50]]
    assert found.mouths.tolist() == [[20, 41]]
    assert found.eyes.tolist() == [[[10, 20], [30, 20]]]
    assert len(detector(np.zeros((60, 50, 3), np.uint8))) == 0


def test_only_an_open_shape_is_written_into_a_model() -> None:
    # A model whose graph (7) has an input (11) of a type (2), tensor (1) and shape (2).
    def nested(content: bytes, *numbers: int) -> bytes:
        for number in reversed(numbers):
            content = bytes([number << 3 | 2, len(content)]) + content
        return content

    named = nested(nested(b"N", 2), 1)
    model = b"\x08\x06" + nested(named * 4, 7, 11, 2, 1, 2) + nested(b"kept", 8)
    fixed = fix_input(model, (1, 3, 288, 384))
    sizes = b"".join(nested(b"\x08" + size, 1) for size in (b"\x01", b"\x03", b"\xa0\2", b"\x80\3"))
    assert fixed == b"\x08\x06" + nested(sizes, 7, 11, 2, 1, 2) + nested(b"kept", 8)
    assert fix_input(fixed, (9, 9, 9, 9)) == fixed


@pytest.fixture(scope="module")
def detectors(shared_weights: Path) -> dict[str, Detector]:
    made = {name: load_detector(name, 0.5, str(shared_weights / FILES[name])) for name in FILES}
    return {"blazeface": load_detector("blazeface", 0.5), **made}


@pytest.mark.parametrize("name", sorted(FILES))
def test_boxes_do_not_depend_on_what_was_seen_before(
    detectors: dict[str, Detector], name: str
) -> None:
    frames = render_talking(3, pool="test", seconds=1.0).frames[::12]
    forwards = [detectors[name](image) for image in frames]
    detectors[name](np.zeros((90, 200, 3), np.uint8))
    backwards = [detectors[name](image) for image in frames[::-1]][::-1]
    for one, two in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one.boxes, two.boxes)
        np.testing.assert_array_equal(one.scores, two.scores)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_drawn_face_is_found_where_it_is_at_any_size(
    detectors: dict[str, Detector], name: str
) -> None:
    made = render_talking(3, pool="test", seconds=1.0)
    planted = face_box(made.truth.shots[0].faces[0].drawn.boxes[:1])
    for times in (1, 4):
        large = np.kron(made.frames[0], np.ones((times, times, 1), np.uint8))
        found = detectors[name](large)
        assert len(found) == 1
        assert iou(found.boxes, times * planted)[0, 0] > 0.6
        left, right = found.eyes[0]
        assert left[0] < found.mouths[0, 0] < right[0]
        assert max(left[1], right[1]) < found.mouths[0, 1]
    assert len(detectors[name](np.zeros((64, 200, 3), np.uint8))) == 0


@pytest.mark.media
@pytest.mark.parametrize("clip", ["f1_brbk7n", "f3_lrwp9a", "m2_pwij3p", "m3_lbax4n", "m6_swiz3n"])
def test_detectors_agree_on_real_faces(
    detectors: dict[str, Detector], shared_media: Path, clip: str
) -> None:
    path = shared_media / "grid" / "others" / f"{clip}.mpg"
    for frame in iter_frames(path, stop=70):
        if frame.index % 20:
            continue
        found = {name: detector(frame.image) for name, detector in detectors.items()}
        assert [len(faces) for faces in found.values()] == [1, 1, 1]
        first = found.pop("blazeface")
        height = first.boxes[0, 3] - first.boxes[0, 1]
        for other in found.values():
            assert iou(first.boxes, other.boxes)[0, 0] > 0.5
            assert np.linalg.norm(first.mouths - other.mouths) < 0.1 * height
            assert np.linalg.norm(first.eyes - other.eyes, axis=-1).max() < 0.1 * height
        mobile, yunet = found.values()
        assert iou(mobile.boxes, yunet.boxes)[0, 0] > 0.7


def test_yunet_sees_the_picture_that_it_is_given(detectors: dict[str, Detector]) -> None:
    image = render_talking(3, pool="test", seconds=1.0).frames[0]
    yunet = detectors["yunet"]
    assert isinstance(yunet, YuNet)
    wide = np.full((256, 700, 3), 110, np.uint8)
    wide[:, 400:656] = image[:256, :256]
    (box,) = yunet(wide).boxes
    assert 400 < (box[0] + box[2]) / 2 < 656
