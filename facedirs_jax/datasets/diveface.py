"""DiveFace (Morales et al., SensitiveNets, 2019): six groups of 4 000 identities each.

Folders: confirmed from code that reads the data set (three public repositories), such
as `4K_120/HA4K_120/10011748@N08_identity_0/867465917_0.jpg`. The first letter of a
group is H (hombre, man) or M (mujer, woman); the second is A (asian), B (blanco, white)
or N (negro, black): B is *not* black. github.com/BiDAlab/DiveFace calls the groups East
Asian; Sub-Saharan and South Indian; Caucasian. Inferred: folders named like groups with
another ending than 4K_120 hold the same.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import ClassVar

from facedirs_jax.datasets import tree
from facedirs_jax.datasets.builder import FaceDataset
from facedirs_jax.datasets.labels import Face, Found, Kind

GENDERS = {"H": "male", "M": "female"}
ETHNICITIES = {"A": "asian", "B": "caucasian", "N": "black"}
_NAME = r"(?P<group>(?P<gender>[HM])(?P<ethnicity>[ABN]))\w*/(?P<person>[^/]+)/[^/]+"


class DiveFace(FaceDataset, skip_registration=True):
    """Flickr portraits in six groups of gender and ethnicity, 3 or more a person.

    Labels: `group` (HA to MN), `gender`, `ethnicity`, as the authors annotated them.
    """

    name = "diveface"
    LABELS: ClassVar[Mapping[str, Kind]] = {
        "group": str,
        "gender": str,
        "ethnicity": str,
    }
    ABOUT: ClassVar[str] = "Portraits of 24 000 people in six demographic groups."
    TREE: ClassVar[str] = (
        "[4K_120/]{HA,HB,HN,MA,MB,MN}4K_120/10011748@N08_identity_0/867465917_0.jpg"
    )
    CITATION: ClassVar[str] = "Morales et al., SensitiveNets, arXiv:1902.00334"

    def find(self, folder: pathlib.Path) -> Found:
        root = tree.picture_root(folder, ["4K_120"])
        return tree.match(
            root, _NAME, _face, expected="HA4K_120/10011748@N08_identity_0/1_0.jpg"
        )


def _face(found: re.Match[str], path: pathlib.Path) -> Face:
    known = {
        "group": found["group"],
        "gender": GENDERS[found["gender"]],
        "ethnicity": ETHNICITIES[found["ethnicity"]],
    }
    return Face(found[0], path, found["person"], known)
