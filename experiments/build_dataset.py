"""Builds a data set of faces from a folder of pictures that you own.

    python -m experiments.build_dataset --list
    python -m experiments.build_dataset --dataset=lfw --manual_dir=DIR --data_dir=data

Nothing is downloaded: get the data set from its owner, unpack it, and name the folder.
The pictures are copied as they are, with their labels, into ArrayRecord files that TFDS
and grain read, below --data_dir. People are kept apart: each is in one split alone.
A data set is written whole or not at all; one that is there already is checked.
"""

import contextlib
import dataclasses
import os
import sys
from typing import Any

import tensorflow_datasets as tfds
from absl import flags

from facedirs_jax import datasets
from facedirs_jax.errors import InputError

from .launch import launch


@dataclasses.dataclass(frozen=True)
class Config:
    """What to build; see the flags of the same names."""

    dataset: str
    manual_dir: str
    data_dir: str
    labels_csv: str | None = None
    skip_unreadable: bool = False
    processes: int = 1
    config: str | None = None


def run(config: Config) -> int:
    """Builds one data set and prints what it holds.

    Args:
        config: what to build.

    Returns:
        The exit code, 0 once all of it is written and checked.

    Raises:
        InputError: if the folder, its labels or its pictures are not as they should be;
            nothing is left of it then.
    """
    options: dict[str, Any] = {
        "skip_unreadable": config.skip_unreadable,
        "processes": config.processes,
    }
    if config.config:
        options["config"] = config.config
    if config.labels_csv:
        if config.dataset != "image_folder":
            raise InputError("--labels_csv is for --dataset=image_folder")
        options["labels_csv"] = config.labels_csv
    with contextlib.redirect_stdout(sys.stderr):  # TFDS says there what it does
        summary = datasets.build(
            config.dataset,
            manual_dir=config.manual_dir,
            data_dir=config.data_dir,
            **options,
        )
    print(table(summary))
    return 0


def table(summary: datasets.Summary) -> str:
    """Splits, images, identities and labels of a data set, for people."""
    lines = [f"data set: {summary.folder}", "split       images  identities"]
    lines += [
        f"{name:<10} {split.images:>7} {split.identities:>11}"
        for name, split in summary.splits.items()
    ]
    lines.append(f"labels: {', '.join(summary.labels) or 'none'}")
    if summary.left_out:
        lines.append(f"left out: {summary.left_out} files; status.csv says why")
    return "\n".join(lines)


def _list() -> int:
    for name, dataset in datasets.DATASETS.items():
        print(
            f"{name}\n  {dataset.ABOUT}\n  manual_dir holds: {dataset.TREE}\n"
            f"  labels: {', '.join(dataset.LABELS) or 'none'}"
        )
    return 0


def _define_flags() -> None:
    """Not on import, since experiments on faces have flags of these names."""
    flags.DEFINE_enum("dataset", None, [*datasets.DATASETS], "Which; see --list.")
    flags.DEFINE_string("manual_dir", None, "Folder of the unpacked data set.")
    flags.DEFINE_string("data_dir", None, "Folder of built data sets.")
    flags.DEFINE_string(
        "config", None, "Which variant; for rendered, the preset of the folder."
    )
    flags.DEFINE_string(
        "labels_csv",
        None,
        "For image_folder: table with the columns file (path below --manual_dir), "
        "identity if known, and any labels.",
    )
    flags.DEFINE_bool(
        "skip_unreadable",
        False,
        "Leaves out pictures that cannot be read, and says why in status.csv, instead "
        "of stopping.",
    )
    flags.DEFINE_integer(
        "processes", os.cpu_count() or 1, "Worker processes that check pictures.", 1
    )
    flags.DEFINE_bool("list", False, "Prints every data set and the folders it wants.")


def _run_flags() -> int:
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    values = flags.FLAGS.flag_values_dict()
    if values["list"]:
        return _list()
    missing = [
        f"--{name}"
        for name in ("dataset", "manual_dir", "data_dir")
        if not values[name]
    ]
    if missing:
        raise InputError(f"give {', '.join(missing)}, or --list")
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
