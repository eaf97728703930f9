"""What a truth says is what the pictures show and the sound lets hear."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from avbench.data import FloatArray, UInt8Array
from avbench.errors import UnknownName, UsageError
from avbench.synthetic import Rendered, ShotTruth, render_programme, render_talking
from avbench.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

VOWELS = {"a", "aI", "aU", "A:", "aa", "E", "eI"}
LIP_SOUNDS = {"p", "b", "m"}


@pytest.fixture(scope="module")
def talking() -> Rendered:
    return render_talking(3, pool="test", preset="easy-v1", seconds=4.0)


@pytest.fixture(scope="module")
def programme() -> Rendered:
    return render_programme(0, pool="val", preset="easy-v1", seconds=20.0)


@pytest.fixture(scope="module")
def small_pictures(programme: Rendered) -> FloatArray:
    return np.stack([picture[::8, ::8] for picture in programme.pictures()]).astype(np.float32)


def mouth_darkness(frames: UInt8Array, made: Rendered) -> FloatArray:
    """Share of dark pixels around the mouth in each frame."""
    (face,) = made.truth.shots[0].faces
    dark = []
    for image, (x, y), box in zip(frames, face.drawn.mouth_centre, face.drawn.boxes, strict=True):
        reach = (box[2] - box[0]) / 5
        region = image[round(y - reach / 3) : round(y + reach), round(x - reach) : round(x + reach)]
        grey = region.mean(axis=2)
        dark.append(np.mean(grey < 0.55 * np.median(grey)))
    return np.array(dark)


def loudness(audio: FloatArray, start_s: float, stop_s: float) -> float:
    piece = audio[round(start_s * SAMPLE_RATE) : round(stop_s * SAMPLE_RATE)]
    return float(np.sqrt(np.mean(piece**2)))


def test_shapes_and_types(talking: Rendered) -> None:
    frames = talking.frames
    truth = talking.truth
    assert frames.shape == (100, truth.height, truth.width, 3)
    assert frames.dtype == np.uint8
    assert talking.audio.shape == (100 * SAMPLES_PER_FRAME,)
    assert talking.audio.dtype == np.float32
    assert np.abs(talking.audio).max() < 1


def test_the_mouth_is_as_dark_as_it_is_open(talking: Rendered) -> None:
    (face,) = talking.truth.shots[0].faces
    darkness = mouth_darkness(talking.frames, talking)
    assert np.corrcoef(darkness, face.mouth.opening)[0, 1] > 0.7


def test_pictures_can_be_drawn_again(talking: Rendered) -> None:
    first = next(iter(talking.pictures()))
    assert np.array_equal(first, next(iter(talking.pictures())))


def test_a_made_video_depends_on_index_pool_and_seed_alone() -> None:
    one = render_talking(5, seed=1, seconds=1.0)
    render_talking(6, seed=1, seconds=1.0)
    again = render_talking(5, seed=1, seconds=1.0)
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.audio, again.audio)
    others = [
        render_talking(6, seed=1, seconds=1.0),
        render_talking(5, seed=2, seconds=1.0),
        render_talking(5, seed=1, pool="test", seconds=1.0),
    ]
    for other in others:
        assert not np.array_equal(one.audio, other.audio)
        assert one.truth.shots[0].text != other.truth.shots[0].text
        looks = [m.truth.shots[0].faces[0].look for m in (one, other)]
        assert looks[0].skin != looks[1].skin


@pytest.mark.parametrize("offset", [3, -7, 50])
def test_a_planted_offset_displaces_the_sound_and_nothing_else(offset: int) -> None:
    plain = render_talking(2, seconds=3.0)
    late = render_talking(2, seconds=3.0, offset=offset)
    assert np.array_equal(next(iter(plain.pictures())), next(iter(late.pictures())))
    moved = abs(offset) * SAMPLES_PER_FRAME
    if offset > 0:  # audio leads: what belongs to frame a + offset is heard at frame a
        assert np.array_equal(late.audio[:-moved], plain.audio[moved:])
    else:
        assert np.array_equal(late.audio[moved:], plain.audio[:-moved])
    assert (plain.truth.offset, late.truth.offset) == (0, offset)
    spoken = {(p.name, round(p.stop_s, 4)) for p in plain.truth.shots[0].phones[1:-1]}
    heard = {(p.name, round(p.stop_s + offset / 25, 4)) for p in late.truth.shots[0].phones[1:-1]}
    assert len(spoken & heard) >= 0.25 * len(spoken)


def vowel_opening(shot: ShotTruth, names: set[str]) -> float:
    """Mean opening of the shot's moving mouth while any of the phones is heard."""
    (opening,) = (face.mouth.opening for face in shot.faces if face.role != "silent")
    times = (shot.start + np.arange(len(opening))) / 25
    inside = [(times >= p.start_s) & (times < p.stop_s) for p in shot.phones if p.name in names]
    return float(opening[np.any(inside, axis=0)].mean())


def test_the_mouth_opens_with_the_vowels_that_are_heard(talking: Rendered) -> None:
    (shot,) = talking.truth.shots
    assert vowel_opening(shot, VOWELS) > 2 * vowel_opening(shot, LIP_SOUNDS)


