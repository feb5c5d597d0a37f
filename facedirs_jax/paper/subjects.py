"""The networks that the figures compare, each with its templates of one picture set."""

from typing import Any, NamedTuple

import numpy as np
from absl import logging

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import decode
from facedirs_jax.evaluation.picture_readings import PictureReader, fit_picture_reader
from facedirs_jax.faces import Faces, load_faces
from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.paper.attributes import Attribute, People, divide_people
from facedirs_jax.templates import embed


class Subject(NamedTuple):
    """A network and what it makes of N labelled pictures.

    Attributes:
        name: of the network.
        backbone: the network and its preprocessing.
        decoder: of its templates.
        pictures: N labelled pictures.
        crops: [N, S, S, 3] uint8, as the network sees them.
        templates: [N, D] float32.
        people: who is used for what.
        probe_crops: [P, S, S, 3] uint8, frontal faces of other people, to be edited.
        probes: [P, D] float32, their templates.
    """

    name: str
    backbone: Backbone
    decoder: Any
    pictures: LabelledPictures
    crops: np.ndarray
    templates: np.ndarray
    people: People
    probe_crops: np.ndarray
    probes: np.ndarray

    @property
    def unit_norm(self) -> bool:
        """Whether its templates lie on the unit sphere."""
        return self.backbone.preprocess.unit_norm

    def rows(self, attribute: Attribute, people: np.ndarray) -> np.ndarray:
        """Row numbers of the pictures of some people that vary in an attribute."""
        rows = attribute.rows(self.pictures)
        return rows[np.isin(self.pictures.identities[rows], people)]

    def decode(self, templates: np.ndarray) -> np.ndarray:
        """Decodes [..., D] templates; [..., S, S, 3] float32 in [0, 1]."""
        flat = np.asarray(templates, np.float32).reshape(-1, templates.shape[-1])
        found = decode(self.decoder, flat)
        return found.reshape(*templates.shape[:-1], *found.shape[1:])


def load_subject(
    name: str,
    backbone: Backbone,
    decoder: Any,
    pictures: LabelledPictures,
    edited: LabelledPictures,
    *,
    cache_dir: str | None,
    processes: int,
) -> Subject:
    """Reads and embeds the pictures for one network.

    Args:
        name: of the network.
        backbone: the network and its preprocessing.
        decoder: of its templates.
        pictures: people under conditions; those without a face are left out.
        edited: frontal pictures of other people.
        cache_dir: where landmarks are kept; see `load_faces`.
        processes: worker processes that find faces.

    Returns:
        Subject.

    Raises:
        InputError: if a picture cannot be found, or there are too few people.
    """
    logging.info("%s: %d pictures", name, len(pictures.paths))
    faces, kept = usable_faces(backbone, pictures, cache_dir, processes)
    probes = usable_faces(backbone, edited, cache_dir, processes)[0].crops
    return Subject(
        *(name, backbone, decoder, kept, faces.crops),
        np.asarray(embed(*backbone, faces.crops)),
        divide_people(pictures.identities),
        *(probes, np.asarray(embed(*backbone, probes))),
    )


def usable_faces(
    backbone: Backbone,
    pictures: LabelledPictures,
    cache_dir: str | None,
    processes: int,
) -> tuple[Faces, LabelledPictures]:
    """Faces cropped as a network wants them, and the pictures that they are of."""
    faces = load_faces(
        pictures.paths,
        alignment=backbone.preprocess.alignment,
        size=backbone.preprocess.size,
        cache_dir=cache_dir,
        processes=processes,
    )
    usable = np.array([row.status == "ok" for row in faces.status], bool)
    return faces, pictures.take(usable)


def reader_of(
    subject: Subject, attribute: Attribute, *, of: str | None = None
) -> PictureReader:
    """Learns to read an attribute from pictures of the readers' people.

    Args:
        subject: whose crops are learned from.
        attribute: with numbers as values, unless `of` is given.
        of: one of its values; then reads 1 for it and 0 for the others.

    Returns:
        PictureReader.

    Raises:
        InputError: if there are too few people.
    """
    rows = subject.rows(attribute, subject.people.readers)
    texts = attribute.texts(subject.pictures)[rows]
    values = texts.astype(np.float64) if of is None else (texts == of) * 1.0
    return fit_picture_reader(
        subject.crops[rows], values, subject.pictures.identities[rows]
    )
