"""Upper bounds of speed: what a computation takes at the peaks of a machine.

After Williams, Waterman and Patterson, "Roofline" (Communications of the ACM 52,
2009): a kernel takes at least as long as its operations do at the peak of the
arithmetic, and as its bytes do at the bandwidth of the memory. Kernels here are the
convolutions, matrix products, poolings and copies into larger maps of a traced
function, each of which reads its operands from memory once and writes its output once.
All else, such as normalisation, ReLU and sums of branches, is taken to be fused into
them and to cost nothing. So real kernels take longer than what comes out, unless an
algorithm makes a convolution of fewer multiplications (Winograd's, of 3x3 kernels).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
from jax.extend.core import jaxprs_in_params

Unit = Literal["float32", "tf32", "bfloat16"]
Line = tuple[tuple[int, float], tuple[int, float]]


class Machine(NamedTuple):
    """Peaks of a device as its maker publishes them.

    Attributes:
        name: of the device.
        source: of the figures.
        peaks: operations a second of each unit, dense.
        bandwidth: of its memory, bytes a second.
        memory: bytes.
        to_host: bandwidth to the host, one way, bytes a second.
    """

    name: str
    source: str
    peaks: Mapping[Unit, float]
    bandwidth: float
    memory: float
    to_host: float

    def ridge(self, unit: Unit) -> float:
        """Operations a byte from which arithmetic, not memory, is what bounds."""
        return self.peaks[unit] / self.bandwidth


# The data sheets print tensor-core figures with 2:4 sparsity; dense ones are half.
_HOPPER: Mapping[Unit, float] = {
    "float32": 67e12,
    "tf32": 494.7e12,
    "bfloat16": 989.4e12,
}
MACHINES = {
    "h100_sxm": Machine(
        "NVIDIA H100 SXM",
        "NVIDIA H100 Tensor Core GPU data sheet",
        _HOPPER,
        bandwidth=3.35e12,
        memory=80e9,
        to_host=64e9,
    ),
    "h200_sxm": Machine(
        "NVIDIA H200 SXM",
        "NVIDIA H200 Tensor Core GPU data sheet",
        _HOPPER,
        bandwidth=4.8e12,
        memory=141e9,
        to_host=64e9,
    ),
}


class Kernel(NamedTuple):
    """One step of a computation that reads and writes memory.

    Attributes:
        name: of the primitive.
        unit: that computes it.
        flops: floating-point operations; those on padding are among them, and maxima
            and copies count as none.
        bytes: of its operands and of its output.
    """

    name: str
    unit: Unit
    flops: float
    bytes: float


class Bound(NamedTuple):
    """What kernels take at the peaks of a machine.

    Attributes:
        flops: of all of them.
        bytes: of all of them.
        overlapped: seconds if arithmetic and memory are both busy all the time.
        in_turn: seconds if each kernel begins when the one before has ended, as on a
            GPU; at least `overlapped`.
        by: which of the two `overlapped` is.
        in_memory: share of `in_turn` in kernels that memory bounds.
    """

    flops: float
    bytes: float
    overlapped: float
    in_turn: float
    by: Literal["compute", "memory"]
    in_memory: float

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return self.flops / self.bytes


def kernels_of(jaxpr: Any) -> list[Kernel]:
    """Kernels of a traced function in order; where platforms differ, a GPU's.

    Args:
        jaxpr: `jax.jit(f).trace(...).jaxpr`; the precision under which it was traced
            says which unit computes a product.

    Returns:
        Kernels.

    Raises:
        ValueError: if it has a loop or a branch, whose kernels cannot be counted.
    """
    return list(_kernels(jaxpr))


def _kernels(jaxpr: Any) -> Iterator[Kernel]:
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name = equation.primitive.name
        by_platform = equation.params.get("branches_platforms")
        if by_platform:  # of `jax.lax.platform_dependent`
            yield from _kernels(equation.params["branches"][by_platform.index(None)])
        elif name in ("while", "scan", "cond"):
            raise ValueError(f"the kernels of a {name!r} cannot be counted")
        elif name in _OPERATIONS:
            yield _kernel(name, equation)
        else:
            for inner in jaxprs_in_params(equation.params):
                yield from _kernels(inner)


def _kernel(name: str, equation: Any) -> Kernel:
    operands = [operand.aval for operand in equation.invars]
    output = equation.outvars[0].aval
    if name == "dynamic_update_slice":  # in place: the rest is there already
        operands = operands[1:2]
    moved = sum(math.prod(a.shape) * a.dtype.itemsize for a in (*operands, output))
    unit = _unit(operands[0].dtype.name, equation.params.get("precision"))
    return Kernel(name, unit, _OPERATIONS[name](equation, output), float(moved))


def _unit(dtype: str, precision: Any) -> Unit:
    if dtype == "bfloat16":
        return "bfloat16"
    return "float32" if jax.lax.Precision.HIGHEST in (precision or ()) else "tf32"


def _product_flops(equation: Any, output: Any) -> float:
    left = equation.invars[0].aval
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2.0 * math.prod(output.shape) * math.prod(left.shape[d] for d in contracted)


def _convolution_flops(equation: Any, output: Any) -> float:
    kernel = equation.invars[1].aval
    outputs = equation.params["dimension_numbers"].rhs_spec[0]
    return 2.0 * math.prod(output.shape) * kernel.size / kernel.shape[outputs]


def _none(equation: Any, output: Any) -> float:
    return 0.0


_OPERATIONS = {
    "conv_general_dilated": _convolution_flops,
    "dot_general": _product_flops,
    "reduce_window_max": _none,
    "reduce_window": _none,
    "dynamic_update_slice": _none,
}


def bound_of(kernels: Sequence[Kernel], machine: Machine) -> Bound:
    """What kernels take at the peaks of a machine.

    Args:
        kernels: of `kernels_of`.
        machine: one of `MACHINES`.

    Returns:
        Bound.
    """
    computing = [kernel.flops / machine.peaks[kernel.unit] for kernel in kernels]
    moving = [kernel.bytes / machine.bandwidth for kernel in kernels]
    each = list(map(max, computing, moving))
    in_memory = sum(m for c, m in zip(computing, moving, strict=True) if m > c)
    return Bound(
        flops=sum(kernel.flops for kernel in kernels),
        bytes=sum(kernel.bytes for kernel in kernels),
        overlapped=max(sum(computing), sum(moving)),
        in_turn=sum(each),
        by="compute" if sum(computing) >= sum(moving) else "memory",
        in_memory=in_memory / sum(each),
    )


def at_size(
    small: tuple[int, Sequence[Kernel]], large: tuple[int, Sequence[Kernel]], size: int
) -> list[Kernel]:
    """Kernels at another batch, on lines through those at two.

    Args:
        small: a size of the batch, and the kernels of the function at it.
        large: another size, and the same kernels.
        size: that is asked for.

    Returns:
        Kernels.

    Raises:
        ValueError: if the two are not of one function.
    """
    names = [[kernel.name for kernel in kernels] for _, kernels in (small, large)]
    if names[0] != names[1]:
        raise ValueError("the kernels at the two sizes are not the same")
    return [
        a._replace(
            flops=on_line(((small[0], a.flops), (large[0], b.flops)), size),
            bytes=on_line(((small[0], a.bytes), (large[0], b.bytes)), size),
        )
        for a, b in zip(small[1], large[1], strict=True)
    ]


def on_line(line: Line, at: float) -> float:
    """Value on the line through two points (size, value).

    Args:
        line: the two points.
        at: a size.

    Returns:
        The value there.
    """
    (x, y), (x_, y_) = line
    return y + (y_ - y) / (x_ - x) * (at - x)


def largest_power_of_two(line: Line, limit: float) -> int:
    """Largest power of two at which a growing line is within a limit.

    Args:
        line: two points (size, value).
        limit: of the value.

    Returns:
        The size; 0 where not even 1 fits.
    """
    size = 1
    while on_line(line, size) <= limit:
        size *= 2
    return size // 2
