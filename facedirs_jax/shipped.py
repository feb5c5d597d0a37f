"""Trained networks that come with the installation, by name."""

import pathlib

_PACKAGE = pathlib.Path(__file__).parent
# In an installed copy they lie in the package; in a checkout, beside it.
_PLACES = (_PACKAGE / "trained", _PACKAGE.parent / "checkpoints")


def shipped_folders() -> dict[str, pathlib.Path]:
    """Folders of the checkpoints that ship, by the names of their networks, sorted.

    Decoders are among them: `NAME_decoder` decodes templates of the network `NAME`.
    """
    place = next((place for place in _PLACES if place.is_dir()), None)
    if place is None:
        return {}
    return {
        file.parent.name: file.parent for file in sorted(place.glob("*/config.json"))
    }
