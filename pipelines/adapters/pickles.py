"""Reading other tools' pickles without running any of them.

`pickle.load` does what a file says, which may be anything; so it is never called here. `read`
walks the opcodes with `pickletools`, which only parses, and carries out the few that build plain
values: numbers, text, bytes, lists, tuples, dictionaries, sets and NumPy arrays of numbers. Every
name of a function or class in the file is compared with `ARRAYS` and `RECORDS`; a name that is in
neither ends the reading before its arguments are looked at, and none is ever imported. Classes in
`RECORDS` come back as `Record`, their attributes as plain values.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from avbench.errors import DataError

LARGEST = 2**30
"""Bytes of the largest pickle that is read."""
ARRAYS = {
    **{f"numpy.{core}.multiarray._reconstruct": "array" for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": "scalar" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": "buffer" for core in ("core", "_core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    # How protocols 2 and 3 write bytes and sets.
    "_codecs.encode": "bytes",
    **{f"{home}.{name}": name for home in ("builtins", "__builtin__") for name in ("bytes", "set")},
    "fractions.Fraction": "fraction",
}
"""Names that stand for an array, a number, bytes or a set -> what they make."""
RECORDS = (
    "scenedetect.frame_timecode.FrameTimecode",
    "scenedetect.common.FrameTimecode",
    "scenedetect.common._FrameNumber",
    "scenedetect.common._Seconds",
    "scenedetect.common.Timecode",
)
"""Classes whose attributes are read as plain values."""

Plain: TypeAlias = Any
"""A number, text, bytes, None, list, tuple, dict, set, array or `Record`."""


@dataclass
class Record:
    """An instance of a class in `RECORDS`: its name and its attributes, and no code."""

    name: str
    attributes: dict[str, Plain] = field(default_factory=dict)


@dataclass
class _Name:
    """A name that was allowed; calling it makes a ``kind``."""

    name: str
    kind: str


@dataclass
class _DType:
    """Kind and size of the numbers in an array, and in which order their bytes lie."""

    spec: str
    order: str = "="

    def resolve(self) -> np.dtype[Any]:
        """Return it as NumPy's own; ValueError unless it is one of numbers or truth values."""
        if len(self.spec) < 2 or self.spec[0] not in "biuf" or self.order not in "<>=|":
            raise ValueError(f"an array of kind {self.spec!r}")
        return np.dtype(self.spec).newbyteorder(cast("Any", self.order))


_MARK = object()


