"""Copies that were planted across splits are found, whatever was done to them; others are not."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process

from avbench import media
from avbench.data import FloatArray, UInt8Array
from avbench.synthetic import render_talking
from pipelines import duplicates, ledger
from pipelines.build import build
from pipelines.duplicates import Member, correlate, find
from pipelines.facetracks import process_video
from pipelines.prints import print_unit, sound_words

FRAMES, SIDE, CONTEXT = 75, 96, 25


@dataclass(frozen=True)
class Take:
    """One way in which a recording came into the world."""

    scene: int
    speech: int
    start: int = 0
    scale: float = 1.0
    crf: int = 18
    tremble: int = 0
    """Seed of how its crop trembles."""
    moved: float = 0.0
    """How far its crop lies elsewhere, as a share of its side."""
    loudness: float = 1.0


def scene(seed: int) -> UInt8Array:
    """Something that moves before something that does not; shape (T, 180, 240, 3)."""
    rng = np.random.default_rng(seed)
    back = cv2.resize(rng.uniform(40, 200, (6, 8)), (240, 180), interpolation=cv2.INTER_CUBIC)
    paths = np.cumsum(rng.normal(0, 1.5, (FRAMES, 6, 2)), axis=0) + rng.uniform(50, 130, (6, 2))
    sizes = rng.uniform(6, 16, (FRAMES, 6))
    frames = np.empty((FRAMES, 180, 240, 3), np.uint8)
    for frame, places, radii in zip(frames, paths, sizes, strict=True):
        image = back.copy()
        for n, ((x, y), radius) in enumerate(zip(places, radii, strict=True)):
            cv2.circle(image, (round(x) + 30, round(y)), round(radius), float(40 * n), -1)
        frame[:] = image.clip(0, 255).astype(np.uint8)[..., None]
    return frames


def speech(seed: int) -> FloatArray:
    """Noise whose colour and loudness change several times a second."""
    rng = np.random.default_rng(100 + seed)
    length = (FRAMES + 2 * CONTEXT) * 640
    spectrum = np.fft.rfft(rng.normal(size=(length // 1600, 1600)), axis=1)
    spectrum *= cv2.resize(rng.uniform(0, 1, (length // 1600, 24)) ** 3, (801, length // 1600))
    sound = np.fft.irfft(spectrum, 1600, axis=1).ravel()
    return (0.2 * sound / np.abs(sound).max()).astype(np.float32)


def write_clip(folder: Path, key: str, take: Take) -> Path:
    """Write a facetrack as the facetrack step does; return its folder."""
    rng = np.random.default_rng(take.tremble)
    frames = scene(take.scene)[take.start :]
    squares = np.tile([70.0 + 100 * take.moved, 40.0, 100.0], (len(frames), 1))
    squares += rng.normal(0, (1.5, 1.5, 2.0), squares.shape)
    folder.mkdir(parents=True)
    with media.VideoWriter(folder / f"{key}.mp4", crf=take.crf) as writer:
        for frame, (left, top, side) in zip(frames, squares, strict=True):
            small = cv2.resize(frame, None, fx=take.scale, fy=take.scale)
            seen = np.array([[side / SIDE, 0, left], [0, side / SIDE, top]]) * take.scale
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            writer.write(cv2.warpAffine(small, seen, (SIDE, SIDE), flags=flags))
    rng = np.random.default_rng(1000 + take.tremble)
    sound = speech(take.speech)[take.start * 640 :] * take.loudness
    sound = sound + rng.normal(0, 0.0005, len(sound)).astype(np.float32)
    (folder / f"{key}.flac").write_bytes(media.encode_sound(sound.astype(np.float32)))
    # The source's own pixels: scaled like the source.
    facts = {"key": key, "squares": (squares * take.scale).round(3).tolist()}
    (folder / f"{key}.json").write_text(json.dumps(facts))
    return folder


def member(tmp_path: Path, key: str, split: str, take: Take) -> Member:
    tracks = write_clip(tmp_path / "tracks" / key, key, take)
    folder = tmp_path / "prints" / key
    print_unit({"facetracks": str(tracks), "folder": str(folder)})
    return Member(key, split, folder)


ORIGINAL = Take(1, 1)
COPIES = {
    "encoded-anew": replace(ORIGINAL, crf=36, scale=0.6, tremble=2, loudness=0.5),
    "cropped": replace(ORIGINAL, moved=0.04, tremble=3),
    "shifted": replace(ORIGINAL, start=12, tremble=4),
}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    folder = tmp_path_factory.mktemp("set")
    made = [member(folder, "a-original", "train", ORIGINAL)]
    made += [member(folder, f"b-{name}", "test", take) for name, take in COPIES.items()]
    made += [
        member(folder, "c-dubbed", "val", replace(ORIGINAL, speech=2, tremble=5)),
        member(folder, "d-radio", "val", Take(2, 1, tremble=6)),
        member(folder, "e-same-split", "train", replace(ORIGINAL, tremble=7)),
    ]
    made += [
        member(folder, f"z-{n}", split, Take(10 + n, 10 + n))
        for n, split in enumerate(["train", "test", "val", "test"])
    ]
    return made


def test_planted_copies_are_found_and_nothing_else(members: list[Member]) -> None:
    chosen = [m for m in members if m.key != "e-same-split"]
    found = {(pair.key, pair.other): pair for pair in find(chosen)}
    with_original = {other: pair for (key, other), pair in found.items() if key == "a-original"}
    assert {other: pair.kind for other, pair in with_original.items()} == {
        "b-encoded-anew": "both",
        "b-cropped": "both",
        "b-shifted": "both",
        "c-dubbed": "picture",
        "d-radio": "sound",
    }
    assert not any("z-" in key + other for key, other in found)
    # Copies are copies of each other, too, where they are in different splits.
    assert set(found) - {("a-original", other) for other in with_original} == {
        *((f"b-{name}", "c-dubbed") for name in COPIES),
        *((f"b-{name}", "d-radio") for name in COPIES),
    }
    shifted = with_original["b-shifted"]
    assert (shifted.later_s, shifted.shared_s) == (
        pytest.approx(0.48),
        pytest.approx(2.52, abs=0.1),
    )
    assert with_original["b-cropped"].differing_bits < 0.1
    assert np.isnan(with_original["c-dubbed"].differing_bits)
    assert np.isnan(with_original["d-radio"].correlation)


def test_only_other_splits_count(members: list[Member]) -> None:
    assert find([replace(m, split="test") for m in members]) == []
    keys = {key for pair in find(members) for key in (pair.key, pair.other) if "same" in key}
    assert keys == {"e-same-split"}
    assert not any(
        {pair.key, pair.other} == {"a-original", "e-same-split"} for pair in find(members)
    )


def test_the_order_of_arrival_changes_nothing(members: list[Member]) -> None:
    one, two = (list(map(repr, find(order))) for order in (members, members[::-1]))
    assert one == two


def test_test_keeps_its_own_then_val(members: list[Member], tmp_path: Path) -> None:
    pairs = find(members)
    of = {(pair.split, pair.other_split): pair for pair in pairs}
    assert of["train", "test"].weaker == of["train", "test"].key
    assert of["test", "val"].weaker == of["test", "val"].other
    duplicates.write(tmp_path, pairs, [of["train", "test"].weaker])
    table = pd.read_parquet(tmp_path / duplicates.TABLE)
    assert len(table) == len(pairs)
    assert set(table.loc[table["key"] == "a-original", "dropped"]) == {"a-original"}


def test_silence_is_not_the_same_as_silence() -> None:
    words, audible = sound_words(np.zeros(3 * 16_000, np.float32))
    assert len(words)
    assert not audible.any()
    words, audible = sound_words(np.zeros(100, np.float32))
    assert len(words) == len(audible) == 0


@pytest.mark.parametrize("lag", [0, 7, -20])
def test_motion_is_found_again_at_its_shift(lag: int) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(80, 64))
    two = np.concatenate([rng.normal(size=(max(-lag, 0), 64)), one[max(lag, 0) :]])
    value, found, shared = correlate(one, two)
    assert (found, shared) == (lag, 80 - max(lag, 0))
    assert value == pytest.approx(1, abs=1e-9)
    assert correlate(one, rng.normal(size=(60, 64)))[0] < 0.2
    assert correlate(one[:20], two) == (0.0, 0, 0)


def planted(folder: Path) -> Path:
    """Sources of three splits, of which two in train and test are one recording."""
    rng = np.random.default_rng(0)
    for name, seed in (("20140101-a", 0), ("20160101-b", 0), ("20140202-c", 1), ("20151001-d", 2)):
        copied = name == "20160101-b"
        path = folder / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        frames = (frame[:160, :160] for frame in scene(seed))
        sound = speech(seed)[: FRAMES * 640] + rng.normal(0, 1e-4, FRAMES * 640).astype(np.float32)
        media.write_video(path, frames, sound, crf=30 if copied else 18, audio_codec="flac")
    return folder


def test_a_build_lists_copies_and_leaves_them_out_on_request(tmp_path: Path) -> None:
    films, out = planted(tmp_path / "films"), tmp_path / "set"
    options = {"engine": "local", "sync": "off", "split_dates": "bbc2016"}
    report = build([films], out, process=make_process(), **options)
    (row,) = pd.read_parquet(out / duplicates.TABLE).to_dict("records")
    assert (row["key"], row["other"], row["kind"], row["dropped"]) == (
        "20140101-a-0000-00",
        "20160101-b-0000-00",
        "both",
        "",
    )
    assert report.clips == 4
    report = build([films], out, process=make_process(), **options, drop_duplicates=True)
    assert set(pd.read_parquet(out / duplicates.TABLE)["dropped"]) == {"20140101-a-0000-00"}
    assert report.clips == 3
    row = next(row for row in ledger.read(out) if row.path == "20140101-a.mp4")
    assert (row.status, row.step) == ("rejected", "pack")
    assert duplicates.DROPPED in row.reason
    assert row.rejected_frames[duplicates.DROPPED] == 70
    build([films], out, process=make_process(), **options, find_duplicates=False)
    assert not (out / duplicates.TABLE).exists()


@pytest.mark.slow
def test_drawn_heads_are_told_from_their_copies(tmp_path: Path) -> None:
    members = []
    for index in range(5):
        made = render_talking(index, pool="test", seconds=3)
        versions = {"orig": (list(made.pictures()), made.audio, 18)}
        if index < 2:
            frames = versions["orig"][0]
            small = [cv2.resize(frame, (224, 200)) for frame in frames]
            cut = [np.ascontiguousarray(frame[16:-12, 20:-20]) for frame in frames]
            versions["recode"] = (small, made.audio, 30)
            versions["crop"] = (cut, made.audio, 24)
            versions["shift"] = (frames[15:], made.audio[15 * 640 :], 22)
        for name, (frames, audio, crf) in versions.items():
            path, tracks = tmp_path / f"d{index}-{name}.mp4", tmp_path / f"d{index}-{name}"
            tracks.mkdir()
            media.write_video(path, iter(frames), audio, crf=crf)
            report = process_video(path, path.stem, tracks)
            print_unit({"facetracks": str(tracks), "folder": str(tracks / "prints")})
            split = {"orig": "train", "crop": "val"}.get(name, "test") if index < 4 else "test"
            members += [Member(t["key"], split, tracks / "prints") for t in report.tracks]
    pairs = find(members)
    assert all(pair.key[:2] == pair.other[:2] for pair in pairs)
    found = {pair.other.split("-")[1] for pair in pairs} | {p.key.split("-")[1] for p in pairs}
    assert found == {"orig", "recode", "crop", "shift"}
    assert sum("orig" in pair.key + pair.other for pair in pairs) >= 6
