from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled

from facedirs_jax import reduced
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.dlib_resnet import PREPROCESS, DlibResNet, DlibResNetConfig
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.errors import InputError


@pytest.fixture(scope="module")
def backbone():
    preprocess = Preprocess("dlib_chip", 32, (127.5, 127.5, 127.5), 127.5, "RGB", True)
    return Backbone(filled(IResNet, IResNetConfig.tiny()), preprocess)


def test_the_error_of_bfloat16_is_that_of_eight_bits(backbone):
    crops = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3)).astype(np.uint8)
    found = reduced.template_error(backbone, reduced.in_bfloat16(backbone), crops)
    assert found["faces"] == 9
    # Each of some ten roundings is off by up to 2^-9.
    assert 1e-4 < found["median"] <= found["largest"] < 0.05
    assert found["of_people"] > found["median"]


def test_a_network_has_no_error_to_itself(backbone):
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    found = reduced.template_error(backbone, backbone, crops)
    assert found["median"] == found["largest"] == found["of_people"] == 0


def test_the_network_keeps_its_arrays_and_its_card(backbone):
    found: Any = reduced.in_bfloat16(backbone).network
    assert found.config.dtype == "bfloat16"
    assert found.weights == backbone.network.weights
    assert found.fc.kernel[...].dtype == jnp.float32


def test_a_network_of_float32_alone_is_refused():
    network = filled(DlibResNet, DlibResNetConfig.tiny())
    with pytest.raises(InputError, match="DlibResNet computes in float32 alone"):
        reduced.in_bfloat16(Backbone(network, PREPROCESS))
