"""Times ways to convolve on this machine, layer by layer, in one run.

    python -m experiments.bench_convolutions --out_dir=runs/convolutions

For layers of the networks whose grids are timed (`bench_grid`) and of the decoder:

- xla: XLA's own convolution;
- nchw: the same with channels first;
- cropped: with two pixels of padding more, which is cut off again (XLA on a CPU runs
  some convolutions faster with padding than without);
- im2col: patches side by side, and one matrix product;
- places: a matrix product for each place of the kernel, added up;
- minimal: minimal filtering, for kernels of 3 x 3 and stride 1;
- library: what this library does (`facedirs_jax.backbones.convolution`).

All are checked to give the same. Then the gradients by kernel and input, of xla's and
of the library's. Prints GFLOP/s of a direct convolution, medians of rounds in turns
(minimal filtering may lie above the machine's peak); writes convolutions.json and a
chart. Settings of XLA are compared by running it again under XLA_FLAGS.
"""

import dataclasses
import functools
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from facedirs_jax import bench_charts, figures, files, runs
from facedirs_jax.backbones.convolution import Pads, convolve, minimal_filtering
from facedirs_jax.devices import data_mesh
from facedirs_jax.training import metrics

from .launch import launch

_TOLERANCE = 1e-4  # of the largest value: other sums, same function


class Layer(NamedTuple):
    """A convolution between maps of `side` px."""

    name: str
    kernel: int
    stride: int
    side: int
    channels: int
    width: int


