"""Checks that a training done again logs the losses that a checkpoint's own logged.

A card tells the command that trained its network. Give it again with --max_steps=100
and an --out_dir of its own, then compare:

    python -m experiments.train_backbone ... --max_steps=100 --out_dir=runs/again
    python -m experiments.check_training --checkpoint=iresnet_arcface_small \
        --run=runs/again

Prints the largest relative difference of a step's losses; ends with code 0 if it is at
most --tolerance. On another kind of processor sums are rounded in another order, and
losses differ by more with every step.
"""

import pathlib

from absl import flags

from facedirs_jax.errors import InputError
from facedirs_jax.shipped import shipped_folders
from facedirs_jax.training.loop import LOG_FILE
from facedirs_jax.training.reproduction import compare_losses

from .launch import launch


def run(*, checkpoint: str, again: str, tolerance: float) -> int:
    """Compares; gives the exit code, 0 if the losses agree.

    Raises:
        InputError: if the checkpoint or the run cannot be read.
    """
    folder = shipped_folders().get(checkpoint, pathlib.Path(checkpoint))
    found = compare_losses(folder, pathlib.Path(again, LOG_FILE))
    print(
        f"{found.steps} steps: losses differ by {found.largest_difference:.1e} of "
        f"themselves at most ({tolerance:.0e} is allowed)"
    )
    return int(not found.largest_difference <= tolerance)


def _define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_string("checkpoint", None, "Folder, or name of one that ships.")
    flags.DEFINE_string("run", None, "Run directory of the training done again.")
    flags.DEFINE_float("tolerance", 1e-4, "Relative difference that is allowed.", 0.0)


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    missing = [f"--{name}" for name in ("checkpoint", "run") if not values[name]]
    if missing:
        raise InputError(f"give {', '.join(missing)}; see --help")
    return run(
        checkpoint=values["checkpoint"],
        again=values["run"],
        tolerance=values["tolerance"],
    )


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
