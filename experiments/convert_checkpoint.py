"""Converts a published weight file into a checkpoint that needs no other framework.

    python -m experiments.convert_checkpoint --source=FILE --out_dir=DIR

Reads PyTorch's .pth and .pt, numpy pickles, .safetensors, Keras .h5 and .onnx files;
those of PyTorch, Keras and ONNX need: pip install 'facedirs-jax[convert]'. The network
is found by the names and shapes of the arrays; where several fit, --network chooses.
Then: python -m experiments.discover_ssi --backbone=DIR
"""

import dataclasses

from absl import flags

from facedirs_jax import backbones, decoders, runs
from facedirs_jax.checkpoint_files import MANIFESTS, Format
from facedirs_jax.checkpoints import Parity, save_checkpoint
from facedirs_jax.conversion.convert import AnyRecipe, Converted, convert
from facedirs_jax.decoders.recipe import DecoderRecipe
from facedirs_jax.errors import InputError

from .launch import launch

RECIPES: tuple[AnyRecipe, ...] = (*backbones.RECIPES, *decoders.RECIPES)
NOT_MEASURED = Parity(
    None,
    "not measured on this file, which holds no code to run; the tests compare this "
    "network with its original on weights of their own",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What to convert; see the flags of the same names."""

    source: str
    out_dir: str
    network: str | None = None
    format: Format = "orbax"


def run(config: Config, *, recipes: tuple[AnyRecipe, ...] = RECIPES) -> int:
    """Converts one file; gives the exit code, 0 once the checkpoint is written.

    Args:
        config: what to convert.
        recipes: to choose from.

    Returns:
        The exit code.

    Raises:
        InputError: if the file is unsound or does not fit, or the checkpoint cannot be
            written; nothing is left of it then.
    """
    converted = convert(config.source, recipes, name=config.network)
    network, recipe, _ = converted
    decodes = isinstance(recipe, DecoderRecipe)
    manifest = save_checkpoint(
        config.out_dir,
        network,
        preprocess=None if decodes else recipe.preprocess,
        templates=recipe.templates if decodes else recipe.embedding,
        parity=NOT_MEASURED,
        format=config.format,
    )
    print("\n".join(_told(config, converted)))
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    print(
        f"checkpoint: {config.out_dir} ({size / 1e6:.0f} MB, {config.format})\n"
        f"peak memory: {runs.peak_memory_mb()} MB"
    )
    return 0


def _told(config: Config, converted: Converted) -> list[str]:
    """What a user should know of a conversion, line by line."""
    network, recipe, ignored = converted
    lines = [
        f"converted: {config.source} (SHA-256 {network.weights.sha256})",
        f"network: {recipe.name}",
        _about(recipe),
        f"left out on purpose: {', '.join(ignored) or 'nothing'}",
        f"licence: {recipe.licence}",
    ]
    if not recipe.commercial_use:
        lines.append(
            "warning: commercial use is not allowed, or not known to be allowed; ask "
            f"where the weights come from: {recipe.source}"
        )
    return [*lines, f"parity: {NOT_MEASURED.how}"]


def _about(recipe: AnyRecipe) -> str:
    if isinstance(recipe, DecoderRecipe):
        return f"decodes: {recipe.templates}"
    fed = recipe.preprocess
    return (
        f"template: {recipe.embedding}{', unit norm' if fed.unit_norm else ''}\n"
        f"fed: {fed.colour_order}, {fed.alignment} of {fed.size} px, mean {fed.mean}, "
        f"scale {fed.scale}"
    )


def _list() -> int:
    for recipe in RECIPES:
        print(
            f"{recipe.name} ({', '.join(recipe.containers)})\n"
            f"  file: {recipe.source}\n"
            f"  {_about(recipe).splitlines()[0]}\n"
            f"  licence: {recipe.licence}"
        )
    return 0


def _define_flags() -> None:
    """Not on import, since experiments on faces have an --out_dir of their own."""
    flags.DEFINE_string("source", None, "Weight file to convert.")
    flags.DEFINE_string(
        "network", None, "Name in --list, or how several start there; default all."
    )
    flags.DEFINE_string("out_dir", None, "Folder of the checkpoint, to be made.")
    flags.DEFINE_enum(
        "format",
        "orbax",
        [*MANIFESTS],
        "safetensors makes one file and a config.json, for publishing.",
    )
    flags.DEFINE_bool("list", False, "Prints every network that can be converted.")


def _run_flags() -> int:
    values = flags.FLAGS.flag_values_dict()
    if values["list"]:
        return _list()
    if not values["source"] or not values["out_dir"]:
        raise InputError("give --source=FILE and --out_dir=DIR, or --list")
    return run(Config(**{f.name: values[f.name] for f in dataclasses.fields(Config)}))


if __name__ == "__main__":
    _define_flags()
    launch(_run_flags)
