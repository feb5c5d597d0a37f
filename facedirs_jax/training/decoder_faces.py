"""Faces with their templates: those that a decoder learns from, and those held out."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from facedirs_jax import files
from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import decode, embed_again
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.decoding import (
    DecodingReport,
    Originals,
    Pictures,
    measure_decodes,
)
from facedirs_jax.progress import Progress
from facedirs_jax.templates import embed

from . import decoder_validation
from .crop_sets import CropSet
from .validation import first_people

_CHUNK = 512  # crops that are embedded between two reports of progress


class EmbeddedFaces(NamedTuple):
    """Crops and what is decoded.

    Attributes:
        crops: of N faces, as the backbone takes them.
        templates: [N, K, D] float32, of each face and, where K is 2, of its mirror
            image.
    """

    crops: CropSet
    templates: np.ndarray

    def of_split(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of crops [n] int, identities [n] str and templates [n, K, D]."""
        chosen = self.crops.splits == split
        return *self.crops.of_split(split), self.templates[chosen]

    def held_out(
        self, split: str, *, side: int, people: int | None = None
    ) -> Originals | None:
        """Faces of a split at `side` px, [n, side, side, 3]; None of fewer than 2."""
        rows, identities, templates = self.of_split(split)
        if len(set(identities)) < 2:
            return None
        chosen = first_people(identities, people)
        crops = np.asarray(self.crops.crops[rows[chosen]])
        images = decoder_validation.shrunk(crops, side)
        return Originals(images, templates[chosen, 0], identities[chosen])


def embed_crops(
    backbone: Backbone, crops: np.ndarray, rows: np.ndarray, *, mirror: bool
) -> np.ndarray:
    """Templates of crops, and of their mirror images.

    Args:
        backbone: that embeds.
        crops: [M, S, S, 3] uint8 RGB, S as the backbone takes them; may be a memory
            map.
        rows: [N] int, which of them.
        mirror: embeds mirror images too.

    Returns:
        [N, K, D] float32, K = 2 with mirror images and 1 without.

    Raises:
        InputError: if there are no faces, or a template is not finite.
    """
    if not len(rows):
        raise InputError("no face was found in any picture; see the statuses above")
    found = []
    with Progress("templates", total=len(rows), unit="face") as progress:
        for start in range(0, len(rows), _CHUNK):
            some = np.asarray(crops[rows[start : start + _CHUNK]])
            views = [some, some[:, :, ::-1]] if mirror else [some]
            chunk = [np.asarray(embed(*backbone, view)) for view in views]
            found.append(np.stack(chunk, axis=1))
            progress.advance_to(start + len(some))
    templates = np.concatenate(found)
    if not np.isfinite(templates).all():
        raise InputError("the backbone gives templates that are not finite")
    return templates


def embed_once(
    file: pathlib.Path, backbone: Backbone, crops: CropSet, *, mirror: bool
) -> EmbeddedFaces:
    """Embeds all faces, or takes their templates from a file of the same run.

    Args:
        file: .npy to write [N, K, D] templates to, or to read.
        backbone: that embeds.
        crops: of N faces.
        mirror: embeds mirror images too.

    Returns:
        EmbeddedFaces.

    Raises:
        InputError: if there are no faces, a template is not finite, or the file is not
            of these.
    """
    if file.exists():
        try:
            templates = np.load(file)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{file}: cannot be read ({error}); delete it") from error
        if templates.shape[:2] != (len(crops.rows), 1 + mirror):
            raise InputError(f"{file}: not the templates of these faces; delete it")
        return EmbeddedFaces(crops, templates)
    templates = embed_crops(backbone, crops.crops, crops.rows, mirror=mirror)
    with files.replaced(file) as temporary, open(temporary, "wb") as opened:
        np.save(opened, templates)
    return EmbeddedFaces(crops, templates)


def reports(
    decoder: Any,
    judge: decoder_validation.Judge,
    faces: EmbeddedFaces,
    *,
    others: Sequence[Backbone] = (),
    validation_people: int | None = None,
    seed: int = 0,
) -> dict[str, dict[str, DecodingReport]]:
    """Likeness of decodes and baselines, for both sets of people who are held out.

    Args:
        decoder: as given by `load_decoder`.
        judge: what decodes are compared by.
        faces: of all splits.
        others: networks that see the same pictures too, for a decoder can please its
            own network with patterns that nobody else takes for a face; they see the
            originals at the size of the decodes.
        validation_people: of the split `validation` that are used; None for all.
        seed: of the resampling.

    Returns:
        Split -> name of the network -> report, the own network's first; a split of
        fewer than 2 people is left out.

    Raises:
        InputError: if another network takes crops of another kind.
    """
    refuse_other_crops(judge.backbone, others)
    rows, _, templates = faces.of_split("train")
    centres = [_mean_template(other, judge, faces) for other in others]
    found = {}
    for split, people in (("validation", validation_people), ("test", None)):
        held_out = faces.held_out(split, side=judge.side, people=people)
        if held_out is None:
            continue
        decodes = decoder_validation.judged(judge, decode(decoder, held_out.templates))
        rivals = decoder_validation.baselines(
            judge, held_out.templates, faces.crops.crops, rows, templates[:, 0]
        )
        found[split] = {
            _name(judge.backbone): measure_decodes(
                held_out, decodes, baselines=rivals, centre=judge.centre, seed=seed
            )
        }
        for other, centre in zip(others, centres, strict=True):
            found[split][_name(other)] = measure_decodes(
                held_out._replace(templates=embed_again(other, held_out.images)),
                _seen_by(other, decodes),
                baselines={n: _seen_by(other, rival) for n, rival in rivals.items()},
                centre=centre,
                seed=seed,
            )
    return found


def refuse_other_crops(backbone: Backbone, others: Sequence[Backbone]) -> None:
    """Refuses networks that cannot see what is decoded of another's templates.

    Args:
        backbone: whose templates are decoded.
        others: networks that shall see the decodes.

    Raises:
        InputError: if one takes crops of another kind.
    """
    given = backbone.preprocess.alignment
    for other in others:
        wanted = other.preprocess.alignment
        if wanted != given:
            raise InputError(
                f"{_name(other)} takes crops of the kind {wanted}, and the decodes are "
                f"of the kind {given}; choose another network to look at them"
            )


def _name(backbone: Backbone) -> str:
    return backbone.network.weights.name


def _seen_by(backbone: Backbone, pictures: Pictures) -> Pictures:
    return pictures._replace(templates=embed_again(backbone, pictures.images))


def _mean_template(
    backbone: Backbone, judge: decoder_validation.Judge, faces: EmbeddedFaces
) -> np.ndarray:
    """Mean template [D] of some training faces at the size of the decodes."""
    rows, _, _ = faces.of_split("train")
    some = rows[:: max(1, len(rows) // _CHUNK)][:_CHUNK]
    images = decoder_validation.shrunk(np.asarray(faces.crops.crops[some]), judge.side)
    return embed_again(backbone, images).mean(axis=0, dtype=np.float64)
