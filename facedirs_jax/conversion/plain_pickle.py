"""Reads pickles as plain nested data: no name in them is imported, nothing is run.

A pickle is a program for a small stack machine. The machine here has the instructions
that weights need and no more, and the functions and classes that the program names are
looked up in a table of stand-ins (`numpy_pickle` and `torch_file` each have theirs),
never imported. Its memory is bounded by the file: a length that it claims must be
there, instructions are counted, and only texts and numbers are keys, since hashing
nested tuples can take for ever or exhaust the C stack.
"""

import codecs
import mmap
import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from facedirs_jax.errors import InputError

MOST_INSTRUCTIONS = 1_000_000  # a ResNet-50 takes 9,000

# What the machine, its stand-ins and pickletools raise on a broken pickle (by fuzzing).
_BROKEN = (
    AttributeError,
    EOFError,
    LookupError,  # an empty stack, a place in the memo never filled
    OverflowError,
    TypeError,  # arguments that do not suit an instruction or a stand-in
    ValueError,  # and UnicodeDecodeError
)


class Source:
    """The bytes of a file, read in order; a pickle's lengths are held against them."""

    def __init__(self, content: mmap.mmap | bytes, name: str):
        self.content = content
        self.name = name
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that are still unread."""
        return len(self.content) - self.at

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise EOFError(f"{count} bytes are wanted, {self.left} are left")
        self.at += count
        return self.content[self.at - count : self.at]

    def readline(self) -> bytes:
        end = self.content.find(b"\n", self.at)
        return self.read((end if end >= 0 else len(self.content)) + 1 - self.at)


class Call:
    """Base of the stand-ins that a pickle may set the state of."""

    def __setstate__(self, state: Any) -> None:
        raise TypeError(f"{type(self).__name__} takes no state")


class Named(Call, dict[str, Any]):
    """Stands in for OrderedDict; attributes that are set on it are left out."""

    def __init__(self, pairs: Any = ()):
        super().__init__()
        for key, value in pairs:
            self[_key(key)] = value

    def __setstate__(self, state: Any) -> None:
        """Leaves out `_metadata`, the versions of PyTorch's modules."""


Table = Mapping[tuple[str, str], Any]


def load_plain(
    source: Source,
    table: Table,
    *,
    remedy: str,
    storage: Callable[[Any], Any] | None = None,
) -> Any:
    """The nested data of the pickle that lies next in a file.

    Args:
        source: the file, from where the pickle starts; it is left where that ends.
        table: stand-ins by module and name; any other name is refused.
        remedy: what to do about a pickle that asks for more than the table holds.
        storage: gives the object of a persistent id, as PyTorch's storages have.

    Returns:
        What the pickle describes, made of texts, numbers, lists, dicts and stand-ins.

    Raises:
        InputError: if it is no pickle, or names what is not in the table.
    """
    machine = _Machine(source, table, remedy, storage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the texts of protocol 0
            return machine.run()
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(
            f"{source.name}: damaged, or no pickle of plain weights: at byte "
            f"{source.at}, {type(error).__name__}: {error!s:.200}; fetch it again"
        ) from error


_OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
_NEW = {
    **{"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple},
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
    *("SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE8"),
}


class _Machine:
    """A stack of values, marks on it, and a memo of values to be used again."""

    def __init__(
        self,
        source: Source,
        table: Table,
        remedy: str,
        storage: Callable[[Any], Any] | None,
    ):
        self.source, self.table, self.remedy = source, table, remedy
        self.storage = storage
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MOST_INSTRUCTIONS):
            name, argument = self._next()
            if name == "STOP":
                return self.stack.pop()
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _NEW:
                self.stack.append(_NEW[name]())
            elif name not in ("PROTO", "FRAME"):  # hints, of no need here
                self._effect(name, argument)
        raise ValueError("it has more instructions than weights need")

    def _next(self) -> tuple[str, Any]:
        opcode = _OPCODES[self.source.read(1)]
        if opcode.name == "STRING":  # of any bytes, as Python 2 wrote them
            quoted = self.source.readline().strip()
            return "STRING", codecs.escape_decode(quoted[1:-1])[0].decode("latin1")
        read: Callable[[Any], Any] | None = opcode.arg and opcode.arg.reader
        return opcode.name, read and read(self.source)

    def _effect(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "MARK":
                self.marks.append(stack)
                self.stack = []
            case "TUPLE" | "LIST" | "DICT":
                stack = self._unmarked()
                make = {"TUPLE": tuple, "LIST": list, "DICT": _paired}[name]
                self.stack.append(make(stack))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._pop(int(name[-1]))))
            case "APPEND" | "APPENDS":
                values = self._pop(1) if name == "APPEND" else self._unmarked()
                _of(list, self.stack[-1]).extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._pop(2) if name == "SETITEM" else self._unmarked()
                _of(dict, self.stack[-1]).update(_paired(values))
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                place = len(self.memo) if name == "MEMOIZE" else argument
                self.memo[place] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case _:
                self._call(name, argument)

    def _call(self, name: str, argument: Any) -> None:
        match name:
            case "GLOBAL" | "STACK_GLOBAL":
                names = argument.split(" ", 1) if argument else self._pop(2)
                self.stack.append(self._stand_in(*names))
            case "REDUCE" | "NEWOBJ":
                function, arguments = self._pop(2)
                if not any(function is known for known in self.table.values()):
                    raise TypeError("what is no function is called")
                self.stack.append(function(*arguments))
            case "BUILD":
                (state,) = self._pop(1)
                _of(Call, self.stack[-1]).__setstate__(state)
            case "BINPERSID" if self.storage:
                self.stack.append(self.storage(*self._pop(1)))
            case _:
                raise ValueError(f"weights need no {name}")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def _unmarked(self) -> list[Any]:
        """The values above the last mark, which goes."""
        values, self.stack = self.stack, self.marks.pop()
        return values

    def _stand_in(self, module: str, name: str) -> Any:
        if (_of(str, module), _of(str, name)) not in self.table:
            raise InputError(
                f"{self.source.name}: it asks for {module:.80}.{name:.80}, which is no "
                f"part of plain weights and could run code; {self.remedy}"
            )
        return self.table[module, name]


def _key(key: Any) -> Any:
    if not isinstance(key, str | bytes | int) or (type(key) is int and key >> 64):
        raise TypeError(f"a {type(key).__name__} is a key")
    return key


def _paired(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_key, values[::2]), values[1::2], strict=True))


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} stands for a {kind.__name__}")
    return value