def test_every_sound_is_where_the_truth_says(programme: Rendered) -> None:
    quiet, loud = [], []
    for shot in programme.truth.shots:
        if shot.kind == "silent":
            assert shot.phones == ()
            quiet.append(loudness(programme.audio, shot.start / 25 + 0.1, shot.stop / 25 - 0.1))
        else:
            spoken = [p for p in shot.phones if p.name != "_"]
            assert shot.start / 25 <= spoken[0].start_s + 1e-6
            assert spoken[-1].stop_s <= shot.stop / 25 + 1e-6
            loud.append(loudness(programme.audio, spoken[0].start_s, spoken[-1].stop_s))
    assert loud
    if quiet:
        assert max(quiet) < 0.2 * min(loud)


def test_cuts_are_jumps_and_nothing_else_is(
    programme: Rendered, small_pictures: FloatArray
) -> None:
    truth = programme.truth
    jump = np.abs(np.diff(small_pictures, axis=0)).mean(axis=(1, 2, 3))
    assert truth.cuts
    usual = np.median(jump)
    fading = {t for start, stop in truth.dissolves for t in range(start - 1, stop + 1)}
    for t, size in enumerate(jump, start=1):
        if t in truth.cuts:
            assert size > 3 * usual, f"no jump at the cut at {t}"
        elif t not in fading:
            assert size < 3 * usual, f"a jump at {t}, where there is no cut"


def test_a_dissolve_goes_from_one_shot_to_the_other() -> None:
    for index in range(20):
        made = render_programme(index, preset="easy-v1", seconds=12.0)
        if made.truth.dissolves:
            break
    (start, stop), *_ = made.truth.dissolves
    pictures = made.pictures()
    small = np.stack([next(pictures)[::8, ::8] for _ in range(stop + 1)]).astype(np.float32)
    before, after = small[start - 1], small[stop]
    travelled = [
        float(np.vdot(image - before, after - before) / np.vdot(after - before, after - before))
        for image in small[start:stop]
    ]
    assert travelled[0] < 0.3
    assert travelled[-1] > 0.7
    assert all(later > earlier - 0.05 for earlier, later in pairwise(travelled))


def test_shots_tile_the_video_and_know_their_faces() -> None:
    kinds: dict[str, list[ShotTruth]] = {}
    counts = set()
    for index in range(4):
        truth = render_programme(index, seconds=40.0).truth
        bounds = [shot.start for shot in truth.shots] + [truth.num_frames]
        assert bounds[0] == 0
        assert [shot.stop for shot in truth.shots] == bounds[1:]
        middles = {(a + b) // 2 for a, b in truth.dissolves}
        assert all(b in truth.cuts or {b, b - 1, b + 1} & middles for b in bounds[1:-1])
        for shot in truth.shots:
            kinds.setdefault(shot.kind, []).append(shot)
            counts.add(len(shot.faces))
            for face in shot.faces:
                assert face.drawn.boxes.shape == (shot.stop - shot.start, 4)
                assert len(face.mouth) == shot.stop - shot.start
                assert (face.drawn.boxes[:, 2:] > face.drawn.boxes[:, :2] + 20).all()
    assert set(kinds) == {"speaking", "dubbed", "off-screen", "silent"}
    assert counts == {1, 2}
    for kind, shots in kinds.items():
        for shot in shots:
            roles = sorted(face.role for face in shot.faces if face.role != "silent")
            assert roles == ([kind] if kind in ("speaking", "dubbed") else [])
            assert (shot.speaker is None) == (kind == "silent")
            seen = {face.identity for face in shot.faces}
            assert (shot.speaker in seen) == (kind in ("speaking", "dubbed"))
            for face in shot.faces:
                assert (face.mouth.opening.std() > 0.04) == (face.role != "silent")


def test_shot_offsets_are_drawn_within_their_limit_and_heard() -> None:
    plain = render_programme(1, preset="easy-v1", seconds=20.0)
    made = render_programme(1, preset="easy-v1", seconds=20.0, shot_offsets=8)
    offsets = [shot.offset for shot in made.truth.shots]
    assert len(set(offsets)) > 1
    assert max(map(abs, offsets)) <= 8
    assert made.truth.offset is None
    for before, after in zip(plain.truth.shots, made.truth.shots, strict=True):
        if before.kind == "silent" or after.offset == 0:
            continue
        start, stop = before.start + 10, before.stop - 10
        there = plain.audio[start * 640 : stop * 640]
        shift = after.offset * 640
        here = made.audio[start * 640 - shift : stop * 640 - shift]
        assert np.corrcoef(there, here)[0, 1] > 0.99


def test_dubbed_mouths_follow_another_sentence_than_is_heard() -> None:
    gains: dict[str, list[float]] = {"speaking": [], "dubbed": []}
    for index in range(5):
        for shot in render_programme(index, preset="easy-v1", seconds=40.0).truth.shots:
            for face in shot.faces:
                if face.role == "silent":
                    assert face.text is None
                    continue
                assert (face.text == shot.text) == (face.role == "speaking")
                gains[face.role].append(
                    vowel_opening(shot, VOWELS) - vowel_opening(shot, LIP_SOUNDS)
                )
    assert min(map(len, gains.values())) >= 3
    assert np.mean(gains["speaking"]) > 0.25
    assert abs(np.mean(gains["dubbed"])) < 0.12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0.5}, "1 to 3600 seconds"),
        ({"offset": 51}, "within 50"),
        ({"preset": "standard"}, "Did you mean 'standard-v1'"),
        ({"pool": "dev"}, "Available: test, train, val"),
    ],
)
def test_bad_requests_are_explained(arguments: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, UnknownName), match=message):
        render_talking(0, **arguments)  # type: ignore[arg-type]
