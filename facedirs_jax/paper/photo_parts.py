"""Directions of labels on photos of real people, read on people held out.

No figure of the paper is made from these: they say whether dlib's network, which was
trained on photos, has directions of the labels that such photos come with.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
from sklearn import metrics

from facedirs_jax.checkpoints import load_backbone
from facedirs_jax.directions.centroid import centroid_directions
from facedirs_jax.directions.labelled import as_templates, people_in_folds
from facedirs_jax.directions.regression import fit_regression
from facedirs_jax.evaluation.bootstrap import RESAMPLES, Estimate, estimate
from facedirs_jax.labelled_pictures import LabelledPictures, read_pictures
from facedirs_jax.paper.claims import Claim, judged_at_least
from facedirs_jax.paper.parts import Part
from facedirs_jax.picture_templates import embed_pictures

NETWORK = "dlib_resnet"
CMU_NAMES = r"(?P<identity>[^_]+)_(?P<pose>[^_]+)_(?P<mood>[^_]+)_(?P<eyes>[^_.]+)"
_CHANCE = 0.5
_FOLDS = 5
_NOTE = (
    "dlib's network on photos of real people. Directions are found on four fifths of "
    "the people and read on the others, in turn; intervals from people drawn again."
)


def cmu_part(
    folder: str | os.PathLike[str], *, cache_dir: str | None, processes: int
) -> Part:
    """CMU faces: which way a face is turned, and whether it wears sunglasses."""
    pictures = read_pictures(folder, names=CMU_NAMES)
    templates, kept = _embedded(pictures, cache_dir, processes)
    people, pose, eyes = kept.identities, kept.values("pose"), kept.values("eyes")
    turned = np.isin(pose, ("left", "right"))
    asked = {
        "left against right": (turned, pose == "left"),
        "turned against straight": (
            np.isin(pose, ("left", "right", "straight")),
            turned,
        ),
        "sunglasses": (np.isin(eyes, ("open", "sunglasses")), eyes == "sunglasses"),
    }
    claims = [
        _told(f"a direction tells {name}", templates[rows], of[rows], people[rows])
        for name, (rows, of) in asked.items()
    ]
    return Part("CMU", "Pose and sunglasses on the CMU faces", _NOTE, claims, {}, [])


def congress_part(
    folder: str | os.PathLike[str], *, cache_dir: str | None, processes: int
) -> Part:
    """Portraits with gender and birth year: gender by centroids, age by regression."""
    folder = pathlib.Path(folder)
    beside = folder.parent / "labels.csv"
    table = beside if beside.exists() and not (folder / "labels.csv").exists() else None
    pictures = read_pictures(folder, table=table)
    templates, kept = _embedded(pictures, cache_dir, processes)
    people = kept.identities
    known = kept.known("gender")
    women = kept.values("gender") == "F"
    claims = [
        _told(
            *("a direction tells women from men", templates[known]),
            *(women[known], people[known]),
        )
    ]
    dated = kept.known("birth_year")
    years = kept.values("birth_year")[dated]
    dealt = people_in_folds(people[dated], len(years), folds=_FOLDS)
    read = fit_regression(as_templates(templates[dated]), years, dealt).held_out
    value = _over_people(
        people[dated], lambda rows: float(np.corrcoef(years[rows], read[rows])[0, 1])
    )
    claims.append(
        Claim(
            *("congress", NETWORK, "a direction tells the year of birth"),
            *("correlation with what is read, people held out", value),
            *judged_at_least(value, 0.0),
        )
    )
    title = "Gender and year of birth on portraits of the United States Congress"
    return Part("Congress", title, _NOTE, claims, {}, [])


def _embedded(
    pictures: LabelledPictures, cache_dir: str | None, processes: int
) -> tuple[np.ndarray, LabelledPictures]:
    """Templates of the pictures in which a face is found, and those pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        found = embed_pictures(
            *(load_backbone(NETWORK), pictures.paths, scratch),
            cache_dir=cache_dir,
            processes=processes,
        )
    return found.templates[found.usable], pictures.take(found.usable)


def _told(
    claim: str, templates: np.ndarray, positive: np.ndarray, people: np.ndarray
) -> Claim:
    """How well the difference of centroids parts two classes of other people."""
    dealt = people_in_folds(people, len(people), folds=_FOLDS)
    scores = np.zeros(len(people))
    for fold in range(_FOLDS):
        own = dealt == fold
        found = centroid_directions(
            templates[~own], np.where(positive[~own], "yes", "no"), neutral="no"
        )
        scores[own] = templates[own] @ found.directions[0]
        scores[own] -= found.mean @ found.directions[0]
    value = _over_people(people, lambda rows: _auc(positive[rows], scores[rows]))
    return Claim(
        *("photos", NETWORK, claim, "AUC of the projection, people held out", value),
        *judged_at_least(value, _CHANCE),
    )


def _auc(positive: np.ndarray, scores: np.ndarray) -> float:
    if positive.all() or not positive.any():
        return np.nan
    return float(metrics.roc_auc_score(positive, scores))


def _over_people(
    people: np.ndarray, measure: Callable[[np.ndarray], float]
) -> Estimate:
    """A measure of rows, with its interval from people drawn with replacement."""
    names, owners = np.unique(people, return_inverse=True)
    rows_of = [np.flatnonzero(owners == person) for person in range(len(names))]
    draws = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    drawn = [measure(np.concatenate([rows_of[p] for p in draw])) for draw in draws]
    return estimate(measure(np.arange(len(people))), np.array(drawn))
