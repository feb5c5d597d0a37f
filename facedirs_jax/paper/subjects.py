"""The networks that the figures compare, each with its templates of one picture set."""

from typing import Any, NamedTuple

import numpy as np

from facedirs_jax.backbones import Backbone
from facedirs_jax.decoding import decode
from facedirs_jax.evaluation.picture_readings import PictureReader, fit_picture_reader
from facedirs_jax.labelled_pictures import LabelledPictures
from facedirs_jax.paper.attributes import Attribute, People


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
