"""Pictures to train on: who is in them, and which people are held out."""

import json
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from facedirs_jax import images
from facedirs_jax.errors import InputError
from facedirs_jax.rendering.factor_table import FILE_NAME, SPLITS, read_factor_table

_HELD_OUT = {8: "validation", 9: "test"}  # of ten people; the others train
_IDENTIFYING = ("preset", "seed", "independent")  # settings that people depend on
_DESCRIBING = ("identities", "photos", "limit", "size", "fixed_look", "split")
_TELLING_NOTHING = ("data", "faces", "images", "photos", "pictures")  # as a folder


class Photo(NamedTuple):
    """One picture.

    Attributes:
        path: of the file.
        identity: whose it is, a name unlike that of anybody else in all folders.
        split: of `factor_table.SPLITS`; the same for all photos of a person.
        rendered: whether it shows nobody; see `is_rendered`.
    """

    path: pathlib.Path
    identity: str
    split: str
    rendered: bool = False

    @property
    def group(self) -> str:
        """Names whose photos it was taken among: those of one folder, or one seed."""
        return self.identity.rpartition(":")[0]


def find_photos(
    folders: Iterable[str | os.PathLike[str]], *, person: str = ".*"
) -> list[Photo]:
    """Lists the pictures of folders.

    A folder of `render_faces` has a table of its pictures, which gives people and
    splits; sets that were rendered from one seed share their people. In any other
    folder each folder below it is a person or, where there is none, the names of its
    pictures tell who is in them; of ten people in order of their names eight train, the
    ninth is for validation and the tenth for testing.

    Args:
        folders: of pictures; none twice.
        person: regular expression of the start of a picture's name, without its
            ending, that tells who is in it, by its first group if it has one; by
            default everybody has one picture.

    Returns:
        The pictures, those of one folder side by side.

    Raises:
        InputError: if a folder is missing, given twice or holds no pictures so ordered,
            or the expression is none or fits no picture's name.
    """
    pattern = _compiled(person)
    found: list[Photo] = []
    seen: set[pathlib.Path] = set()
    for name in folders:
        folder = pathlib.Path(name)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of pictures")
        if folder.resolve() in seen:
            raise InputError(f"{folder}: given twice; give each folder once")
        seen.add(folder.resolve())
        table = folder / FILE_NAME
        found += _rendered(table) if table.exists() else _by_person(folder, pattern)
    return found


def is_rendered(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder was made by `render_faces`: it shows no real person."""
    return _settings(pathlib.Path(folder)) is not None


def describe(folder: str | os.PathLike[str]) -> str:
    """A folder in a few words, with the settings that would render it again.

    Args:
        folder: of pictures.

    Returns:
        Its name, after that of the folder above where it is one such as `images`.
    """
    whole = pathlib.Path(folder).resolve()
    settings = _settings(whole)
    name = whole.name
    if name in _TELLING_NOTHING and whole.parent.name:
        name = f"{whole.parent.name}/{name}"
    if settings is None:
        return name
    told = ", ".join(f"{name} {value}" for name, value in settings.items() if value)
    return f"{name} (render_faces: {told})"


def _rendered(path: pathlib.Path) -> list[Photo]:
    table = read_factor_table(path)
    group, rendered = _group(path.parent), is_rendered(path.parent)
    return [
        Photo(path.parent / file, f"{group}:{number}", split, rendered)
        for file, number, split in zip(
            table.files, table.identities.tolist(), table.splits.tolist(), strict=True
        )
    ]


def _group(folder: pathlib.Path) -> str:
    """Names who is numbered together: a number is one person within it."""
    settings = _settings(folder)
    if settings is None or settings["preset"] == "demographic":
        return str(folder.resolve())
    return f"seed {settings['seed']} independent {settings['independent']}"


def _settings(folder: pathlib.Path) -> dict[str, object] | None:
    """Settings of the run that rendered a folder; None if there was none."""
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        settings = run["settings"]
        asked = {name: settings[name] for name in _IDENTIFYING}
        return asked | {name: settings.get(name) for name in _DESCRIBING}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _compiled(person: str) -> re.Pattern[str]:
    try:
        return re.compile(person)
    except re.error as error:
        raise InputError(
            f"{person!r} is no regular expression of a person: {error}"
        ) from error


def _by_person(folder: pathlib.Path, pattern: re.Pattern[str]) -> list[Photo]:
    below = [
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    ]
    pictures = [
        (file.path, entry.name if below else _person_of(file.path, pattern))
        for entry in sorted(below) or [folder]
        for file in images.find_images(entry)
        if file.is_picture
    ]
    number = {name: n for n, name in enumerate(sorted({who for _, who in pictures}))}
    return [
        Photo(
            path,
            f"{folder.resolve()}:{who}",
            _HELD_OUT.get(number[who] % 10, "train"),
        )
        for path, who in pictures
    ]


def _person_of(path: pathlib.Path, pattern: re.Pattern[str]) -> str:
    found = pattern.match(path.stem)
    if found is None or not (found[1] if pattern.groups else found[0]):
        raise InputError(
            f"{path}: its name does not start with {pattern.pattern!r}, which should "
            "tell who is in it; give another expression"
        )
    return found[1] if pattern.groups else found[0]


def first_identities(photos: Sequence[Photo], limit: int | None) -> list[Photo]:
    """The photos of the first so many people of each split, for a trial.

    Args:
        photos: of `find_photos`.
        limit: people to train with; of the other splits a quarter as many, at least 2.
            None for all.

    Returns:
        Those photos, in their order.
    """
    if limit is None:
        return list(photos)
    kept: set[str] = set()
    for split in SPLITS:
        most = limit if split == "train" else max(2, limit // 4)
        people = dict.fromkeys(p.identity for p in photos if p.split == split)
        kept |= {*list(people)[:most]}
    return [photo for photo in photos if photo.identity in kept]
