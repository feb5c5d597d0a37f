"""Renders the gallery that ships with the package; needs the extra `synth`.

    python -m experiments.make_gallery --out_dir=facedirs_jax/gallery

Only people of the test split are in it. The same versions make the same files.
"""

import dataclasses
import os
import pathlib
import tempfile

import numpy as np
from absl import flags
from PIL import Image

from facedirs_jax import files
from facedirs_jax.rendering.factor_table import FILE_NAME, write_factor_table
from facedirs_jax.rendering.presets import Plan, Shot, shots
from facedirs_jax.rendering.produce import FOLDER, render_shots, table_of

from .launch import launch

SIZE = 224  # px
QUALITY = 88  # of WebP
PLANS = {
    "portraits": Plan("portraits", identities=2000),  # of whom 200 are for testing
    "controlled": Plan("controlled", identities=100),  # of whom 10
}


def gallery_shots(name: str) -> list[Shot]:
    """What one set of the gallery shows: the test people of its plan."""
    return [shot for shot in shots(PLANS[name]) if shot.split == "test"]


def _make(name: str, out_dir: str, processes: int) -> None:
    wanted = gallery_shots(name)
    folder = pathlib.Path(out_dir, name)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir) as scratch:
        render_shots(wanted, scratch, size=SIZE, processes=processes)
        table = table_of(wanted)
        names = tuple(str(pathlib.Path(n).with_suffix(".webp")) for n in table.files)
        for file, made in zip(table.files, names, strict=True):
            with (
                Image.open(pathlib.Path(scratch, file)) as image,
                files.replaced(folder / made) as temporary,
            ):
                image.save(temporary, "WEBP", quality=QUALITY, method=6)
            (folder / made).chmod(0o644)
    write_factor_table(folder / FILE_NAME, table._replace(files=names))
    (folder / FILE_NAME).chmod(0o644)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    people = len(np.unique(table.identities))
    print(f"{name}: {len(names)} pictures of {people} people, {size / 1e6:.2f} MB")


@dataclasses.dataclass(frozen=True)
class Config:
    """See the flags of the same names."""

    out_dir: str
    processes: int


def run(config: Config) -> int:
    """Makes all sets; gives the exit code."""
    for name in PLANS:
        _make(name, config.out_dir, config.processes)
    return 0


def _run_flags() -> int:
    return run(Config(flags.FLAGS.out_dir, flags.FLAGS.processes))


if __name__ == "__main__":
    flags.DEFINE_string("out_dir", None, "Folder of the gallery.", required=True)
    flags.DEFINE_integer("processes", os.cpu_count() or 1, "Worker processes.", 1)
    launch(_run_flags)
