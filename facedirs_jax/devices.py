"""Meshes of devices: batches are split over them, states copied to each; memory."""

import functools
import pathlib
import platform
from typing import TypeVar

import jax

from facedirs_jax.errors import InputError

_AXIS = "data"
Tree = TypeVar("Tree")

REMEDY = (
    "end other programs that use it, give fewer faces (--limit), or run on the CPU "
    "(JAX_PLATFORMS=cpu)"
)  # where a device's memory is used up


def data_mesh(*, devices: int | None = None) -> jax.sharding.Mesh:
    """A mesh whose one axis splits batches.

    Args:
        devices: how many; None for all that there are.

    Returns:
        The mesh.

    Raises:
        InputError: if there are not so many.
    """
    found = jax.devices()
    if devices is not None and not 1 <= devices <= len(found):
        raise InputError(f"{devices} devices are asked for and {len(found)} are there")
    chosen = found[:devices]
    auto = jax.sharding.AxisType.Auto
    return jax.make_mesh((len(chosen),), (_AXIS,), axis_types=(auto,), devices=chosen)


def split(batch: Tree, mesh: jax.sharding.Mesh) -> Tree:
    """Puts arrays on the devices, each with its share of the rows.

    Args:
        batch: a pytree of [B, ...] arrays.
        mesh: of `data_mesh`.

    Returns:
        The same on the devices.

    Raises:
        InputError: if B is no multiple of the number of devices.
    """
    for array in jax.tree.leaves(batch):
        if len(array) % mesh.size:
            raise InputError(
                f"a batch of {len(array)} cannot be split evenly over {mesh.size} "
                "devices; choose a multiple"
            )
    return jax.device_put(batch, jax.NamedSharding(mesh, jax.P(_AXIS)))


def copied(state: Tree, mesh: jax.sharding.Mesh | None) -> Tree:
    """Puts what a run keeps on every device.

    Args:
        state: a pytree of arrays, any shape.
        mesh: the devices; None for the default one.

    Returns:
        The same on the devices, there already.

    Raises:
        InputError: if there is no memory for it.
    """
    everywhere = None if mesh is None else jax.NamedSharding(mesh, jax.P())
    try:
        return jax.block_until_ready(jax.device_put(state, everywhere))
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
        raise InputError(
            f"the device has no memory for what a run keeps on it; {REMEDY}"
        ) from error


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of the runtime says that a device's memory is used up."""
    return any(said in str(error) for said in ("RESOURCE_EXHAUSTED", "Out of memory"))


@functools.cache
def cpu_name() -> str:
    """Model and instruction sets of this machine's CPU, as far as the system tells."""
    told = pathlib.Path("/proc/cpuinfo")
    if not told.exists():
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("model name", "flags", "Features", "CPU part")
    lines = told.read_text(encoding="utf-8").splitlines()
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))
