"""From a folder that a person owns to a TFDS data set, without TensorFlow."""

import hashlib
import json
import os
import pathlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from google.protobuf import json_format

from facedirs_jax import files
from facedirs_jax.datasets import labels, tree
from facedirs_jax.datasets.labels import Face, Found, Kind
from facedirs_jax.errors import InputError
from facedirs_jax.faces import status_table

SUMMARY = "summary.json"
STATUS = "status.csv"
# What TFDS raises on a description of a data set that is no longer whole.
DAMAGED = (OSError, ValueError, KeyError, AssertionError, json_format.ParseError)


class FaceDataset(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A labelled face data set; one subclass each says where things are.

    A subclass gives its name, its LABELS, its TREE, and `find`. What is written depends
    on the files alone: splits are made by person (`labels.split_of`), and the order is
    TFDS's, by hash of the id. Not registered with TFDS, which has an `lfw` of its own:
    `facedirs_jax.datasets.DATASETS` lists them.

    Args:
        skip_unreadable: leaves out pictures that cannot be read, with their reason in
            status.csv, where otherwise nothing would be written.
        processes: worker processes that check the pictures.
        **options: of `tfds.core.DatasetBuilder`, such as data_dir.
    """

    VERSION = tfds.core.Version("1.0.0")
    LABELS: ClassVar[Mapping[str, Kind]] = {}
    ABOUT: ClassVar[str] = ""
    TREE: ClassVar[str] = ""
    CITATION: ClassVar[str] = ""
    COMPANIONS: ClassVar[Sequence[str]] = ()  # files kept beside the records
    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str] = "See the TREE of the class."

    def __init__(
        self, *, skip_unreadable: bool = False, processes: int = 1, **options: Any
    ):
        self._skip_unreadable, self._processes = skip_unreadable, processes
        try:
            super().__init__(file_format="array_record", **options)
        except DAMAGED as error:  # a description that is there already
            raise InputError(
                f"{options.get('data_dir')}: dataset_info.json of {self.name} is "
                f"damaged ({error}); delete the folder {self.name} and build it again"
            ) from error

    @property
    def label_kinds(self) -> Mapping[str, Kind]:
        """Labels of this data set and their kinds."""
        return self.LABELS

    def find(self, folder: pathlib.Path) -> Found:
        """Lists the faces of a folder without reading them.

        Args:
            folder: what the user named as manual_dir.

        Returns:
            The faces, and status rows of other files.

        Raises:
            InputError: if the folder is not laid out like TREE.
        """
        raise NotImplementedError

    def split_of(self, face: Face) -> str:
        """Split that a face goes to; the same for all of a person."""
        return labels.split_of(face.family or face.identity)

    def fingerprint(self, folder: pathlib.Path | None) -> str:
        """Hex SHA-256 of names, sizes and labels: tells one source from another."""
        if folder is None:
            raise InputError(self._no_folder())
        return _fingerprint(self.find(folder).faces)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.ABOUT,
            features=labels.features(self.label_kinds),
            citation=self.CITATION,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        folder = self._manual_dir(dl_manager)
        found = self.find(folder)
        rows = tree.check(found.faces, processes=self._processes)
        bad = [row for row in rows if row.status != "ok"]
        if not self._skip_unreadable or len(bad) == len(rows):
            labels.refuse(
                (f"{row.file} {row.reason}" for row in bad),
                str(folder),
                "mend or remove these pictures, or skip them with skip_unreadable",
            )
        splits: dict[str, list[Face]] = defaultdict(list)
        for face, row in zip(found.faces, rows, strict=True):
            if row.status == "ok":
                splits[self.split_of(face)].append(face)
        target = pathlib.Path(self.data_path)
        for name in self.COMPANIONS:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, target / name)
        status = status_table([*rows, *found.others])
        files.write_text(target / STATUS, status)
        self.write_summary(
            _fingerprint(found.faces),
            {name: [face.identity for face in faces] for name, faces in splits.items()},
            left_out=len(found.others) + len(bad),
        )
        return {name: self._generate_examples(faces) for name, faces in splits.items()}

    def _manual_dir(self, dl_manager: tfds.download.DownloadManager) -> pathlib.Path:
        try:
            return pathlib.Path(dl_manager.manual_dir)
        except AssertionError as error:  # none was given, or it is empty
            raise InputError(self._no_folder()) from error

    def _no_folder(self) -> str:
        return (
            f"{self.name} is made from a folder that is not empty; name it as "
            f"manual_dir. It holds\n{self.TREE}"
        )

    def write_summary(
        self,
        fingerprint: str,
        splits: Mapping[str, Sequence[str]],
        *,
        left_out: int = 0,
    ) -> None:
        """Writes what `storage.write` compares and tells, beside the records.

        Args:
            fingerprint: of the source, as `fingerprint` gives it.
            splits: identity of each face, by split.
            left_out: number of files that are not written.
        """
        counts = {
            name: {"images": len(people), "identities": len(set(people))}
            for name, people in splits.items()
        }
        summary = {
            "fingerprint": fingerprint,
            "labels": list(self.label_kinds),
            "splits": counts,
            "left_out": left_out,
        }
        text = json.dumps(summary, indent=1) + "\n"
        files.write_text(pathlib.Path(self.data_path, SUMMARY), text)

    def _generate_examples(
        self, faces: Sequence[Face]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for face in faces:
            known = labels.with_unknowns(face.labels, self.label_kinds)
            shared = {"id": face.id, "identity": face.identity}
            try:
                image = face.path.read_bytes()
            except OSError as error:
                raise InputError(
                    f"{face.path}: went away while it was read ({error.strerror}); "
                    "build the data set again"
                ) from error
            yield face.id, {"image": image, **shared, **known}


def _fingerprint(faces: Sequence[Face]) -> str:
    digest = hashlib.sha256()
    for face in faces:
        known = sorted(face.labels.items())
        size = os.path.getsize(face.path) if face.path.exists() else -1
        row = json.dumps([face.id, face.identity, face.family, known, size])
        digest.update(row.encode())
    return digest.hexdigest()
