"""Flags for labelled pictures and the networks that see them, and the templates."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
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
from facedirs_jax.picture_templates import embed_pictures, pictures_fingerprint
from facedirs_jax.tables import csv_text


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
    flags.DEFINE_string("out_dir", None, "Run directory to make.")
    flags.DEFINE_multi_string(
        "backbone",
        ["iresnet_arcface_small"],
        f"One of: {', '.join(BACKBONES)}; one that ships; or a checkpoint's folder.",
    )
    flags.DEFINE_integer(
        "processes", os.cpu_count() or 1, "Worker processes that find faces.", 1
    )
    flags.DEFINE_string(
        "cache_dir",
        None,
        "Where landmarks are kept by content hash; default facedirs_jax in the user's "
        "cache folder.",
    )
    flags.mark_flag_as_required("out_dir")


def source_from_flags() -> Source:
    """What the flags say, once they are parsed."""
    values = flags.FLAGS.flag_values_dict()
    fields = {f.name: values[f.name] for f in dataclasses.fields(Source)}
    for name in ("where", "backbone"):
        fields[name] = tuple(fields[name])
    fields["images"] = fields["images"] or str(gallery_folder(name="controlled"))
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    fields["cache_dir"] = fields["cache_dir"] or str(pathlib.Path(home, "facedirs_jax"))
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
    backbone: Backbone,
    pictures: LabelledPictures,
    label: str,
    out: pathlib.Path,
    *,
    name: str = "",
) -> Labelled:
    """Embeds the pictures that have a label; writes what became of each.

    Args:
        source: where the pictures are.
        backbone: network and preprocessing.
        pictures: M of them, of `pictures_of`.
        label: to be known.
        out: run directory; templates are kept in its folder `templates`, and
            `status.csv` has a row a picture.
        name: folder below `templates`, where there are several networks.

    Returns:
        Labelled templates of the N pictures that have the label and a face.

    Raises:
        InputError: if there is no such label, or none of the pictures has it and a
            face.
    """
    known = pictures.known(label)
    if not known.any():
        raise InputError(f"{label} is unknown for all {len(known)} pictures")
    chosen = pictures.take(known)
    found = embed_pictures(
        *(backbone, chosen.paths, out / "templates" / name),
        cache_dir=source.cache_dir,
        processes=source.processes,
    )
    files.write_text(out / "status.csv", csv_text(list(_rows(pictures, known, found))))
    usable = found.usable
    if not usable.any():
        first = found.status[0]
        raise InputError(
            f"no face can be used in any of {len(usable)} pictures; the first, "
            f"{first.file}: {first.reason}"
        )
    kept = chosen.take(usable)
    return Labelled(found.templates[usable], kept.values(label), kept)


def _rows(
    pictures: LabelledPictures, known: np.ndarray, found: Any
) -> Iterator[dict[str, str]]:
    status = iter(found.status)
    for name, person, has in zip(pictures.ids, pictures.identities, known, strict=True):
        row = next(status) if has else None
        told = (row.status, row.reason) if row else ("no_label", "")
        yield {
            "file": name,
            "identity": str(person),
            "status": told[0],
            "reason": told[1],
        }
