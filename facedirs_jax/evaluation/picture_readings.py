"""Labels read from pictures themselves, with no face-recognition network in between.

Whether an edited and decoded face looks turned, lit or smiling must not be judged by
the network that was edited. Here a ridge regression on coarse pixels and on edges, told
apart by their direction and summed in cells, is fitted on pictures of other people.
"""

from typing import NamedTuple

import cv2
import numpy as np
from sklearn import linear_model, model_selection, pipeline, preprocessing

from facedirs_jax.decoding import as_uint8
from facedirs_jax.errors import InputError

_SIDE = 64  # px, that pictures are brought to
_BLUR = 1.5  # px, standard deviation: decodes are soft, so must be what is learned from
_COARSE = 12  # px, side of the coarse picture
_PENALTIES = np.logspace(1, 5, 9)
_FOLDS = 5
_CELLS = 12  # along a side, in which edges are summed


class PictureReader(NamedTuple):
    """Reads one label from pictures.

    Attributes:
        model: fitted pipeline of scikit-learn, on `picture_features`.
        correlation: of labels and readings of people who were held out in
            cross-validation.
    """

    model: pipeline.Pipeline
    correlation: float

    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Labels of [N, S, S, 3] pictures, uint8 or float32 in [0, 1]; [N] float64."""
        return self.model.predict(picture_features(pictures))


def picture_features(pictures: np.ndarray) -> np.ndarray:
    """Coarse pixels, and edges by their direction.

    Args:
        pictures: [N, S, S, 3] RGB, uint8 or float32 in [0, 1].

    Returns:
        [N, F] float32.
    """
    return np.stack([_features(picture) for picture in pictures])


def _features(picture: np.ndarray) -> np.ndarray:
    sized = cv2.resize(as_uint8(picture), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(sized, (0, 0), _BLUR)
    grey = cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY)
    coarse = cv2.resize(soft, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    edges = [cv2.Sobel(grey, cv2.CV_32F, *axis) / 255 for axis in ((1, 0), (0, 1))]
    halves = np.stack([np.maximum(sign * e, 0) for e in edges for sign in (1, -1)], -1)
    cells = cv2.resize(halves, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.concatenate([coarse.astype(np.float32).ravel() / 255, cells.ravel()])


def fit_picture_reader(
    pictures: np.ndarray, values: np.ndarray, identities: np.ndarray, *, seed: int = 0
) -> PictureReader:
    """Learns to read a label; the penalty is chosen with people kept in one fold.

    Args:
        pictures: [N, S, S, 3] RGB, uint8 or float32 in [0, 1].
        values: [N], finite numbers.
        identities: [N], whose face each shows.
        seed: of the folds.

    Returns:
        PictureReader.

    Raises:
        InputError: if the label is the same in all pictures, or there are fewer people
            than folds.
    """
    people = len(np.unique(identities))
    if people < _FOLDS:
        raise InputError(
            f"{people} people to learn a label of pictures from; {_FOLDS} are needed"
        )
    if np.ptp(values) == 0:
        raise InputError("the label is the same in all pictures; nothing can be read")
    features = picture_features(pictures)
    groups = model_selection.GroupKFold(_FOLDS, shuffle=True, random_state=seed)
    folds = list(groups.split(features, groups=identities))
    ridge = linear_model.RidgeCV(_PENALTIES, cv=folds)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), ridge)
    model.fit(features, values)
    chosen = linear_model.Ridge(float(np.asarray(ridge.alpha_)))
    held_out = model_selection.cross_val_predict(
        pipeline.make_pipeline(preprocessing.StandardScaler(), chosen),
        *(features, values),
        cv=folds,
    )
    read = np.asarray(held_out, np.float64)
    return PictureReader(model, float(np.corrcoef(values, read)[0, 1]))
