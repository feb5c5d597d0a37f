"""A grid whose device runs out of memory goes on with less at once."""

import jax
import numpy as np
import pytest
from absl import logging
from filled import filled

from facedirs_jax import devices, grid, grid_embed, grid_run, templates
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.errors import InputError
from facedirs_jax.faces import Faces

FULL = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes."


@pytest.fixture(scope="module")
def staged(toy_faces):
    """A network that tells its stages, and faces for it."""
    preprocess = Preprocess("dlib_chip", 32, (127.5, 127.5, 127.5), 127.5, "RGB", True)
    crops = np.pad(toy_faces.crops[:7], ((0, 0), (4, 4), (4, 4), (0, 0)))
    faces = Faces(crops, toy_faces.landmarks[:7], toy_faces.status[:7], "dlib_chip")
    return Backbone(filled(IResNet, IResNetConfig.tiny()), preprocess), faces


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *of: said.append(text % of))
    return said


def run(backbone, faces, shape, **options):
    network, preprocess = backbone
    own = np.asarray(
        templates.embed(network, preprocess, faces.crops[shape.face_donors])
    )
    masks = np.zeros(faces.crops.shape[:3], np.float32)
    masks[:, 9:15, 9:15] = 1.0
    return list(
        grid_run.run_grid(
            *(network, preprocess, faces.crops, masks, shape, own),
            with_templates=True,
            **options,
        )
    )


def assert_same(found, expected):
    assert [s.state.next_cell for s in found] == [s.state.next_cell for s in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.pairs, other.pairs)
        # 1e-5: the batch's shape changes the order of a sum of 192 terms.
        np.testing.assert_allclose(one.templates, other.templates, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
        found[-1].state.sums,
        expected[-1].state.sums,
    )


def limit(monkeypatch, module, name, most, *, place):
    """Lets a jitted function fail for more than `most` cells; gives what it was fed."""
    untouched, sizes = getattr(module, name), []

    def limited(*args, **options):
        sizes.append(len(args[place]))
        if sizes[-1] > most:
            raise jax.errors.JaxRuntimeError(FULL)
        return untouched(*args, **options)

    monkeypatch.setattr(module, name, limited)
    return sizes


@pytest.mark.parametrize("count", [1, 2])
def test_memory_for_few_blends_changes_sums_by_rounding_alone(
    toy, toy_faces, monkeypatch, warnings, count
):
    shape, options = (
        grid.make_grid(20),
        {"chunk": 12, "mesh": devices.data_mesh(devices=count)},
    )
    expected = run(toy, toy_faces, shape, **options)
    assert len(expected) == 3 and not warnings
    sizes = limit(monkeypatch, grid_embed, "_embed_chunk", 4, place=2)
    found = run(toy, toy_faces, shape, **options)
    assert_same(found, expected)
    assert sizes[:3] == ([12, 6, 3] if count == 1 else [12, 6, 4])
    assert set(sizes[3:]) == {sizes[2]}
    (said,) = warnings
    assert f"no memory for 12 blends at once; goes on with {sizes[2]} at once" in said


def test_a_failure_that_shows_at_the_sums_alone_is_mended(
    toy, toy_faces, monkeypatch, warnings
):
    """As of a device's queue; sums are then taken over fewer templates as well."""
    shape = grid.make_grid(20)
    expected = run(toy, toy_faces, shape, chunk=8)
    sizes = limit(monkeypatch, grid_run, "_summed", 40, place=1)
    assert_same(run(toy, toy_faces, shape, chunk=8), expected)
    assert sizes[:3] == [128, 64, 32] and max(sizes[3:]) <= 32
    assert len(warnings) == 1


def test_pieces_of_regional_chunks_have_one_face_donor(staged, monkeypatch, warnings):
    backbone, faces = staged
    shape = grid.make_grid(7, num_face_donors=2)
    options = {"chunk": 7, "regional": "on"}
    expected = run(backbone, faces, shape, **options)
    sizes = limit(monkeypatch, grid_embed, "_embed_windows", 2, place=3)
    assert_same(run(backbone, faces, shape, **options), expected)
    assert sizes[:3] == [7, 4, 2] and len(warnings) == 1


def test_no_memory_for_one_blend_is_the_users_to_mend(
    toy, toy_faces, monkeypatch, warnings
):
    sizes = limit(monkeypatch, grid_embed, "_embed_chunk", 0, place=2)
    with pytest.raises(InputError, match=r"no memory for one blend .*JAX_PLATFORMS"):
        run(toy, toy_faces, grid.make_grid(20), chunk=9)
    assert sizes == [9, 5, 3, 2, 1] and not warnings


def test_no_memory_for_the_faces_is_the_users_to_mend(toy, toy_faces, monkeypatch):
    said = [FULL, "INTERNAL: illegal address"]

    def broken(*_):
        raise jax.errors.JaxRuntimeError(said.pop(0))

    monkeypatch.setattr(devices.jax, "device_put", broken)
    with pytest.raises(InputError, match=r"no memory for what .*JAX_PLATFORMS"):
        run(toy, toy_faces, grid.make_grid(20))
    with pytest.raises(jax.errors.JaxRuntimeError, match="illegal address"):
        run(toy, toy_faces, grid.make_grid(20))


def test_any_other_failure_of_a_device_is_not_hidden(toy, toy_faces, monkeypatch):
    def broken(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: illegal address")

    monkeypatch.setattr(grid_embed, "_embed_chunk", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="illegal address"):
        run(toy, toy_faces, grid.make_grid(20))


def test_a_run_over_donors_and_segments_compiles_each_function_once(staged):
    backbone, faces = staged
    jitted = [grid_embed._donor_maps, grid_embed._embed_windows, grid_run._summed]
    before = [function._cache_size() for function in jitted]  # pyright: ignore
    shape = grid.make_grid(7)
    segments = run(backbone, faces, shape, chunk=3, regional="on")
    assert len(segments) == 7 // 6 + 1 and len(np.unique(segments[0].pairs[:, 0])) > 1
    after = [function._cache_size() for function in jitted]  # pyright: ignore
    # The last segment has fewer chunks, and sums of its own.
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 2]
