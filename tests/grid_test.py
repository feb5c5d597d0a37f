import itertools

import jax
import numpy as np
import pytest
from staged import staged_network

from facedirs_jax import blending, grid, grid_run, regions, templates
from facedirs_jax.devices import data_mesh
from facedirs_jax.errors import InputError

NOSE = regions.REGIONS["nose"]


def masks_of(faces, side):
    return np.asarray(regions.region_masks(faces.landmarks, NOSE, side=side))


def run(toy, faces, shape, **options):
    network, preprocess = toy
    own = np.asarray(
        templates.embed(network, preprocess, faces.crops[shape.face_donors])
    )
    masks = masks_of(faces, preprocess.size)
    return list(
        grid_run.run_grid(
            network, preprocess, faces.crops, masks, shape, own, **options
        )
    )


def templates_one_by_one(toy, faces, shape):
    """[F, K, D] templates, each blend made alone; NaN for a donor itself."""
    network, preprocess = toy
    masks = masks_of(faces, preprocess.size)
    crops = faces.crops.astype(np.float32) / 255
    found = np.full((len(shape.face_donors), len(shape.region_donors), 12), np.nan)
    for row, m in enumerate(shape.face_donors):
        for column, k in enumerate(shape.region_donors):
            if m != k:
                blend = crops[m] + masks[m][..., None] * (crops[k] - crops[m])
                found[row, column] = templates.embed(network, preprocess, blend[None])[
                    0
                ]
    return found


@pytest.mark.parametrize(("faces_wanted", "regions_wanted"), [(None, None), (3, 9)])
def test_the_sums_are_those_of_blends_made_one_by_one(
    toy, toy_faces, faces_wanted, regions_wanted
):
    shape = grid.make_grid(
        20, num_face_donors=faces_wanted, num_region_donors=regions_wanted
    )
    expected = templates_one_by_one(toy, toy_faces, shape)
    own = np.asarray(
        templates.embed(toy.network, toy.preprocess, toy_faces.crops[shape.face_donors])
    )
    x = np.nan_to_num(expected - own[:, None])

    sums = run(toy, toy_faces, shape, chunk=16)[-1].state.sums

    # 1e-4: float32 templates of size 1, up to 380 of them in a sum.
    for block in range(shape.region_blocks.max() + 1):
        member = shape.region_blocks == block
        np.testing.assert_allclose(
            sums.by_face[block], x[:, member].sum(axis=1), atol=1e-4
        )
        np.testing.assert_allclose(
            sums.region_moments[block],
            np.einsum("mki,mkj->ij", x[:, member], x[:, member]),
            atol=1e-4,
        )
    np.testing.assert_allclose(sums.by_region, x.sum(axis=0), atol=1e-4)
    for block in range(shape.face_blocks.max() + 1):
        member = shape.face_blocks == block
        np.testing.assert_allclose(
            sums.face_moments[block],
            np.einsum("mki,mkj->ij", x[member], x[member]),
            atol=1e-4,
        )


def test_templates_and_pairs_come_in_order_without_a_donor_in_itself(toy, toy_faces):
    shape = grid.make_grid(20, num_face_donors=4)
    expected = templates_one_by_one(toy, toy_faces, shape)
    segments = run(toy, toy_faces, shape, chunk=3, with_templates=True)
    pairs = np.concatenate([segment.pairs for segment in segments])
    found = np.concatenate([np.asarray(segment.templates) for segment in segments])
    wanted = [(m, k) for m in shape.face_donors for k in shape.region_donors if m != k]
    np.testing.assert_array_equal(pairs, wanted)
    assert len(pairs) == shape.num_blends == 4 * 19
    # 1e-5: the batch's shape changes the order of a sum of 192 terms.
    np.testing.assert_allclose(found, expected[shape.filled], atol=1e-5)


def test_a_run_that_goes_on_from_any_segment_ends_with_the_same_bits(toy, toy_faces):
    shape = grid.make_grid(20)
    whole = run(toy, toy_faces, shape, chunk=4)
    assert len(whole) > 5
    for segment in whole[:-1:2]:
        again = run(toy, toy_faces, shape, chunk=4, start=segment.state)
        assert again[-1].state.next_cell == shape.size
        jax.tree.map(
            np.testing.assert_array_equal, again[-1].state.sums, whole[-1].state.sums
        )


