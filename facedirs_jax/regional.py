"""Blends embedded by computing only what their region can change.

A blend equals its face donor outside of the mask. A convolution carries a change no
further than its kernel reaches, so in the early stages of a network only a window
around the region is another than the donor's, a little larger after each stage. Those
stages run on a slab: the window, and around it as many rows and columns of the donor's
own map as the next stage reads. Once windows nearly fill their maps, the stages that
are left run on whole maps. Nothing is approximated: the numbers that are left out are
those that the donor has already.

A stage runs on a slab as it runs on a map, with its own padding, and what the padding
spoils at the edges of the slab is cut off. A slab that lies at the edge of its map is
padded there as the map is. All sizes follow from the network and the size of the
region's window alone, so that one compilation serves all faces; where a window lies is
an argument.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.layers import Reach, Reaches
from facedirs_jax.backbones.preprocess import Preprocess

WHOLE_FROM = 0.8  # of a map: slabs larger than that are not worth their copies

Place = tuple[jax.Array, jax.Array]  # first row and first column, [] int32 each


class Stage(Protocol):
    """Part of a trunk: [B, H, W, C] -> [B, H', W', C'] of any H and W."""

    @property
    def reach(self) -> Reaches:
        """Which inputs an output depends on."""
        ...

    def __call__(self, x: jax.Array, /) -> jax.Array: ...


@runtime_checkable
class Staged(Protocol):
    """A network whose stages are known: `head` of the last stage's output."""

    weights: WeightCard

    @property
    def trunk(self) -> Sequence[Stage]:
        """The stages in order."""
        ...

    def head(self, x: jax.Array, /) -> jax.Array:
        """Embeddings [B, D] float32 of the last stage's output."""
        ...

    def __call__(self, images: jax.Array, /) -> jax.Array: ...


class Span(NamedTuple):
    """Sizes of one stage's window along one axis, in rows or columns of its maps.

    Attributes:
        reach: of the stage.
        window: of the input, whose values are the blend's.
        slab: of the input, that the stage runs on.
        whole: of the input.
        window_out: of the output, whose values are the blend's.
        whole_out: of the output.
    """

    reach: Reach
    window: int
    slab: int
    whole: int
    window_out: int
    whole_out: int

    def starts(self, start: Any) -> tuple[Any, Any]:
        """First row of slab and of output window, for an input window from `start`."""
        kernel, stride, before = self.reach
        touched = (start + before - kernel) // stride + 1
        out = jnp.clip(touched, 0, self.whole_out - self.window_out)
        slab = (out * stride - before) // stride * stride
        return jnp.clip(slab, 0, self.whole - self.slab), out


class Plan(NamedTuple):
    """Which stages run on windows, and how large those are; static.

    Attributes:
        window: rows and columns of the crop that a blend may change.
        spans: of the stages that run on windows, along rows and columns.
        saved: share of its map's area that a stage need not compute, the mean over all
            stages; 0 where none runs on windows.
    """

    window: tuple[int, int]
    spans: tuple[tuple[Span, Span], ...]
    saved: float


def region_windows(masks: np.ndarray) -> tuple[tuple[int, int], np.ndarray]:
    """One size of window for all faces, and where each face's lies.

    Args:
        masks: [N, S, S] float32, the region of each face, 0 where nothing changes.

    Returns:
        Rows and columns of the smallest window that holds any one of the regions; the
        first row and column [N, 2] int32 of each face's, all within the crop.
    """
    side = masks.shape[1]
    bounds = [_bounds(np.asarray((masks > 0).any(axis=axis)), side) for axis in (2, 1)]
    sizes = [int((stop - start).max(initial=1)) for start, stop in bounds]
    starts = [
        np.clip(start, 0, side - size)
        for (start, _), size in zip(bounds, sizes, strict=True)
    ]
    return (sizes[0], sizes[1]), np.stack(starts, axis=-1).astype(np.int32)


def _bounds(touched: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last True of each row of [N, S] bool; 0, 0 for none."""
    some = touched.any(axis=1)
    start = np.where(some, touched.argmax(axis=1), 0)
    stop = np.where(some, side - touched[:, ::-1].argmax(axis=1), 0)
    return start, stop


def make_plan(
    network: Staged,
    preprocess: Preprocess,
    window: tuple[int, int],
    *,
    whole_from: float = WHOLE_FROM,
) -> Plan:
    """Reads off a network how far the change of a window spreads.

    Args:
        network: with a trunk of stages.
        preprocess: of the network.
        window: rows and columns of the crop that a blend may change.
        whole_from: stages run whole from the first one whose slab has this share of
            its map's area.

    Returns:
        Plan.

    Raises:
        ValueError: if the window does not lie within the crop.
    """
    side = preprocess.size
    if not 1 <= min(window) <= max(window) <= side:
        raise ValueError(f"a window of {window} does not lie in a crop of {side} px")
    shapes = _map_shapes(network, side)
    spans, changed, areas = [], window, []
    for stage, before, after in zip(network.trunk, shapes, shapes[1:], strict=False):
        rows, columns = (
            _span(stage.reach[axis], changed[axis], before[axis], after[axis])
            for axis in (0, 1)
        )
        area = rows.slab * columns.slab / (rows.whole * columns.whole)
        if area >= whole_from:
            break
        spans.append((rows, columns))
        areas.append(area)
        changed = rows.window_out, columns.window_out
    saved = sum(1.0 - area for area in areas) / len(network.trunk)
    return Plan(window, tuple(spans), saved)


def _map_shapes(network: Staged, side: int) -> list[tuple[int, int]]:
    """Rows and columns of every stage's input, and of the last one's output."""

    def outputs(network: Staged, x: jax.Array) -> list[jax.Array]:
        return [x := stage(x) for stage in network.trunk]

    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = [y.shape for y in jax.eval_shape(outputs, network, x)]
    return [(side, side), *((rows, columns) for _, rows, columns, _ in shapes)]


def _span(reach: Reach, window: int, whole: int, whole_out: int) -> Span:
    kernel, stride, before = reach
    window_out = min((window + kernel - 2) // stride + 1, whole_out)
    needed = (window_out - 1) * stride + kernel + -before % stride
    # Of the map's own remainder, so that a slab can begin at a multiple of the stride
    # and end with the map.
    slab = min(needed + (whole - needed) % stride, whole)
    return Span(reach, window, slab, whole, window_out, whole_out)


def donor_maps(
    network: Staged, preprocess: Preprocess, plan: Plan, crop: jax.Array
) -> list[jax.Array]:
    """What surrounds the windows of all blends of one face donor.

    Args:
        network: with a trunk of stages.
        preprocess: of the network.
        plan: of `make_plan`.
        crop: [S, S, 3] float32 in [0, 1], the face donor.

    Returns:
        [H, W, C] input of every stage that runs on windows, and of the one after them.
    """
    x = preprocess(crop[None])
    maps = [x[0]]
    for stage in network.trunk[: len(plan.spans)]:
        x = stage(x)
        maps.append(x[0])
    return maps


def window_templates(
    network: Staged,
    preprocess: Preprocess,
    plan: Plan,
    maps: Sequence[jax.Array],
    windows: jax.Array,
    place: Place,
) -> jax.Array:
    """Embeds blends of one face donor, of which only a window is given.

    Args:
        network: with a trunk of stages.
        preprocess: of the network.
        plan: of `make_plan`.
        maps: [H, W, C] each, of `donor_maps`, of the face donor.
        windows: [B, h, w, 3] float32 in [0, 1], (h, w) = plan.window: that part of
            each blend.
        place: first row and column of the window in the crop, [] int32 each.

    Returns:
        [B, D] float32 templates; those of the whole blends.
    """
    trunk = network.trunk
    x = preprocess.inputs(windows)
    for stage, spans, around in zip(trunk, plan.spans, maps, strict=False):
        x, place = _on_slab(stage, spans, x, around, place)
    x = _placed(x, maps[len(plan.spans)], place)
    for stage in trunk[len(plan.spans) :]:
        x = stage(x)
    return preprocess.normalise(network.head(x))


def _on_slab(
    stage: Stage,
    spans: tuple[Span, Span],
    x: jax.Array,
    around: jax.Array,
    place: Place,
) -> tuple[jax.Array, Place]:
    """One stage on windows [B, h, w, C] at `place` of a donor's map [H, W, C]."""
    (row_slab, row_out), (column_slab, column_out) = (
        span.starts(at) for span, at in zip(spans, place, strict=True)
    )
    rows, columns = spans
    slab = _slice(around, (row_slab, column_slab), (rows.slab, columns.slab))
    x = stage(_placed(x, slab, (place[0] - row_slab, place[1] - column_slab)))
    inner = (
        row_out - row_slab // rows.reach.stride,
        column_out - column_slab // columns.reach.stride,
    )
    x = _slice(x, inner, (rows.window_out, columns.window_out))
    return x, (row_out, column_out)


def _slice(x: jax.Array, at: Sequence[Any], sizes: Sequence[int]) -> jax.Array:
    """Rows and columns of [..., H, W, C]."""
    lead = x.ndim - 3
    starts = [*[0] * lead, *at, 0]
    return jax.lax.dynamic_slice(x, starts, (*x.shape[:lead], *sizes, x.shape[-1]))


def _placed(x: jax.Array, around: jax.Array, at: Sequence[Any]) -> jax.Array:
    """Windows [B, h, w, C] within one map [H, W, C] -> [B, H, W, C]."""
    maps = jnp.broadcast_to(around, (len(x), *around.shape))
    return jax.lax.dynamic_update_slice(maps, x, [0, *at, 0])
