"""Regional embedding against whole blends, over networks, windows and borders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled

from facedirs_jax import regional, templates
from facedirs_jax.backbones.dlib_resnet import DlibResNet, DlibResNetConfig
from facedirs_jax.backbones.facenet import FaceNet, FaceNetConfig
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.layers import Reach
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.resnet50 import ResNet50, ResNet50Config
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config

NETWORKS = {
    "vgg16": (VGG16, VGG16Config.tiny(), 64),
    "resnet50": (ResNet50, ResNet50Config.tiny(), 64),
    "keras": (
        ResNet50,
        ResNet50Config(1 / 16, 80, (2, 1, 1, 1), (2, 3), False, 1e-3),
        80,  # 5 pixels before the last stage, of stride 2
    ),
    "iresnet": (IResNet, IResNetConfig((2, 1, 1, 2), width=1 / 16, image_size=48), 48),
    "facenet": (FaceNet, FaceNetConfig.tiny(), 107),
    "dlib": (DlibResNet, DlibResNetConfig.tiny(), 150),
}
MEAN = (127.5, 127.5, 127.5)
WINDOWS = 1  # at random, beside those at borders


@pytest.fixture(scope="module", params=NETWORKS)
def backbone(request):
    build, config, side = NETWORKS[request.param]
    preprocess = Preprocess("dlib_chip", side, MEAN, 127.5, "RGB", False)
    return filled(build, config), preprocess


def windows_of(side, rng):
    """Window and place, some at corners and edges."""
    edge = side // 4
    yield from (((edge, edge), at) for at in [(0, 0), (side - edge, side - edge)])
    yield (side, 3), (0, side // 2)
    for _ in range(WINDOWS):
        window = rng.integers(1, side // 2, 2)
        place = rng.integers(0, side - window + 1)
        yield (int(window[0]), int(window[1])), (int(place[0]), int(place[1]))


def test_templates_are_those_of_whole_blends(backbone):
    network, preprocess = backbone
    side = preprocess.size
    rng = np.random.default_rng(0)
    for window, place in windows_of(side, rng):
        plan = regional.make_plan(network, preprocess, window, whole_from=1.01)
        assert len(plan.spans) == len(network.trunk)
        crop = jnp.asarray(rng.random((side, side, 3)), jnp.float32)
        pasted = jnp.asarray(rng.random((2, *window, 3)), jnp.float32)
        starts = [jnp.int32(place[0]), jnp.int32(place[1])]
        maps = regional.donor_maps(network, preprocess, plan, crop)
        found = regional.window_templates(
            *(network, preprocess, plan, maps, pasted), (starts[0], starts[1])
        )
        blends = jax.lax.dynamic_update_slice(
            jnp.stack([crop, crop]), pasted, [0, *starts, 0]
        )
        expected = templates.templates_of(network, preprocess, blends)
        own = templates.templates_of(network, preprocess, crop[None])
        scale, change = np.linalg.norm(expected), np.linalg.norm(expected - own)
        error = np.linalg.norm(found - expected)
        assert change > 1e-5 * scale, (window, place)
        assert error < 1e-6 * scale + 1e-3 * change, (window, place)


def test_stages_run_whole_once_slabs_nearly_fill_their_maps(backbone):
    network, preprocess = backbone
    window = (preprocess.size // 4,) * 2
    plans = [
        regional.make_plan(network, preprocess, window, whole_from=share)
        for share in (0.0, 0.5, 1.01)
    ]
    counts = [len(plan.spans) for plan in plans]
    assert counts[0] == 0 and plans[0].saved == 0
    assert 0 < counts[1] < counts[2] == len(network.trunk)
    assert 0 < plans[1].saved <= plans[2].saved < 1
    for rows, columns in plans[1].spans:
        assert rows.slab * columns.slab < 0.5 * rows.whole * columns.whole


def reaches():
    for kernel in range(1, 8):
        for stride in range(1, min(kernel, 3) + 1):
            for before in range(kernel):
                yield Reach(kernel, stride, before)


@pytest.mark.parametrize("whole", [9, 16, 17])
def test_a_slab_holds_all_that_its_output_window_reads(whole):
    for reach in reaches():
        kernel, stride, before = reach
        whole_out = (whole + before - kernel + kernel // 2) // stride + 1
        if whole_out < 1:
            continue
        read = [
            {*range(j * stride - before, j * stride - before + kernel)}
            & {*range(whole)}
            for j in range(whole_out)
        ]
        for window in range(1, whole + 1):
            span = regional._span(reach, window, whole, whole_out)
            for start in range(whole - window + 1):
                slab, out = map(int, span.starts(start))
                inside = {*range(slab, slab + span.slab)}
                kept = range(out, out + span.window_out)
                changed = {*range(start, start + window)}
                assert 0 <= slab <= whole - span.slab and slab % stride == 0
                assert 0 <= out <= whole_out - span.window_out
                assert all(read[j] <= inside for j in kept)
                assert all(j in kept for j in range(whole_out) if read[j] & changed)


def test_windows_are_the_smallest_that_hold_every_region():
    masks = np.zeros((3, 20, 20), np.float32)
    masks[0, 2:5, 7:15] = 0.5
    masks[1, 12:18, 16:20] = 1  # at the right edge: its window is moved left
    window, places = regional.region_windows(masks)
    assert window == (6, 8)
    np.testing.assert_array_equal(places, [[2, 7], [12, 12], [0, 0]])


@pytest.mark.parametrize("window", [(0, 3), (65, 3)])
def test_a_window_that_does_not_lie_in_the_crop_is_refused(window):
    build, config, side = NETWORKS["vgg16"]
    preprocess = Preprocess("dlib_chip", side, MEAN, 127.5, "RGB", False)
    with pytest.raises(ValueError, match="does not lie in a crop of 64 px"):
        regional.make_plan(filled(build, config), preprocess, window)
