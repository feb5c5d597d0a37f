"""The faces that ship: rendered, of nobody, with every factor known.

Two folders as `render_faces` makes them, in WebP: `portraits`, one frontal picture of
each of 200 people, and `controlled`, ten of these under each pose, light and
expression. All are people of the test split: no network of this project was trained on
them. Made by `python -m experiments.make_gallery`.
"""

import pathlib

from facedirs_jax.errors import InputError

_HERE = pathlib.Path(__file__).parent
NAMES = ("portraits", "controlled")


def gallery_folder(*, name: str = "portraits") -> pathlib.Path:
    """Folder of one of the sets, with factors.csv and images/.

    Args:
        name: one of `NAMES`.

    Returns:
        The folder.

    Raises:
        InputError: for another name, or if the installation lacks the pictures.
    """
    if name not in NAMES:
        raise InputError(f"no gallery {name!r}; known: {', '.join(NAMES)}")
    folder = _HERE / name
    if not folder.is_dir():
        raise InputError(f"{folder}: is missing; install facedirs-jax again")
    return folder
