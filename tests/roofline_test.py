"""Bounds of kernels by hand, and their counts in functions whose layers are known."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from facedirs_jax.backbones.layers import MaxPool
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.grid import make_grid
from facedirs_jax.grid_run import SEGMENT, chunk_size, traced_grid
from facedirs_jax.roofline import (
    MACHINES,
    Kernel,
    Machine,
    at_size,
    bound_of,
    kernels_of,
    largest_power_of_two,
    on_line,
)
from facedirs_jax.training.weights import abstract_network

TOY = Machine(
    name="toy",
    source="made up",
    peaks={"float32": 100.0, "tf32": 500.0, "bfloat16": 1000.0},
    bandwidth=10.0,
    memory=1000.0,
    to_host=1.0,
)
HEAVY = Kernel("dot_general", "float32", flops=1000.0, bytes=20.0)  # 10 s and 2 s
LIGHT = Kernel("reduce_window_max", "tf32", flops=0.0, bytes=50.0)  # 0 s and 5 s


def shaped(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def traced(function, *arguments):
    return kernels_of(jax.jit(function).trace(*arguments).jaxpr)


def convolution(x, kernel, **options):
    return jax.lax.conv_general_dilated(
        *(x, kernel, (1, 1), "SAME"),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **options,
    )


def test_what_takes_longer_bounds_a_kernel():
    heavy, light = bound_of([HEAVY], TOY), bound_of([LIGHT], TOY)
    assert (heavy.by, heavy.overlapped, heavy.in_turn) == ("compute", 10.0, 10.0)
    assert (light.by, light.overlapped, light.in_turn) == ("memory", 5.0, 5.0)
    assert (heavy.in_memory, light.in_memory) == (0.0, 1.0)
    assert heavy.intensity == 50.0 > TOY.ridge("float32") == 10.0


def test_kernels_one_after_another_take_longer_than_overlapped():
    both = bound_of([HEAVY, LIGHT], TOY)
    assert (both.flops, both.bytes) == (1000.0, 70.0)
    assert (both.by, both.overlapped, both.in_turn) == ("compute", 10.0, 15.0)
    assert both.in_memory == pytest.approx(1 / 3)


def test_a_product_in_a_faster_unit_can_be_bounded_by_memory():
    kernel = HEAVY._replace(unit="bfloat16", bytes=20.0)
    assert bound_of([kernel], TOY)[2:5] == (2.0, 2.0, "memory")


@pytest.mark.parametrize(("limit", "size"), [(99, 0), (110, 1), (739, 32), (740, 64)])
def test_the_largest_chunk_that_fits(limit, size):
    need = ((16, 260.0), (48, 580.0))  # 100 + 10 a blend
    assert on_line(need, 2) == 120.0
    assert largest_power_of_two(need, limit) == size


def test_a_convolution_is_counted_by_hand():
    (kernel,) = traced(convolution, shaped(2, 8, 8, 3), shaped(3, 3, 3, 4))
    assert kernel.flops == 2 * (2 * 8 * 8 * 4) * 27
    assert kernel.bytes == 4 * (2 * 8 * 8 * 3 + 27 * 4 + 2 * 8 * 8 * 4)


def test_a_grouped_convolution_multiplies_within_its_groups():
    (kernel,) = traced(
        lambda x, kernel: convolution(x, kernel, feature_group_count=2),
        *(shaped(1, 4, 4, 6), shaped(1, 1, 3, 8)),
    )
    assert kernel.flops == 2 * (4 * 4 * 8) * 3


def test_products_poolings_and_copies_are_counted_and_the_rest_is_not():
    pool = MaxPool(2, stride=2)

    def function(maps, x, weights):
        maps = jax.lax.dynamic_update_slice(maps, jnp.tanh(x), (0, 1, 1, 0))
        return pool(maps).reshape(2, -1) @ weights + 1.0

    kernels = traced(
        function, shaped(2, 6, 6, 1), shaped(2, 3, 3, 1), shaped(9, 5, dtype="float32")
    )
    assert [(k.name, k.flops, k.bytes) for k in kernels] == [
        ("dynamic_update_slice", 0.0, 4 * (2 * 9 + 2 * 36)),
        ("reduce_window_max", 0.0, 4 * (2 * 36 + 2 * 9)),
        ("dot_general", 2 * 2 * 5 * 9, 4 * (2 * 9 + 9 * 5 + 2 * 5)),
    ]


@pytest.mark.parametrize(
    ("precision", "dtype", "unit"),
    [
        ("highest", "float32", "float32"),
        ("default", "float32", "tf32"),
        ("default", "bfloat16", "bfloat16"),
    ],
)
def test_the_precision_says_which_unit_computes(precision, dtype, unit):
    with jax.default_matmul_precision(precision):
        x, y = shaped(4, 3, dtype=dtype), shaped(3, 2, dtype=dtype)
        (kernel,) = traced(lambda x, y: x @ y, x, y)
    assert kernel.unit == unit
    assert kernel.bytes == (12 + 6 + 8) * jnp.dtype(dtype).itemsize


def test_a_loop_is_refused():
    with pytest.raises(ValueError, match="'scan' cannot be counted"):
        traced(lambda x: jax.lax.map(jnp.sum, x), shaped(3, 2))


def test_kernels_at_another_size_are_those_traced_at_it():
    def function(batch):
        return traced(lambda x, y: x @ y, shaped(batch, 3), shaped(3, 2))

    assert at_size((4, function(4)), (8, function(8)), 100) == function(100)
    with pytest.raises(ValueError, match="not the same"):
        at_size((4, [HEAVY]), (8, [LIGHT]), 100)


@pytest.fixture(scope="module")
def vgg():
    """A tiny VGG16 of shapes alone, its preprocessing, and a grid."""
    network = abstract_network(lambda: VGG16(VGG16Config.tiny(), rngs=nnx.Rngs(0)))
    preprocess = Preprocess("dlib_chip", 64, (0.0, 0.0, 0.0), 255.0, "RGB", False)
    return network, preprocess, make_grid(9, max_blocks=2)


def test_a_network_of_shapes_alone_is_counted_by_hand(vgg):
    traced = traced_grid(*vgg, faces=9, chunk=3)
    flops, channels, side = 0, 3, 64
    for width, convolutions in ((4, 2), (8, 2), (16, 3), (32, 3), (32, 3)):
        for _ in range(convolutions):
            flops += 2 * side**2 * 9 * channels * width
            channels = width
        side //= 2
    flops += 2 * (4 * 32 * 256 + 256 * 256)
    kernels = kernels_of(traced.chunk.jaxpr)
    assert sum(kernel.flops for kernel in kernels) == 3 * flops
    assert len(kernels) == 13 + 5 + 2


def test_a_region_computes_less_than_a_whole_blend(vgg):
    whole = traced_grid(*vgg, faces=9, chunk=3)
    region = traced_grid(*vgg, faces=9, chunk=3, window=(16, 20))
    assert region.chunk.out_info.shape == whole.chunk.out_info.shape == (3, 256)
    less, more = (bound_of(kernels_of(t.chunk.jaxpr), TOY) for t in (region, whole))
    assert 0 < less.flops < more.flops
    with pytest.raises(ValueError, match="does not lie in a crop"):
        traced_grid(*vgg, faces=9, chunk=3, window=(16, 65))


def test_a_network_that_does_not_tell_its_stages_has_no_regions(toy):
    given = toy.network, toy.preprocess, make_grid(9, max_blocks=2)
    assert kernels_of(traced_grid(*given, faces=9, chunk=3).chunk.jaxpr)
    with pytest.raises(ValueError, match="ToyNetwork does not tell its stages"):
        traced_grid(*given, faces=9, chunk=3, window=(4, 4))


def test_the_sums_of_a_segment_are_those_of_all_its_templates(vgg):
    sums = traced_grid(*vgg, faces=9, chunk=3).segment
    kernels = kernels_of(sums.jaxpr)
    assert {kernel.unit for kernel in kernels} == {"float32"}
    moments = 2 * (2 * SEGMENT * 3 * 2 * 256 * 256)  # of either kind, 2 blocks
    assert sum(kernel.flops for kernel in kernels) > moments
    assert sums.out_info.face_moments.shape == (2, 256, 256)


def test_rows_are_divided_evenly_into_chunks():
    grid = make_grid(9, max_blocks=2)
    assert chunk_size(grid, 8, by_row=False) == 8
    assert chunk_size(grid, 8, by_row=True) == 5
    assert chunk_size(grid, 8, by_row=True, parts=4) == 8


def test_published_machines_differ_in_memory_alone():
    h100, h200 = MACHINES["h100_sxm"], MACHINES["h200_sxm"]
    assert h100.peaks == h200.peaks
    assert h100.bandwidth < h200.bandwidth and h100.memory < h200.memory
    assert h100.ridge("float32") == pytest.approx(20.0)


def test_of_branches_by_platform_a_gpus_is_counted():
    def function(x):
        return jax.lax.platform_dependent(
            x, cpu=lambda x: x, default=lambda x: (x @ x) @ x
        )

    traced = jax.jit(function).trace(jax.ShapeDtypeStruct((4, 4), jnp.float32))
    kernels = kernels_of(traced.jaxpr)
    assert [kernel.flops for kernel in kernels] == [128.0, 128.0]