def test_the_chunk_changes_sums_by_rounding_alone(toy, toy_faces):
    shape = grid.make_grid(20, num_face_donors=5)
    first, second = (
        run(toy, toy_faces, shape, chunk=chunk)[-1].state.sums for chunk in (7, 64)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), first, second
    )


def test_sums_of_two_parts_of_a_grid_merge_by_addition(toy, toy_faces):
    shape = grid.make_grid(20, num_face_donors=4, num_region_donors=16)
    half = grid.GridState(32, grid.empty_sums(shape, 12))
    rest = run(toy, toy_faces, shape, chunk=2, start=half)[-1].state.sums
    segments = run(toy, toy_faces, shape, chunk=2)
    first, whole = segments[0].state, segments[-1].state.sums
    assert first.next_cell == 32
    merged = jax.tree.map(np.add, first.sums, rest)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), merged, whole
    )


def test_colour_transfer_changes_the_templates(toy, toy_faces):
    shape = grid.make_grid(20, num_face_donors=2, num_region_donors=5)
    plain, matched = (
        run(toy, toy_faces, shape, color_transfer=transfer)[-1].state.sums.by_region
        for transfer in ("none", "lab")
    )
    assert np.abs(plain - matched).max() > 1e-2


def test_donors_of_either_kind_are_kept_apart_where_there_are_enough():
    shape = grid.make_grid(20, num_face_donors=8, num_region_donors=12, seed=3)
    assert not set(shape.face_donors) & set(shape.region_donors)
    assert shape.num_blends == shape.size == 96
    assert (np.diff(shape.face_donors) > 0).all()


def test_all_by_all_is_the_papers_n_times_n_minus_1():
    assert grid.make_grid(163).num_blends == 26_406


def test_the_seed_decides_who_the_donors_are():
    first, again, other = (
        grid.make_grid(50, num_face_donors=5, seed=seed) for seed in (0, 0, 1)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_region_donors_may_come_from_a_folder_of_their_own():
    own_folder = np.arange(12, 20)
    shape = grid.make_grid(
        20, face_rows=np.arange(13), region_rows=own_folder, num_face_donors=13
    )
    np.testing.assert_array_equal(shape.region_donors, own_folder)
    assert shape.face_donors.max() == 12
    assert shape.num_blends == 13 * 8 - 1  # face 12 is in both folders


@pytest.mark.parametrize("count", [3, 8, 9, 163])
def test_blocks_are_balanced_and_can_be_halved(count):
    blocks = grid.make_grid(count).region_blocks
    sizes = np.bincount(blocks)
    assert len(sizes) % 2 == 0 and len(sizes) <= grid.MAX_BLOCKS
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize(
    ("dim", "blocks"), [(128, 8), (1024, 8), (2048, 4), (4096, 2), (8192, 2)]
)
def test_larger_templates_leave_memory_for_fewer_blocks(dim, blocks):
    most = grid.max_blocks_for(dim)
    assert most == blocks
    assert grid.make_grid(40, max_blocks=most).region_blocks.max() + 1 == blocks


def test_templates_too_large_for_a_covariance_are_refused():
    with pytest.raises(InputError, match="25088 dimensions are too many"):
        grid.max_blocks_for(25088)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_face_donors": 21}, "21 face donors were asked for and 20"),
        ({"num_region_donors": 2}, "at least 3 region donors and has 2"),
        ({"num_face_donors": 0}, "at least 1 face donors and has 0"),
        ({"region_rows": np.arange(2)}, "at least 3 region donors and has 2"),
        ({"face_rows": np.arange(2)}, "at least 3 region donors and has 2"),
    ],
)
def test_too_few_or_too_many_donors_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        grid.make_grid(20, **options)


def test_masks_must_fit_the_crops(toy, toy_faces):
    shape = grid.make_grid(20)
    with pytest.raises(ValueError, match="shape"):
        next(
            grid_run.run_grid(
                toy.network,
                toy.preprocess,
                toy_faces.crops,
                np.zeros((20, 9, 9)),
                shape,
                np.zeros((20, 12)),
            )
        )


