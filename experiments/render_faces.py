"""Renders faces of nobody, with every factor known: pictures, a table, contact sheets.

    python -m experiments.render_faces --preset=portraits --limit=60 --out_dir=faces
    python -m experiments.render_faces --list

The presets are `portraits` (frontal and neutral, one a person), `controlled` (each
person under pose, light and expression), `demographic` (as many people of every gender
and ethnic morphology), `sweeps` (one factor at a time) and `training` (everyday photos
of many people). The same settings give the same pictures, bit for bit. People are
numbered, and every tenth is kept for testing, in all presets alike.

Written to --out_dir: images/*.png, factors.csv (what is known of each picture: factors,
and lengths measured on the mesh), sheets/*.png (to look at), run.json. With
--format=array_record the pictures become a TFDS data set below --out_dir/data instead,
which `facedirs_jax.datasets.open_split` and grain read. Killed or stopped, it goes on
with --resume. Needs the extra `synth`.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from facedirs_jax import runs
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import FILE_NAME, SPLITS, write_factor_table
from facedirs_jax.rendering.factors import FACTORS
from facedirs_jax.rendering.presets import PRESETS, Plan, Shot, shots
from facedirs_jax.rendering.produce import FOLDER, render_shots, table_of
from facedirs_jax.rendering.render import check_size
from facedirs_jax.rendering.sheets import save_sheets

from .launch import launch


@dataclasses.dataclass(frozen=True)
class Config:
    """What to render; see the flags of the same names, and `presets.Plan`."""

    out_dir: str
    preset: str
    identities: int | None = None
    photos: int | None = None
    limit: int | None = None
    seed: int = 0
    size: int = 128
    independent: bool = False
    fixed_look: bool | None = None
    full: bool = False
    factors: tuple[str, ...] = ()
    split: str | None = None
    format: str = "png"
    processes: int = 1
    resume: bool = False


def run(config: Config) -> int:
    """Does a whole run; gives the exit code, 0 once everything is written.

    Raises:
        InputError: for what the user can mend.
    """
    check_size(config.size)
    fields = [field.name for field in dataclasses.fields(Plan)]
    wanted = shots(Plan(**{name: getattr(config, name) for name in fields}))
    wanted = wanted[: config.limit]
    with runs.locked(config.out_dir, resume=config.resume) as out:
        run_json = runs.begin(out, _settings(config))
        if run_json["state"] == runs.COMPLETE:
            print(f"{out} is complete already")
            return 0
        pace = {} if config.format == "table" else _render(config, wanted, out)
        table = table_of(wanted)
        write_factor_table(out / FILE_NAME, table)
        if config.format != "table":
            save_sheets(out / "sheets", wanted, [out / name for name in table.files])
        if config.format == "array_record":
            _to_records(config, out)
        runs.write(out, run_json | {"state": runs.COMPLETE, **pace})
    print(f"rendered: {out}")
    return 0


def _render(
    config: Config, wanted: Sequence[Shot], out: pathlib.Path
) -> dict[str, float]:
    """Renders what is missing; gives how fast it went, for run.json."""
    started = time.monotonic()
    made = render_shots(wanted, out, size=config.size, processes=config.processes)
    seconds = time.monotonic() - started
    if not made:
        return {}
    rate = round(made / seconds, 2)
    print(f"{made} pictures in {seconds:.0f} s, {rate} a second")
    return {"pictures_per_second": rate, "processes": config.processes}


def _settings(config: Config) -> dict[str, Any]:
    """All that the pictures depend on."""
    asked = dataclasses.asdict(config)
    for name in ("out_dir", "processes", "resume"):
        del asked[name]
    return asked | runs.versions()


def _to_records(config: Config, out: pathlib.Path) -> None:
    """Turns the folder's pictures into a TFDS data set and deletes them."""
    import tensorflow_datasets as tfds

    from facedirs_jax import datasets

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with contextlib.redirect_stdout(sys.stderr):  # TFDS says there what it does
        datasets.build(
            "rendered",
            config=config.preset,
            manual_dir=out,
            data_dir=out / "data",
            processes=config.processes,
        )
    shutil.rmtree(out / FOLDER)


def _define_flags() -> None:
    """Not on import, since experiments on faces have flags of these names."""
    flags.DEFINE_string("preset", None, f"One of: {', '.join(PRESETS)}.")
    flags.DEFINE_string("out_dir", None, "Run directory to make.")
    flags.DEFINE_integer("identities", None, "Number of people; default the preset's.")
    flags.DEFINE_integer(
        "photos", None, "Photos of each person, in demographic and training."
    )
    flags.DEFINE_integer("limit", None, "Renders only the first so many pictures.", 1)
    flags.DEFINE_integer("seed", 0, "Of every random draw.", lower_bound=0)
    flags.DEFINE_integer("size", 128, "Side of the pictures, px.")
    flags.DEFINE_bool(
        "independent", False, "Draws every factor without regard to the others."
    )
    flags.DEFINE_bool(
        "fixed_look",
        None,
        "In training and controlled: whether a person's hair, beard and glasses stay. "
        "By default they vary in training only.",
    )
    flags.DEFINE_enum("split", None, SPLITS, "Renders the people of one split only.")
    flags.DEFINE_bool(
        "full", False, "In controlled: all combinations of pose, light, expression."
    )
    flags.DEFINE_list("factors", [], "In sweeps: which; default all. See --list.")
    flags.DEFINE_enum(
        "format",
        "png",
        ["png", "array_record", "table"],
        "Of the pictures; table writes factors.csv alone.",
    )
    flags.DEFINE_integer("processes", os.cpu_count() or 1, "Worker processes.", 1)
    flags.DEFINE_bool("resume", False, "Goes on with the run in --out_dir.")
    flags.DEFINE_bool("list", False, "Prints every factor and its range.")


def _list() -> int:
    for name, factor in FACTORS.items():
        values = ", ".join(factor.choices) or f"{factor.low:g} to {factor.high:g}"
        print(f"{name}: {factor.about} ({values})")
    return 0


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    if values["list"]:
        return _list()
    missing = [f"--{name}" for name in ("preset", "out_dir") if not values[name]]
    if missing:
        raise InputError(f"give {', '.join(missing)}, or --list")
    values["factors"] = tuple(values["factors"])
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