def read(path: Path) -> Plain:
    """Return the value in a pickle of protocol 2 to 5, running nothing.

    Raises
    ------
    DataError
        If it is no such pickle, or names a function or class that is not allowed.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: is larger than {LARGEST} bytes; no such pickle is read.")
        return loads(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its access.") from error


def loads(data: bytes, name: str = "pickle") -> Plain:
    """Return the value in the bytes of a pickle; ``name`` stands for them in messages."""
    machine = _Machine(name)
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "STOP":
                return machine.stack.pop()
            machine.do(code.name, argument)
    except DataError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{name}: is no pickle of plain values and arrays ({error}); make it again with the "
            "tool that wrote it."
        ) from error
    raise DataError(f"{name}: ends early; make it again with the tool that wrote it.")


class _Machine:
    """The stack and the memory of a pickle while it is walked through."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[Plain] = []
        self.memory: dict[int, Plain] = {}

    def do(self, code: str, argument: Plain) -> None:
        """Carry out one opcode."""
        if code in _IGNORED:
            return
        if code in _PUSHED:
            self.stack.append(argument)
        elif code in _MADE:
            self.stack.append(_MADE[code]())
        elif code in _STORED:
            self.memory[len(self.memory) if argument is None else argument] = self.stack[-1]
        elif code in _FETCHED:
            self.stack.append(self.memory[argument])
        elif code in _ACTIONS:
            _ACTIONS[code](self, argument)
        else:
            raise DataError(f"{self.name}: uses {code}, which plain values need not; not read.")

    def since_mark(self) -> list[Plain]:
        """Take everything above the last mark, and the mark."""
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("an end without a beginning")
        taken = self.stack[start + 1 :]
        del self.stack[start:]
        return taken

    def named(self, name: str) -> None:
        """Push an allowed name; refuse any other."""
        if name in ARRAYS:
            self.stack.append(_Name(name, ARRAYS[name]))
        elif name in RECORDS:
            self.stack.append(_Name(name, "record"))
        else:
            raise DataError(
                f"{self.name}: asks for {name}, which is neither a NumPy array nor a plain value; "
                "a pickle can run any code, so it is not read."
            )

    def call(self, _: Plain) -> None:
        """Make what an allowed name stands for."""
        arguments, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, _Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is no name")
        self.stack.append(_MAKERS[target.kind](target, *arguments))

    def build(self, _: Plain) -> None:
        """Fill what a call made."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _DType):
            target.order = str(state[1])
        elif isinstance(target, np.ndarray):
            _fill(target, state)
        elif isinstance(target, Record):
            # A class with slots gives a pair: its dictionary, and its slots.
            parts = state if isinstance(state, tuple) else (state,)
            for part in parts:
                target.attributes.update(part or {})
        else:
            raise ValueError("a state for something that has none")


def _fill(array: np.ndarray[Any, Any], state: tuple[Plain, ...]) -> None:
    """Give an empty array its numbers; ValueError unless they are bytes of the right count."""
    version, shape, dtype, fortran, raw = state
    kind = dtype.resolve()
    sizes = [int(size) for size in shape]
    count = int(np.prod(sizes, dtype=object)) * kind.itemsize if sizes else kind.itemsize
    if not isinstance(raw, bytes) or min([0, *sizes]) < 0 or len(raw) != count:
        raise ValueError(f"{shape} numbers of {kind} in {type(raw).__name__}")
    array.__setstate__(cast("Any", (int(version), tuple(sizes), kind, bool(fortran), raw)))


def _from_buffer(_: _Name, raw: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> Plain:
    array = np.frombuffer(bytes(raw), dtype.resolve())
    return array.reshape(shape, order=cast("Any", {"F": "F"}.get(order, "C")))


def _bytes(_: _Name, text: str = "", coding: str = "latin1") -> bytes:
    if coding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in {coding}")
    return text.encode("latin1")


_MAKERS: Mapping[str, Callable[..., Plain]] = {
    "array": lambda *_: np.ndarray((0,), np.uint8),
    "scalar": lambda _, dtype, raw: np.frombuffer(raw, dtype.resolve())[0],
    "buffer": _from_buffer,
    "dtype": lambda _, spec, *__: _DType(str(spec)),
    "bytes": _bytes,
    "set": lambda _, values=(): set(values),
    "fraction": lambda _, over, under: Fraction(int(over), int(under)),
    "record": lambda target, *_: Record(target.name),
}

_IGNORED = {"PROTO", "FRAME"}
_PUSHES = """
INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING
UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
"""
_PUSHED = frozenset(_PUSHES.split())
_MADE: Mapping[str, Callable[[], Plain]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_STORED = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_FETCHED = {"GET", "BINGET", "LONG_BINGET"}


def _tuple(size: int) -> Callable[[_Machine, Plain], None]:
    def make(machine: _Machine, _: Plain) -> None:
        taken = tuple(machine.stack[-size:])
        del machine.stack[-size:]
        machine.stack.append(taken)

    return make


def _pairs(values: list[Plain]) -> Iterator[tuple[Plain, Plain]]:
    return (pair for number, pair in enumerate(pairwise(values)) if number % 2 == 0)


def _set_one(machine: _Machine, _: Plain) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1][key] = value


def _set_many(machine: _Machine, _: Plain) -> None:
    values = machine.since_mark()
    machine.stack[-1].update(_pairs(values))


def _append(machine: _Machine, _: Plain) -> None:
    value = machine.stack.pop()
    machine.stack[-1].append(value)


def _appends(machine: _Machine, _: Plain) -> None:
    values = machine.since_mark()
    machine.stack[-1].extend(values)


def _add_items(machine: _Machine, _: Plain) -> None:
    values = machine.since_mark()
    machine.stack[-1].update(values)


def _stack_global(machine: _Machine, _: Plain) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.named(f"{module}.{name}")


_ACTIONS: Mapping[str, Callable[[_Machine, Plain], None]] = {
    "POP": lambda machine, _: machine.stack.__delitem__(-1),
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "DICT": lambda machine, _: machine.stack.append(dict(_pairs(machine.since_mark()))),
    "FROZENSET": lambda machine, _: machine.stack.append(frozenset(machine.since_mark())),
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_one,
    "SETITEMS": _set_many,
    "ADDITEMS": _add_items,
    # pickletools gives "module name" for GLOBAL.
    "GLOBAL": lambda machine, argument: machine.named(".".join(str(argument).split(" "))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
}
