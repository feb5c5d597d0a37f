"""Flags that say which faces and which network an experiment is about."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence

from absl import flags, logging

from facedirs_jax.backbones import BACKBONES, Backbone
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces, FaceStatus, load_faces
from facedirs_jax.gallery import gallery_folder

from .launch import keep_apart as keep_apart
from .run_flags import default_cache

_IMAGES = flags.DEFINE_multi_string(
    "images",
    None,
    "Folder of portraits (read recursively) or picture; repeatable. Without it, the "
    "rendered portraits of the gallery that ships.",
)
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Run directory to make.")
_BACKBONE = flags.DEFINE_string(
    "backbone",
    "dlib_resnet",
    f"One of: {', '.join(BACKBONES)}; or the folder of a converted checkpoint.",
)
_LIMIT = flags.DEFINE_integer("limit", None, "Reads only so many pictures.", 1)
_PROCESSES = flags.DEFINE_integer(
    "processes", os.cpu_count() or 1, "Worker processes that find faces.", 1
)
_CACHE_DIR = flags.DEFINE_string(
    "cache_dir",
    None,
    "Where landmarks are kept by content hash; default facedirs_jax in the user's "
    "cache folder.",
)
flags.mark_flag_as_required("out_dir")


@dataclasses.dataclass(frozen=True)
class Source:
    """Pictures and network; see the flags of the same names."""

    images: tuple[str, ...]
    backbone: str = "dlib_resnet"
    limit: int | None = None
    processes: int = 1
    cache_dir: str | None = None


def source_from_flags() -> Source:
    """What the flags say, once they are parsed."""
    return Source(
        images=tuple(_IMAGES.value or [str(gallery_folder() / "images")]),
        backbone=_BACKBONE.value,
        limit=_LIMIT.value,
        processes=_PROCESSES.value or 1,
        cache_dir=_CACHE_DIR.value or default_cache(),
    )


def load(source: Source, backbone: Backbone) -> Faces:
    """Faces of a source, cropped for a network."""
    return load_faces(
        source.images,
        alignment=backbone.preprocess.alignment,
        size=backbone.preprocess.size,
        limit=source.limit,
        cache_dir=source.cache_dir,
        processes=source.processes,
    )


def check(status: Sequence[FaceStatus], *, strict: bool) -> None:
    """Logs what became of the pictures; if `strict`, refuses those that gave no face.

    Raises:
        InputError: if there are such pictures and `strict` is set.
    """
    counts = Counter(row.status for row in status)
    logging.info("pictures: %s", ", ".join(f"{n} {what}" for what, n in counts.items()))
    unusable = len(status) - counts["ok"] - counts["skipped"]
    if strict and unusable:
        raise InputError(
            f"{unusable} pictures do not show one face; take them out, or drop --strict"
        )


def first_unusable(status: Sequence[FaceStatus], *, most: int = 5) -> str:
    """Says what is wrong with the first few pictures, a line each."""
    rows = [row for row in status if row.status not in ("ok", "skipped")]
    lines = [f"\n  {row.file}: {row.status}: {row.reason}" for row in rows[:most]]
    more = [f"\n  and {len(rows) - most} more in status.csv"] if rows[most:] else []
    return "".join(lines + more)