def test_the_blends_of_the_grid_are_those_of_blend_pairs(toy, toy_faces):
    """Ties the grid to the one blending function, templates aside."""
    shape = grid.make_grid(20, num_face_donors=2, num_region_donors=4)
    masks = masks_of(toy_faces, toy.preprocess.size)
    (segment,) = run(toy, toy_faces, shape, with_templates=True)
    blends = blending.blend_pairs(
        jax.numpy.asarray(toy_faces.crops),
        jax.numpy.asarray(masks),
        jax.numpy.asarray(segment.pairs),
    )
    np.testing.assert_allclose(
        np.asarray(segment.templates),
        templates.embed(toy.network, toy.preprocess, blends),
        atol=1e-5,
    )


@pytest.fixture(scope="module")
def staged():
    return staged_network()


@pytest.mark.parametrize("color_transfer", ["none", "lab"])
def test_regional_embedding_changes_sums_by_rounding_alone(staged, color_transfer):
    backbone, faces = staged
    shape = grid.make_grid(9, num_face_donors=4)
    options = {"with_templates": True, "color_transfer": color_transfer}
    whole = run(backbone, faces, shape, regional="off", chunk=16, **options)
    parts = run(backbone, faces, shape, regional="on", chunk=4, **options)
    for name, apart in (("pairs", 0), ("templates", 1e-5)):  # of length 1
        found, expected = (
            np.concatenate([getattr(segment, name) for segment in segments])
            for segments in (parts, whole)
        )
        np.testing.assert_allclose(found, expected, atol=apart)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
        whole[-1].state.sums,
        parts[-1].state.sums,
    )


def test_a_regional_run_goes_on_with_the_same_bits(staged):
    backbone, faces = staged
    shape = grid.make_grid(9)
    whole = run(backbone, faces, shape, regional="on", chunk=1)
    assert len(whole) == 9
    again = run(backbone, faces, shape, regional="on", chunk=1, start=whole[3].state)
    jax.tree.map(
        np.testing.assert_array_equal, again[-1].state.sums, whole[-1].state.sums
    )


@pytest.mark.parametrize("regional", ["off", "on"])
def test_two_devices_give_the_sums_of_one(staged, regional):
    backbone, faces = staged
    shape = grid.make_grid(9, num_face_donors=4)
    one, two = (
        run(
            backbone,
            faces,
            shape,
            regional=regional,
            chunk=5,
            mesh=data_mesh(devices=n),
        )
        for n in (1, 2)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        one[-1].state.sums,
        two[-1].state.sums,
    )


def test_a_network_that_tells_no_stages_runs_whole_unless_asked(toy, toy_faces):
    shape = grid.make_grid(20, num_face_donors=2)
    assert run(toy, toy_faces, shape, regional="auto")
    with pytest.raises(InputError, match="ToyNetwork does not tell its stages"):
        run(toy, toy_faces, shape, regional="on")


def test_parts_of_processes_add_up_to_the_grid(staged):
    backbone, faces = staged
    shape = grid.make_grid(9, num_face_donors=5)
    parts = [grid_run.part_of(shape, process, 3) for process in range(3)]
    assert parts[0][0] == 0 and parts[-1][1] == shape.size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    assert all(stop > first and first % 9 == stop % 9 == 0 for first, stop in parts)
    empty = grid.empty_sums(shape, 12)
    ends = [
        run(backbone, faces, shape, start=grid.GridState(first, empty), stop=stop)[-1]
        for first, stop in parts
    ]
    assert [end.state.next_cell for end in ends] == [stop for _, stop in parts]
    whole = run(backbone, faces, shape)[-1].state.sums
    for name, expected in whole._asdict().items():
        found = sum(getattr(end.state.sums, name) for end in ends)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert np.abs(getattr(ends[0].state.sums, name) - expected).max() > 1e-2
    with pytest.raises(InputError, match="6 processes cannot share 5 face donors"):
        grid_run.part_of(shape, 0, 6)
