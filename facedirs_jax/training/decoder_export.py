"""From a trained decoder to a checkpoint folder, with a card that tells its story."""

import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from facedirs_jax import checkpoint_files, files
from facedirs_jax.checkpoint_files import Format
from facedirs_jax.checkpoints import Parity, save_checkpoint
from facedirs_jax.decoding import decode
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.decoding import DecodingReport

from .export import halved

INTENDED_USE = (
    "To see what a direction in template space changes, on rendered faces and on "
    "portraits of consenting people. What it shows is a likeness made up from a "
    "template, no photo; it must not be used to recover anybody's face."
)
_ALIGNMENT_NOTE = (
    "Crops were aligned with dlib's 68-point predictor, which is not part of it and "
    "whose own licence excludes commercial use."
)


def export_decoder(
    path: str | os.PathLike[str],
    decoder: Any,
    *,
    templates: np.ndarray,
    inverts: str,
    about: Mapping[str, Any],
    readme: str,
    half: bool = True,
    format: Format = "safetensors",
) -> dict[str, Any]:
    """Writes a checkpoint that `load_decoder` opens: whole, or not at all.

    Args:
        path: folder to make; there must be nothing yet.
        decoder: trained, of float32 arrays, with its card.
        templates: [N, D] float32 that show what halving does to pictures.
        inverts: whose templates it decodes, for people.
        about: the card, plain JSON values; `about` in the manifest.
        readme: the card for people, Markdown; README.md, which the manifest hashes.
        half: whether kernels are rounded to float16.
        format: see `checkpoints.save_checkpoint`.

    Returns:
        The manifest.

    Raises:
        InputError: if there is something at `path`, or it cannot be written.
    """
    path = pathlib.Path(path)
    if os.path.lexists(path):
        raise InputError(f"{path} exists already; choose another")
    stored, parity = decoder, Parity(None, "trained here, stored as it was trained")
    if half:
        stored = halved(decoder)
        gap = np.abs(decode(decoder, templates) - decode(stored, templates)).max()
        parity = Parity(
            float(gap),
            f"largest difference of a pixel, 0 to 1, in decodes of {len(templates)} "
            "templates from those before kernels were rounded to float16",
        )
    partial = path.with_name(f".{path.name}.exporting")
    shutil.rmtree(partial, ignore_errors=True)
    save_checkpoint(partial, stored, templates=inverts, parity=parity, format=format)
    file, manifest = checkpoint_files.read_manifest(partial)
    file.unlink()
    files.write_text(partial / "README.md", readme)
    manifest = checkpoint_files.write_manifest(
        partial, manifest | {"about": dict(about)}, format=format
    )
    partial.rename(path)
    return manifest


def report_fields(report: DecodingReport) -> dict[str, Any]:
    """A report as plain JSON values; numbers that there are none of are left out."""

    def plain(likeness: Any) -> dict[str, Any]:
        return {
            name: estimate._asdict()
            for name, estimate in likeness._asdict().items()
            if np.isfinite(estimate).all()
        }

    return {
        "faces": report.faces,
        "identities": report.identities,
        "decodes": plain(report.decodes),
        "baselines": {name: plain(found) for name, found in report.baselines.items()},
        "gains": {name: plain(found) for name, found in report.gains.items()},
    }


def report_line(fields: Mapping[str, Any]) -> str:
    """The decodes' numbers of `report_fields` in one line, for people."""
    return ", ".join(
        f"{name} {number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})"
        for name, number in fields["decodes"].items()
    )


def decoder_card(name: str, about: Mapping[str, Any]) -> str:
    """Markdown that tells people what `about` tells programs.

    Args:
        name: of the weights.
        about: plain JSON values: `backbone`, `licence`, `intended_use`, `command`,
            `data`, `people`, `pictures`, `seed`, `minutes`, `machine`, `speed`,
            `steps`, `best_step`, and `decoding`, split -> name of the network that saw
            the decodes -> `report_fields`.

    Returns:
        The text.
    """
    lines = [
        f"# {name}",
        "",
        f"Decodes templates of {about['backbone']}. Licence: {about['licence']}.",
        "",
        f"**Intended use.** {about['intended_use']}",
        "",
        f"**Data.** {about['pictures']} pictures of {about['people']} people: "
        f"{', '.join(about['data'])}. {_ALIGNMENT_NOTE}",
        "",
        f"**Training.** Seed {about['seed']}; {about['steps']} steps in "
        f"{about['minutes']:.1f} minutes on {about['machine']} ({about['speed']}); the "
        f"weights are those of step {about['best_step']}.",
        "",
        "```sh",
        about["command"],
        "```",
    ]
    for split, by_network in about["decoding"].items():
        for network, fields in by_network.items():
            lines += ["", *report_table(split, network, fields)]
    return "\n".join(lines) + "\n"


def report_table(split: str, network: str, fields: Mapping[str, Any]) -> list[str]:
    """Markdown of one report: what was measured, then a table.

    Args:
        split: whose people they are.
        network: name of the one that saw the decodes.
        fields: of `report_fields`.

    Returns:
        The lines.
    """
    numbers = list(fields["decodes"])
    kinds = {"decodes": fields["decodes"], **fields["baselines"]}
    kinds |= {f"decodes less {name}": found for name, found in fields["gains"].items()}
    rows = []
    for kind, found in kinds.items():
        cells = [
            f"{found[n]['value']:.3f} ({found[n]['low']:.3f} to {found[n]['high']:.3f})"
            if n in found
            else "none"
            for n in numbers
        ]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return [
        f"**Decodes** of {fields['faces']} faces of {fields['identities']} people of "
        f"the split `{split}`, whom it was not trained on, as {network} sees them. "
        "Cosines and distances are of that network's templates of the decodes to those "
        "of the faces; "
        "rank-1 is in a gallery of one face of each person, for these very faces and "
        "for the others. Intervals of 95 % from resampled people.",
        "",
        f"| pictures | {' | '.join(numbers)} |",
        f"|---|{'---|' * len(numbers)}",
        *rows,
    ]
