"""Folders of pictures that networks are compared on, and which of them can be."""

import os
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facedirs_jax import files
from facedirs_jax.errors import InputError
from facedirs_jax.evaluation.network_comparison import Contender, shared_rows
from facedirs_jax.evaluation.rendered_faces import GALLERY
from facedirs_jax.faces import FaceStatus
from facedirs_jax.picture_templates import pictures_fingerprint
from facedirs_jax.rendering.factor_table import FILE_NAME, read_factor_table
from facedirs_jax.training.photos import find_photos

Paths = Sequence[str | os.PathLike[str]]


class PictureFolder(NamedTuple):
    """N pictures: whose each is, and how it was taken.

    Attributes:
        name: of the files that tell of it; no two alike.
        paths: the pictures.
        identities: [N] str.
        conditions: [N] str; empty texts for photos.
        sha256: of pictures, people and conditions.
    """

    name: str
    paths: list[pathlib.Path]
    identities: np.ndarray
    conditions: np.ndarray
    sha256: str

    @property
    def is_controlled(self) -> bool:
        """Whether its pictures have conditions."""
        return bool((self.conditions != "").any())


def read_folders(
    *, controlled: Paths = (), photos: Paths = (), person: str = ".*"
) -> list[PictureFolder]:
    """Finds the pictures of folders, and reads whose they are.

    Args:
        controlled: folders that `render_faces` made, of people under conditions.
        photos: other folders; see `find_photos`.
        person: regular expression for photos; see `find_photos`.

    Returns:
        One record a folder, the controlled ones first; named by the last parts of
        their paths, as many as tell them apart.

    Raises:
        InputError: naming the folder, if it is given twice, is missing, holds nothing
            of the kind, shows fewer than 2 people, or has conditions but no frontal
            pictures, or none but these.
    """
    given = [pathlib.Path(folder) for folder in (*controlled, *photos)]
    names = _short_names([folder.resolve() for folder in given])
    named = list(zip(names, given, strict=True))
    return [
        *(_read_controlled(*each) for each in named[: len(controlled)]),
        *(_read_photos(*each, person) for each in named[len(controlled) :]),
    ]


def _short_names(paths: Sequence[pathlib.Path]) -> list[str]:
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: given twice; give each folder once")
    for count in range(1, max((len(path.parts) for path in paths), default=0)):
        names = ["_".join(path.parts[-count:]) for path in paths]
        if len({*names}) == len(names):
            return names
    return [f"{number}_{path.name}" for number, path in enumerate(paths, start=1)]


def _read_controlled(name: str, folder: pathlib.Path) -> PictureFolder:
    table = read_factor_table(folder / FILE_NAME)
    there = {*table.conditions.tolist()}
    if GALLERY not in there or len(there) < 2:
        raise InputError(
            f"{folder}: has no pictures of the condition {GALLERY!r} and another; make "
            "it with render_faces --preset=controlled, or give it as --photos"
        )
    paths = [folder / file for file in table.files]
    return _folder(name, folder, paths, table.identities.astype(str), table.conditions)


def _read_photos(name: str, folder: pathlib.Path, person: str) -> PictureFolder:
    photos = find_photos([folder], person=person)
    # Without the folder, which may move.
    people = [photo.identity.removeprefix(f"{folder.resolve()}:") for photo in photos]
    paths = [photo.path for photo in photos]
    return _folder(name, folder, paths, np.array(people), np.full(len(photos), ""))


def _folder(
    name: str,
    folder: pathlib.Path,
    paths: list[pathlib.Path],
    identities: np.ndarray,
    conditions: np.ndarray,
) -> PictureFolder:
    people = {*identities.tolist()}
    if len(people) < 2:
        raise InputError(
            f"{folder}: all {len(paths)} pictures are of one person, {people.pop()!r}; "
            "give pictures of 2 or more, or another --person"
        )
    told = files.sha256_text("\n".join([*identities, *conditions]))
    sha256 = files.sha256_text(f"{told} {pictures_fingerprint(paths)}")
    return PictureFolder(name, paths, identities, conditions, sha256)


class PictureSet(NamedTuple):
    """N pictures as several networks see them.

    Attributes:
        folder: the pictures.
        contenders: the networks, with [N, D] templates each.
        usable: [N] bool, the pictures that are compared.
        left_out: how many are not, in a sentence.
    """

    folder: PictureFolder
    contenders: tuple[Contender, ...]
    usable: np.ndarray
    left_out: str


def picture_set(
    folder: PictureFolder,
    contenders: Sequence[Contender],
    status: Sequence[FaceStatus],
) -> PictureSet:
    """Decides which pictures are compared: for all networks the same.

    Left out are those that a network has no template of, and all but the first of
    pictures that are the same pixel by pixel.

    Args:
        folder: of N pictures.
        contenders: the networks, with [N, D] templates each.
        status: N rows, what became of each picture.

    Returns:
        PictureSet.

    Raises:
        InputError: naming the folder, if fewer than 2 people are left, or conditions
            but no frontal picture.
    """
    usable = shared_rows(contenders)
    seen: set[str] = set()
    why: Counter[str] = Counter()
    for row, about in enumerate(status):
        if not usable[row]:
            why[about.status if about.status != "ok" else "no finite template"] += 1
        elif about.sha256 in seen:
            usable[row] = False
            why["copy"] += 1
        elif about.sha256:
            seen.add(about.sha256)
    kept, people = int(usable.sum()), len(np.unique(folder.identities[usable]))
    if people < 2:
        raise InputError(
            f"{folder.name}: {kept} of {len(usable)} pictures can be compared, of "
            f"{people} people; give pictures of 2 people or more with one face in each"
        )
    if folder.is_controlled and not (folder.conditions[usable] == GALLERY).any():
        raise InputError(
            f"{folder.name}: no face was found in any picture of the condition "
            f"{GALLERY!r}, which all others are compared with; render it anew"
        )
    reasons = ", ".join(f"{count} {what}" for what, count in why.items())
    left_out = (
        f"{len(usable)} pictures, of which {kept} of {people} people are compared; "
        f"left out for all networks alike: {reasons or 'none'}."
    )
    return PictureSet(folder, tuple(contenders), usable, left_out)
