"""A small network that tells its stages, with faces; and its grid on eight devices."""

import jax
import numpy as np
from filled import filled

from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.devices import data_mesh
from facedirs_jax.directions.pca import donor_centred_scatter
from facedirs_jax.faces import Faces, FaceStatus
from facedirs_jax.grid import make_grid
from facedirs_jax.grid_run import run_grid
from facedirs_jax.regions import REGIONS, region_masks
from facedirs_jax.templates import embed


def staged_network() -> tuple[Backbone, Faces]:
    config = IResNetConfig((2, 1, 1, 2), width=1 / 16, embedding_dim=12, image_size=32)
    preprocess = Preprocess("dlib_chip", 32, (127.5, 127.5, 127.5), 127.5, "RGB", True)
    rng = np.random.default_rng(2)
    coarse = rng.uniform(0, 255, (9, 8, 8, 3)).astype(np.uint8)
    crops = coarse.repeat(4, axis=1).repeat(4, axis=2)
    landmarks = rng.uniform(12, 20, (9, 68, 2)).astype(np.float32)
    status = tuple(FaceStatus(f"{i}.png", "ok") for i in range(9))
    faces = Faces(crops, landmarks, status, "dlib_chip")
    return Backbone(filled(IResNet, config), preprocess), faces


def eight_devices_apart(chunk: int) -> dict[str, dict[str, float]]:
    """How far eight devices are from one, by sum and with `regional` off and on.

    Largest differences, each as a share of the largest number of its kind. Sets the
    number of devices, so that it needs a process of its own.
    """
    jax.config.update("jax_num_cpu_devices", 8)
    (network, preprocess), faces = staged_network()
    grid = make_grid(len(faces.crops), num_face_donors=4)
    masks = region_masks(faces.landmarks, REGIONS["nose"], side=preprocess.size)
    own = np.asarray(embed(network, preprocess, faces.crops[grid.face_donors]))
    apart = {}
    for regional in ("off", "on"):
        found = []
        for devices in (1, 8):
            mesh = data_mesh(devices=devices)
            *_, last = run_grid(
                *(network, preprocess, faces.crops, masks, grid, own),
                chunk=chunk,
                regional=regional,
                mesh=mesh,
            )
            sums = last.state.sums
            covariance = donor_centred_scatter(sums, grid).covariance("corrected")
            found.append({**sums._asdict(), "covariance": covariance})
        one, eight = found
        apart[regional] = {
            name: float(np.abs(eight[name] - one[name]).max() / np.abs(one[name]).max())
            for name in one
        }
    return apart