LAYERS = (
    Layer("vgg16 conv1_2", 3, 1, 224, 64, 64),
    Layer("vgg16 conv2_2", 3, 1, 112, 128, 128),
    Layer("vgg16 conv3_2", 3, 1, 56, 256, 256),
    Layer("vgg16 conv4_2", 3, 1, 28, 512, 512),
    Layer("vgg16 conv5_2", 3, 1, 14, 512, 512),
    Layer("resnet50 layer1 3x3", 3, 1, 56, 64, 64),
    Layer("resnet50 layer1 1x1", 1, 1, 56, 256, 64),
    Layer("resnet50 layer3 1x1", 1, 1, 14, 1024, 256),
    Layer("resnet50 conv1", 7, 2, 224, 3, 64),
    Layer("iresnet50 stage 2", 3, 1, 28, 128, 128),
    Layer("iresnet50 stage 2 halving", 3, 2, 56, 128, 128),
    Layer("decoder 40 px", 3, 1, 40, 96, 96),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is timed; see the flags of the same names."""

    out_dir: str
    layers: tuple[Layer, ...] = LAYERS
    batch: int = 16
    rounds: int = 3


Way = Callable[[jax.Array, jax.Array], jax.Array]


def run(config: Config) -> int:
    """Times every layer; gives the exit code."""
    with runs.locked(config.out_dir, resume=False) as out:
        peak = metrics.matmul_peak(data_mesh(devices=1))
        print(f"peak of a matrix product: {peak:.0f} GFLOP/s")
        found = {}
        for layer in config.layers:
            found[layer.name] = _measured(layer, config)
            told = (f"{way} {rate}" for way, rate in found[layer.name].items())
            print(f"{layer.name}: {', '.join(told)}")
        result = {
            "gflops": found,
            "peak_gflops": round(peak, 1),
            "batch": config.batch,
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "device": jax.devices()[0].device_kind,
            "versions": runs.versions(),
        }
        files.write_text(out / "convolutions.json", json.dumps(result, indent=1) + "\n")
        chart = bench_charts.draw_rates(found, "GFLOP/s")
        figures.save_figure(out / "convolutions.png", chart)
    print(f"written: {out / 'convolutions.json'}")
    return 0


def _measured(layer: Layer, config: Config) -> dict[str, float]:
    rng = np.random.default_rng(0)
    shape = config.batch, layer.side, layer.side, layer.channels
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    kernel_shape = layer.kernel, layer.kernel, layer.channels, layer.width
    kernel = jnp.asarray(rng.normal(size=kernel_shape), jnp.float32)
    ways = {name: jax.jit(way) for name, way in ways_of(layer).items()}
    expected = ways["xla"](x, kernel)
    for name, way in ways.items():
        apart = jnp.abs(way(x, kernel) - expected).max() / jnp.abs(expected).max()
        if not apart <= _TOLERANCE:
            raise AssertionError(f"{layer.name}: {name} is off by {apart}")
    timed: dict[str, Any] = dict(ways)
    for name in ("xla", "library"):
        timed[f"{name}, gradients"] = jax.jit(
            jax.grad(functools.partial(_energy, ways[name]), (0, 1))
        )
    operations = 2e-9 * expected.size * kernel.size / layer.width
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(config.rounds + 1):
        for name, function in timed.items():
            start = time.perf_counter()
            jax.block_until_ready(function(x, kernel))
            if turn:  # the first compiles
                seconds[name].append(time.perf_counter() - start)
    return {
        name: round(
            operations * (3 if "gradients" in name else 1) / statistics.median(took), 1
        )
        for name, took in seconds.items()
    }


def _energy(way: Way, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return (way(x, kernel) ** 2).sum()


def ways_of(layer: Layer) -> dict[str, Way]:
    """Functions [B, H, W, I], [h, w, I, O] -> [B, H', W', O] that convolve alike.

    Args:
        layer: whose padding is half its kernel.

    Returns:
        Them by name, as above.
    """
    stride, before = layer.stride, layer.kernel // 2
    strides, pads = (stride, stride), ((before, before), (before, before))
    ways: dict[str, Way] = {
        "xla": functools.partial(_xla, strides=strides, pads=pads, names="NHWC"),
        "nchw": functools.partial(_channels_first, strides=strides, pads=pads),
        "cropped": functools.partial(_cropped, stride=stride, before=before),
        "im2col": functools.partial(_im2col, stride=stride, before=before),
        "places": functools.partial(_places, stride=stride, before=before),
    }
    if layer.kernel == 3 and stride == 1:
        ways["minimal"] = functools.partial(minimal_filtering, padding=pads)
    return ways | {
        "library": functools.partial(convolve, strides=strides, padding=pads)
    }


def _xla(
    x: jax.Array, kernel: jax.Array, *, strides: Any, pads: Pads, names: str
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads, dimension_numbers=(names, "HWIO", names)
    )


def _channels_first(
    x: jax.Array, kernel: jax.Array, *, strides: Any, pads: Pads
) -> jax.Array:
    turned = x.transpose(0, 3, 1, 2)
    found = _xla(turned, kernel, strides=strides, pads=pads, names="NCHW")
    return found.transpose(0, 2, 3, 1)


def _cropped(x: jax.Array, kernel: jax.Array, *, stride: int, before: int) -> jax.Array:
    more = before + stride, before + stride
    strides = stride, stride
    found = _xla(x, kernel, strides=strides, pads=(more, more), names="NHWC")
    return found[:, 1:-1, 1:-1]


def _shifted(
    x: jax.Array, kernel: jax.Array, stride: int, before: int
) -> list[jax.Array]:
    """The input [B, H', W', I] that each place of the kernel meets."""
    side = kernel.shape[0]
    out = (x.shape[1] + 2 * before - side) // stride + 1
    pads = (before, before)
    x = jnp.pad(x, ((0, 0), pads, pads, (0, 0)))
    last = stride * (out - 1) + 1
    return [
        x[:, i : i + last : stride, j : j + last : stride]
        for i in range(side)
        for j in range(side)
    ]


def _im2col(x: jax.Array, kernel: jax.Array, *, stride: int, before: int) -> jax.Array:
    patches = jnp.concatenate(_shifted(x, kernel, stride, before), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def _places(x: jax.Array, kernel: jax.Array, *, stride: int, before: int) -> jax.Array:
    places = kernel.reshape(-1, *kernel.shape[2:])
    shifted = _shifted(x, kernel, stride, before)
    return functools.reduce(
        jnp.add, [part @ places[n] for n, part in enumerate(shifted)]
    )


def _define_flags() -> None:
    """Not on import, since other binaries have flags of these names."""
    flags.DEFINE_string("out_dir", None, "Run directory to make.", required=True)
    flags.DEFINE_integer("batch", 16, "Maps that are convolved at once.", 1)
    flags.DEFINE_integer("rounds", 3, "How often each way is timed.", 1)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    return run(
        Config(values["out_dir"], batch=values["batch"], rounds=values["rounds"])
    )


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
