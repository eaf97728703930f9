"""Following faces by flow: planted motion, cuts, and what is held on the way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.media import Frame
from pipelines.crops import CropSettings, crop_squares
from pipelines.faces import Detections
from pipelines.flow import FlowSettings, Follower, carry
from pipelines.regions import Held, Region

SETTINGS = FlowSettings()


def texture(seed: int, height: int = 300, width: int = 400) -> UInt8Array:
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    return (
        cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype("u1")
    )


def grey_texture(seed: int) -> UInt8Array:
    return np.asarray(cv2.cvtColor(texture(seed), cv2.COLOR_RGB2GRAY), np.uint8)


def moved(image: UInt8Array, dx: float, dy: float, scale: float = 1.0) -> UInt8Array:
    matrix = np.array([[scale, 0, dx], [0, scale, dy]])
    height, width = image.shape[:2]
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8)


def found(*boxes: FloatArray) -> Detections:
    table = np.array(boxes, np.float64).reshape(-1, 4)
    return Detections(table, np.full(len(table), 0.9), (table[:, :2] + table[:, 2:]) / 2)


BOX = np.array([150.0, 100, 210, 180])


@pytest.mark.parametrize(("dx", "dy", "scale"), [(3.4, -2.2, 1.0), (0, 0, 1.03), (-4, 1, 0.98)])
def test_a_box_is_carried_where_its_face_goes(dx: float, dy: float, scale: float) -> None:
    grey = grey_texture(1)
    box = carry(grey, moved(grey, dx, dy, scale), BOX, SETTINGS)
    assert box is not None
    np.testing.assert_allclose(box, BOX * scale + np.array([dx, dy, dx, dy]), atol=0.5)


def test_nothing_is_carried_over_a_cut_or_without_texture() -> None:
    one, two = grey_texture(1), grey_texture(2)
    assert carry(one, two, BOX, SETTINGS) is None
    flat = np.full_like(one, 120)
    assert carry(flat, flat, BOX, SETTINGS) is None


def follow(images: list[UInt8Array], first: int = 0) -> tuple[Follower, list[bool]]:
    follower = Follower(SETTINGS, 0.3, 25)
    frames = [Frame(first + n, 0.0, image) for n, image in enumerate(images)]
    follower.meet(frames[0], found(BOX), [])
    return follower, [follower.step(frame) for frame in frames[1:]]


def test_a_face_is_followed_until_a_cut_which_is_told() -> None:
    scene = texture(1)
    images = [moved(scene, 2 * t, t) for t in range(8)]
    follower, lost = follow([*images, texture(2), texture(2)], first=40)
    assert lost == [False] * 7 + [True, False]
    way = follower.flows.ahead[40, 0]
    expected = BOX + np.arange(1, 8)[:, None] * np.array([2, 1, 2, 1])
    np.testing.assert_allclose(way, expected, atol=1)


def test_a_new_face_is_followed_back() -> None:
    scene = texture(1)
    frames = [Frame(t, 0.0, moved(scene, 3 * t, 0)) for t in range(6)]
    follower = Follower(SETTINGS, 0.3, 25)
    for frame in frames:
        follower.step(frame)
    follower.meet(frames[5], found(BOX), frames[4::-1])
    way = follower.flows.back[5, 0]
    expected = BOX - np.arange(1, 6)[:, None] * np.array([3, 0, 3, 0])
    np.testing.assert_allclose(way, expected, atol=1)


def test_a_face_that_is_found_again_goes_on_as_the_new_detection() -> None:
    scene = texture(1)
    frames = [Frame(t, 0.0, moved(scene, t, 0)) for t in range(7)]
    follower = Follower(SETTINGS, 0.3, 25)
    follower.meet(frames[0], found(BOX), [])
    for frame in frames[1:4]:
        follower.step(frame)
    follower.meet(frames[3], found(BOX + 2), frames[2:0:-1])
    for frame in frames[4:]:
        follower.step(frame)
    assert len(follower.boxes) == 1
    assert len(follower.flows.ahead[0, 0]) == len(follower.flows.ahead[3, 0]) == 3
    assert (3, 0) not in follower.flows.back
    follower.forget(3)
    assert list(follower.flows.ahead) == [(3, 0)]


def test_a_face_found_where_it_was_is_not_new_though_its_box_was_carried_away() -> None:
    scene = texture(1)
    frames = [Frame(t, 0.0, moved(scene, 12 * t, 0)) for t in range(6)]
    follower = Follower(SETTINGS, 0.3, 25)
    follower.meet(frames[0], found(BOX), [])
    for frame in frames[1:]:
        follower.step(frame)
    assert follower.boxes[0, 0] - BOX[0] == pytest.approx(60, abs=3)
    follower.meet(frames[5], found(BOX + 2), frames[4:0:-1])
    np.testing.assert_array_equal(follower.boxes, [BOX + 2])
    assert (5, 0) not in follower.flows.back


def test_what_the_crop_needs_is_held() -> None:
    scene = texture(1)
    follower, _ = follow([moved(scene, t, 0) for t in range(8)])
    boxes = np.stack([BOX, *follower.flows.ahead[0, 0]])
    for t, square in enumerate(crop_squares(boxes, CropSettings())):
        region = follower.held.find(t, square)
        assert region is not None
        rows, columns = region.part.size
        part = moved(scene, t, 0)[region.top : region.top + rows, region.left :][:, :columns]
        np.testing.assert_array_equal(region.part.image, part)
    assert follower.held.find(8, BOX[:3]) is None
    assert follower.held.find(3, np.array([0.0, 0, 300])) is None


def test_what_is_held_goes_with_a_face_that_wanders_off() -> None:
    scene = texture(1)
    follower, _ = follow([moved(scene, 5 * t, 0) for t in range(10)])
    boxes = np.stack([BOX, *follower.flows.ahead[0, 0]])
    assert boxes[-1, 0] - BOX[0] > SETTINGS.margin * (BOX[3] - BOX[1])
    for t, square in enumerate(crop_squares(boxes, CropSettings(smooth=1))):
        assert follower.held.find(t, square) is not None


def test_a_region_at_the_edge_covers_what_the_picture_shows() -> None:
    frame = Frame(0, 0.0, np.zeros((100, 120, 3), np.uint8))
    region = Region.around(frame, np.array([-30.0, -20, 60]))
    assert region.part.size == (44, 34)
    assert region.covers(np.array([-50.0, -40, 70]))
    assert not region.covers(np.array([-50.0, -40, 90]))
    assert Region.whole(frame).covers(np.array([-500.0, 20, 900]))


def test_no_more_is_held_than_allowed() -> None:
    region = Region.whole(Frame(0, 0.0, np.zeros((10, 10, 3), np.uint8)))
    held, square = Held(700), np.array([0.0, 0, 10])
    for frame in range(4):
        held.add(frame, region)
    assert [held.find(frame, square) is not None for frame in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    held.forget(1)
    held.add(9, region)
    assert held.find(9, square) is region
    assert held.find(0, square) is None
