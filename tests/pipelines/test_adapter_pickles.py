from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avbench.errors import DataError
from pipelines.adapters import pickles

PROTOCOLS = (2, 3, 4, 5)


def plain() -> dict[str, Any]:
    shared = [1, 2]
    return {
        "frame": np.arange(5),
        "bbox": np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">f8"),
        "empty": np.zeros((0, 4)),
        "point": np.array(3.5),
        "conf": np.float32(0.25),
        "list": [1, -2, 2**40, 1.5, None, True, False, "ä", b"\x00\xff", b""],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, 2},
        "shared": [shared, shared],
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back_as_pickle_would_give_them(protocol: int) -> None:
    data = pickle.dumps(plain(), protocol)
    expected, got = pickle.loads(data), pickles.loads(data)
    assert set(got) == set(expected)
    for name, value in expected.items():
        if isinstance(value, np.ndarray | np.generic):
            assert got[name].dtype == value.dtype, name
            assert got[name].shape == value.shape, name
            np.testing.assert_array_equal(got[name], value)
        else:
            assert got[name] == value, name
    assert got["shared"][0] is got["shared"][1]


class Runs:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    protocol: int, tmp_path: Path
) -> None:
    target = tmp_path / "made"
    data = pickle.dumps([{"frame": Runs(target)}], protocol)
    path = tmp_path / "tracks.pckl"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"tracks\.pckl: (asks for .*mkdir|uses )"):
        pickles.read(path)
    assert not target.exists()
    pickle.loads(data)
    assert target.is_dir(), "this pickle does what it says where it is loaded"


NASTY = {
    "a name below an allowed one": b"cnumpy\ndtype.mro\n.",
    "an allowed function's builtins": b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
    "eval": b"c__builtin__\neval\n(S'1'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "an instance by name": b"(S'true'\nios\nsystem\n.",
    "an object of a class on the stack": b"(cos\nsystem\nS'true'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"Pfile\n.",
}


@pytest.mark.parametrize("what", NASTY)
def test_whatever_is_not_plain_is_refused(what: str) -> None:
    with pytest.raises(DataError, match=r"pickle: (asks for|uses|is no pickle)"):
        pickles.loads(NASTY[what])


def test_an_array_of_objects_is_refused() -> None:
    for protocol in PROTOCOLS:
        with pytest.raises(DataError, match="'O8'"):
            pickles.loads(pickle.dumps(np.array([{}, []], dtype=object), protocol))


def test_an_array_whose_bytes_do_not_fit_is_refused() -> None:
    data = pickle.dumps(np.arange(4, dtype=np.uint8), 4)
    short = data.replace(b"C\x04\x00\x01\x02\x03", b"C\x03\x00\x01\x02")
    assert len(short) == len(data) - 1
    with pytest.raises(DataError, match="no pickle of plain values"):
        pickles.loads(
            data.replace(b"\x00\x01\x02\x03", b"\x00\x01\x02").replace(b"C\x04", b"C\x03")
        )


def test_damage_is_named_in_one_sentence(tmp_path: Path) -> None:
    whole = pickle.dumps(plain(), 4)
    for cut in (0, 1, 7, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match="x: "):
            pickles.loads(whole[:cut], "x")
    with pytest.raises(DataError, match="cannot be read"):
        pickles.read(tmp_path / "absent.pckl")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_time_codes_come_back_as_records(protocol: int) -> None:
    detect = pytest.importorskip("scenedetect")
    scenes = [(detect.FrameTimecode(0, 25.0), detect.FrameTimecode(82, 25.0))]
    got = pickles.loads(pickle.dumps(scenes, protocol))
    assert got[0][1].name.endswith("FrameTimecode")
    assert "82" in str(got[0][1].attributes)
