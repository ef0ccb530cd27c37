"""Plain data out of a pickle, read without running it.

A pickle is a program, whose instructions may call anything. This reads them one by one and follows those that make
numbers, strings, lists, tuples, dicts and NumPy's arrays of numbers, which become lists; whatever else it comes upon
is refused. Nothing is imported or called by a name in the file.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_BYTES = 8 << 20
MOST_STEPS = 2_000_000
_LARGEST = 1 << 63

_PUSHED = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SMALL_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PASSED_OVER = frozenset(["PROTO", "FRAME"])
_DTYPES = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8"}


class _Array(list[Any]):
    """An array of numbers, as a list that is filled when its numbers come."""


@dataclass(slots=True)
class _DType:
    code: str
    order: str = "<"


@dataclass(frozen=True, slots=True)
class _Name:
    """What the file wants to call."""

    text: str


def loads(data: bytes) -> Any:
    """What the pickle holds. Raises ValueError, saying where and why, for one that is damaged or no plain data."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data):,} bytes: no such file has more than {MOST_BYTES:,}")
    machine = _Machine()
    try:
        for step, (code, argument, place) in enumerate(pickletools.genops(data)):
            if step >= MOST_STEPS:
                raise ValueError(f"more than {MOST_STEPS:,} instructions")
            machine.place = place or 0
            if code.name == "STOP":
                return machine.result()
            machine.follow(code.name, argument)
    # A warning is of a string with a wrong escape; an IndexError of a stack that is empty.
    except (ValueError, IndexError, TypeError, OverflowError, Warning) as error:
        why = "damaged" if isinstance(error, IndexError) else error
        raise ValueError(f"at byte {machine.place:,}: {why}") from error
    raise ValueError("it ends too early")


class _Machine:
    """The stack, the marks in it, and what was put aside for later."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.place = 0
        self.made = 0

    def result(self) -> Any:
        if len(self.stack) != 1 or self.below or isinstance(self.stack[0], _Name | _DType):
            raise ValueError("it ends in the middle")
        return self.stack[0]

    def follow(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            if isinstance(argument, int) and not -_LARGEST <= argument < _LARGEST:
                raise ValueError("a number of more than 64 bits")
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _SMALL_TUPLES:
            count = _SMALL_TUPLES[name]
            self.stack.append(tuple(reversed([self.stack.pop() for _ in range(count)])))
        elif step := _STEPS.get(name):
            step(self, argument)
        elif name not in _PASSED_OVER:
            raise ValueError(f"{name} makes no plain data")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def remember(self, key: int | None = None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise ValueError("damaged")
        self.stack.append(self.memo[key])

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("damaged")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise ValueError("damaged")
        self.stack[-1].update(_dict(items))

    def name(self, text: str) -> None:
        if text not in _CALLS and text not in _TYPES:
            raise ValueError(f"it wants to use {text[:80]!r}, which no plain data needs")
        self.stack.append(_Name(text))

    def name_of_two(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("damaged")
        self.name(f"{module} {name}")

    def call(self) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        maker = _CALLS.get(what.text) if isinstance(what, _Name) else None
        if maker is None or not isinstance(arguments, tuple):
            raise ValueError("it calls what cannot be called")
        self.stack.append(self.paid(maker(*arguments)))

    def paid(self, made: Any) -> Any:
        """A few instructions can ask for the same array again and again: all together must stay within bounds."""
        self.made += len(made) if isinstance(made, bytes | list) else 1
        if self.made > MOST_BYTES:
            raise ValueError("more data than a file of its kind can hold")
        return made

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _DType):
            _, order, *_ = state
            if order not in ("<", ">", "|", "="):
                raise ValueError("an unknown order of bytes")
            target.order = order
        elif isinstance(target, _Array):
            _, shape, dtype, fortran, raw = state
            target[:] = self.paid(_numbers(raw, dtype, shape, "F" if fortran else "C"))
        else:
            raise ValueError("it fills what takes nothing")


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: _ignore(machine.stack.pop()),
    "POP_MARK": lambda machine, _: _ignore(machine.marked()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "LIST": lambda machine, _: machine.push(machine.marked()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "DICT": lambda machine, _: machine.push(_dict(machine.marked())),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "SETITEM": lambda machine, _: machine.update([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.update(machine.marked()),
    "PUT": lambda machine, key: machine.remember(key),
    "BINPUT": lambda machine, key: machine.remember(key),
    "LONG_BINPUT": lambda machine, key: machine.remember(key),
    "MEMOIZE": lambda machine, _: machine.remember(),
    "GET": lambda machine, key: machine.recall(key),
    "BINGET": lambda machine, key: machine.recall(key),
    "LONG_BINGET": lambda machine, key: machine.recall(key),
    "GLOBAL": lambda machine, text: machine.name(text),
    "STACK_GLOBAL": lambda machine, _: machine.name_of_two(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}


def _ignore(_: object) -> None: ...


def _dict(items: list[Any]) -> dict[Any, Any]:
    keys, values = items[::2], items[1::2]
    # Strings and numbers only: to hash tuples in tuples in tuples would overflow the stack of the process.
    if len(keys) != len(values) or not all(isinstance(key, str | int) for key in keys):
        raise ValueError("a dict with odd keys")
    return dict(zip(keys, values, strict=True))


def _array(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _dtype(code: object, *_: object) -> _DType:
    text = code.decode("latin-1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or text not in _DTYPES:
        raise ValueError("an array of something else than numbers")
    return _DType(text)


def _numbers(raw: object, dtype: object, shape: object, order: object) -> list[Any]:
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _DType):
        raise ValueError("an array of something else than numbers")
    if not isinstance(shape, tuple) or not 1 <= len(shape) <= 2 or order not in ("C", "F"):
        raise ValueError("an array of an odd shape")
    if not all(type(side) is int and 0 <= side <= MOST_BYTES for side in shape):
        raise ValueError("an array of an odd shape")
    order_of_bytes = "" if dtype.order in "|=" else dtype.order
    values = np.frombuffer(data, dtype=np.dtype(order_of_bytes + dtype.code))
    made: list[Any] = values.reshape(shape, order="F" if order == "F" else "C").tolist()
    return made


def _from_buffer(raw: object, dtype: object, shape: object, order: object) -> _Array:
    return _Array(_numbers(raw, dtype, shape, order))


def _scalar(dtype: object, raw: object) -> Any:
    (value,) = _numbers(raw, dtype, (1,), "C")
    return value


def _encoded(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("a string in an odd encoding")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_CALLS: dict[str, Callable[..., Any]] = {
    "_codecs encode": _encoded,
    "__builtin__ bytes": _no_bytes,
    "builtins bytes": _no_bytes,
    "numpy dtype": _dtype,
    **{
        f"{core} {name}": made
        for package in ("numpy.core", "numpy._core")
        for core, name, made in (
            (f"{package}.multiarray", "_reconstruct", _array),
            (f"{package}.multiarray", "scalar", _scalar),
            (f"{package}.numeric", "_frombuffer", _from_buffer),
        )
    },
}
_TYPES = frozenset(["numpy ndarray"])
