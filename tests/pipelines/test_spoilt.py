from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avbench import media
from avbench.data import UInt8Array
from avbench.media import Frame
from avbench.synthetic import render_talking
from pipelines.facetracks import process_video
from pipelines.joining import Begin, spoilt_of
from pipelines.spoilt import Spoilt, sentences

RNG = np.random.default_rng(5)
SCENE = np.kron(RNG.integers(0, 255, (12, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
GREY = np.full_like(SCENE, 130)


def shadows(strength: float) -> UInt8Array:
    """A scene as it shows through grey."""
    return (GREY + strength * (SCENE.astype(float) - SCENE.mean())).clip(0, 255).astype(np.uint8)


def spans_of(
    images: list[UInt8Array],
    key: frozenset[int] = frozenset(),
    corrupt: frozenset[int] = frozenset(),
) -> list[tuple[str, int, int]]:
    spoilt = Spoilt()
    for index, image in enumerate(images):
        spoilt.see(Frame(index, index / 25, image, index in corrupt, index in key))
    return [(span["kind"], span["start"], span["stop"]) for span in spoilt.spans]


def test_a_grey_stretch_begins_empty_and_ends_with_a_picture() -> None:
    images = [GREY, shadows(0.05), shadows(0.15), SCENE, SCENE, GREY, SCENE]
    assert spans_of(images, key=frozenset({0, 3})) == [
        ("grey-coded", 0, 3),
        ("grey-missing", 5, 6),
    ]


@pytest.mark.parametrize(
    "image",
    [shadows(0.15), SCENE, np.zeros_like(SCENE), np.full_like(SCENE, 255), np.full_like(SCENE, 90)],
    ids=["faint", "scene", "black", "white", "dark grey"],
)
def test_dim_or_plain_pictures_are_no_grey_stretch(image: UInt8Array) -> None:
    assert spans_of([SCENE, image, image, SCENE]) == []


def test_a_plain_colour_as_bright_as_grey_is_no_grey_stretch() -> None:
    green = np.zeros_like(SCENE)
    green[..., 1] = 218  # as bright as grey 128
    assert spans_of([green] * 3) == []


def test_concealed_damage_is_named_by_its_frames() -> None:
    found = Spoilt()
    for index in range(12):
        found.see(Frame(index, index / 25, SCENE, index in (2, 3, 4, 9)))
    assert sentences(found.spans) == ["frames 2–4, 9: damage that the decoder concealed"]  # noqa: RUF001
    many = [{"kind": "concealed", "start": n, "stop": n + 1} for n in range(0, 20, 2)]
    assert sentences(many) == [
        "frames 0, 2, 4, 6 and 6 more stretches: damage that the decoder concealed"
    ]


def without_first_key(path: Path) -> None:
    """Write MPEG-4 video whose first key picture is missing; the next is 11 pictures later."""
    whole = io.BytesIO()
    with av.open(whole, "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 0
        for shift in range(30):
            image = np.roll(SCENE, shift, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    with av.open(io.BytesIO(whole.getvalue())) as held, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(held.streams.video[0])
        for number, packet in enumerate(held.demux(video=0)):
            if number and packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


def test_what_a_decoder_makes_of_a_missing_key_picture_is_told_from_what_was_coded(
    tmp_path: Path,
) -> None:
    """Both kinds look the same; the decoder flags neither."""
    cut, copied = tmp_path / "cut.avi", tmp_path / "copied.mp4"
    without_first_key(cut)
    with media.open_frames(cut) as frames:
        images = [frame.image for frame in frames]
        assert frames.warnings == []
    media.write_video(copied, images, np.zeros(len(images) * 640, np.float32))
    found = {}
    for path in (cut, copied):
        spoilt = Spoilt()
        with media.open_frames(path) as frames:
            for frame in frames:
                spoilt.see(frame)
                assert not frame.corrupt
        found[path] = spoilt.spans
    assert [span["kind"] for span in found[cut]] == ["grey-missing"]
    assert [span["kind"] for span in found[copied]] == ["grey-coded"]
    for (span,) in found.values():
        assert span["start"] == 0
        assert span["stop"] in (11, 12)


def test_frames_without_a_picture_are_counted_and_told_of(tmp_path: Path) -> None:
    head = render_talking(0, pool="test", seconds=2.0)
    pictures = list(head.pictures())
    images = [np.full_like(pictures[0], 130)] * 12 + pictures[12:]
    path = tmp_path / "head.mp4"
    media.write_video(path, images, head.audio)
    out = tmp_path / "out"
    out.mkdir()
    report = process_video(path, "head", out)
    assert report.frames["grey-picture"] == 12
    assert sum(report.frames.values()) == report.num_frames == len(images)
    assert [track["start"] for track in report.tracks] == [12]
    (said,) = report.warnings
    assert said.startswith("frames 0–11: grey instead of a picture, coded so")  # noqa: RUF001


def test_stretches_of_a_part_count_in_the_whole() -> None:
    def part(*spans: tuple[str, int, int]) -> dict[str, Any]:
        names = ("kind", "start", "stop")
        return {"spoilt": [dict(zip(names, span, strict=True)) for span in spans]}

    parts = [
        part(("concealed", 3, 4), ("concealed", 90, 100)),
        part(("concealed", 0, 2), ("grey-coded", 0, 5)),
        part(("grey-coded", 5, 6)),
    ]
    whole = spoilt_of(parts, [Begin(0, 0, 0), Begin(100, 2, 0), Begin(120, 3, 0)])
    assert (
        whole
        == part(
            ("concealed", 3, 4),
            ("concealed", 90, 102),
            ("grey-coded", 100, 105),
            ("grey-coded", 125, 126),
        )["spoilt"]
    )
