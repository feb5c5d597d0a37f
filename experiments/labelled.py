"""Flags for labelled pictures and the networks that see them, and the templates."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from facedirs_jax import files
from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.datasets import DATASETS
from facedirs_jax.errors import InputError
from facedirs_jax.gallery import gallery_folder
from facedirs_jax.labelled_pictures import (
    TABLES,
    LabelledPictures,
    conditions_of,
    read_pictures,
)
from facedirs_jax.picture_templates import (
    PictureTemplates,
    embed_pictures,
    pictures_fingerprint,
)
from facedirs_jax.tables import csv_text

flags.disclaim_key_flags()  # so that --help of the caller tells of them


@dataclasses.dataclass(frozen=True)
class Source:
    """Labelled pictures and networks; see the flags of the same names."""

    images: str
    out_dir: str
    dataset: str = "image_folder"
    labels: str | None = None
    names: str | None = None
    where: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ("iresnet_arcface_small",)
    processes: int = 1
    cache_dir: str | None = None


class Labelled(NamedTuple):
    """Templates of N pictures that have a label.

    Attributes:
        templates: [N, D] float32.
        values: [N] float64 or str, of the label.
        pictures: the N pictures, with all their labels.
    """

    templates: np.ndarray
    values: np.ndarray
    pictures: LabelledPictures


def define_flags() -> None:
    """Not on import, since other experiments have flags of these names."""
    flags.DEFINE_string(
        "images",
        None,
        "Folder of pictures, read recursively. Without it, the rendered people of the "
        "gallery that ships, each under 23 conditions of pose, light and expression.",
    )
    flags.DEFINE_enum(
        "dataset",
        "image_folder",
        list(DATASETS),
        "Whose layout and labels --images has; image_folder is any folder.",
    )
    flags.DEFINE_string(
        "labels",
        None,
        "CSV with a column file (path below --images), perhaps one identity, and "
        f"labels; default {' or '.join(TABLES)} in --images.",
    )
    flags.DEFINE_string(
        "names",
        None,
        "Instead of a table: regular expression of the start of a picture's name, "
        "whose named groups are labels, such as '(?P<identity>[^_]+)_(?P<pose>[^_]+)'.",
    )
    flags.DEFINE_multi_string(
        "where",
        [],
        "Only pictures whose label is so: label=expression, a regular expression of "
        "the whole value; repeatable.",
    )
    flags.DEFINE_multi_string(
        "backbone",
        ["iresnet_arcface_small"],
        f"One of: {', '.join(BACKBONES)}; one that ships; or a checkpoint's folder.",
    )


def source_from_flags() -> Source:
    """What the flags say, once they are parsed."""
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Source)}
    for name in ("where", "backbone"):
        fields[name] = tuple(fields[name])
    fields["images"] = fields["images"] or str(gallery_folder(name="controlled"))
    return Source(**fields)


def pictures_of(source: Source) -> LabelledPictures:
    """The pictures that are asked for.

    Raises:
        InputError: if there are none, or their labels are not as they should be.
    """
    found = read_pictures(
        source.images, dataset=source.dataset, table=source.labels, names=source.names
    )
    return found.take(found.where(conditions_of(source.where)))


def settings_of(source: Source, pictures: LabelledPictures, label: str) -> Any:
    """What results depend on, as for `runs.begin`: pictures and their labels."""
    told = zip(pictures.ids, pictures.identities, pictures.values(label), strict=True)
    return {
        "label": label,
        "where": list(source.where),
        "pictures": len(pictures.paths),
        "pictures_sha256": pictures_fingerprint(pictures.paths),
        "labels_sha256": files.sha256_text(
            "\n".join(" ".join(map(str, t)) for t in told)
        ),
    }


def load(
    source: Source,
    networks: Mapping[str, Backbone],
    pictures: LabelledPictures,
    labels: Sequence[str],
    out: pathlib.Path,
) -> dict[str, dict[str, Labelled]]:
    """Embeds the pictures that have one of the labels; writes what became of each.

    Args:
        source: where the pictures are.
        networks: by name.
        pictures: M of them, of `pictures_of`.
        labels: to be known.
        out: run directory; templates are kept in its folder `templates`, and
            `status.csv` has a row a picture and network.

    Returns:
        By network, and then by label, the N pictures that have the label and, for all
        networks, a face.

    Raises:
        InputError: if there is no such label, or none of the pictures has it and a
            face.
    """
    known = np.any([pictures.known(label) for label in labels], axis=0)
    if not known.any():
        told = " and ".join(labels)
        raise InputError(f"{told} unknown for all {len(known)} pictures")
    chosen = pictures.take(known)
    found = {
        name: embed_pictures(
            *(backbone, chosen.paths, out / "templates" / name),
            cache_dir=source.cache_dir,
            processes=source.processes,
        )
        for name, backbone in networks.items()
    }
    rows = [row for name in found for row in _rows(name, pictures, known, found[name])]
    files.write_text(out / "status.csv", csv_text(rows))
    usable = np.all([each.usable for each in found.values()], axis=0)
    if not usable.any():
        first = next(iter(found.values())).status[0]
        raise InputError(
            f"no face can be used in any of {len(usable)} pictures; the first, "
            f"{first.file}: {first.reason}"
        )
    kept = {label: usable & chosen.known(label) for label in labels}
    for label, of_label in kept.items():
        if not of_label.any():
            raise InputError(f"{label} is unknown for all pictures with a face")
    return {
        name: {
            label: Labelled(
                each.templates[rows], chosen.values(label)[rows], chosen.take(rows)
            )
            for label, rows in kept.items()
        }
        for name, each in found.items()
    }


def _rows(
    network: str,
    pictures: LabelledPictures,
    known: np.ndarray,
    found: PictureTemplates,
) -> Iterator[dict[str, str]]:
    status = iter(found.status)
    for name, person, has in zip(pictures.ids, pictures.identities, known, strict=True):
        row = next(status) if has else None
        yield {
            "network": network,
            "file": name,
            "identity": str(person),
            "status": row.status if row else "no_label",
            "reason": row.reason if row else "",
        }
