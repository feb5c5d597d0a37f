import numpy as np
import pytest

from facedirs_jax import grid, grid_run, journal, templates
from facedirs_jax.errors import InputError


@pytest.fixture
def shape():
    return grid.make_grid(20, num_face_donors=6, num_region_donors=14)


@pytest.fixture
def segments(toy, toy_faces, shape):
    """All segments of a small grid, with their templates."""
    return list(run(toy, toy_faces, shape))


def arguments(toy, toy_faces, shape):
    network, preprocess = toy
    crops = toy_faces.crops
    own = np.asarray(templates.embed(network, preprocess, crops[shape.face_donors]))
    masks = np.full(crops.shape[:3], 0.5, np.float32)
    return network, preprocess, crops, masks, shape, own


def run(toy, toy_faces, shape):
    return grid_run.run_grid(
        *arguments(toy, toy_faces, shape), chunk=2, with_templates=True
    )


def open_journal(folder, settings="a", dim=12):
    return journal.Journal(folder, "nose", settings=settings, dim=dim)


def assert_same_state(first, second):
    assert first.next_cell == second.next_cell
    for a, b in zip(first.sums, second.sums, strict=True):
        np.testing.assert_array_equal(a, b)
        assert b.dtype == np.float64


def test_a_state_is_read_back_to_the_bit(tmp_path, segments):
    open_journal(tmp_path).write(segments[0].state)
    found = open_journal(tmp_path).read()
    assert_same_state(segments[0].state, found)


def test_an_empty_folder_holds_no_state(tmp_path):
    assert open_journal(tmp_path).read() is None


def test_templates_are_kept_in_order(tmp_path, segments):
    kept = open_journal(tmp_path)
    for segment in segments:
        kept.append(segment)
    found, pairs = kept.templates()
    np.testing.assert_array_equal(
        found, np.concatenate([np.asarray(s.templates) for s in segments])
    )
    np.testing.assert_array_equal(pairs, np.concatenate([s.pairs for s in segments]))


def test_rows_appended_after_the_last_state_are_cut(tmp_path, segments):
    kept = open_journal(tmp_path)
    kept.append(segments[0])
    kept.write(segments[0].state)
    kept.append(segments[1])  # and then the run is killed

    again = open_journal(tmp_path)
    again.read()
    again.append(segments[1])
    found, _ = again.templates()
    np.testing.assert_array_equal(
        found, np.concatenate([np.asarray(s.templates) for s in segments[:2]])
    )


def test_rows_of_a_run_killed_before_its_first_state_are_dropped(tmp_path, segments):
    open_journal(tmp_path).append(segments[1])
    again = open_journal(tmp_path)
    assert again.read() is None
    again.append(segments[0])
    np.testing.assert_array_equal(again.templates()[0], segments[0].templates)


def test_lost_rows_are_noticed(tmp_path, segments):
    kept = open_journal(tmp_path)
    kept.append(segments[0])
    kept.write(segments[0].state)
    (tmp_path / "nose.templates").write_bytes(b"")
    with pytest.raises(InputError, match=r"nose.templates: 0 bytes .* delete both"):
        open_journal(tmp_path).read()


def test_a_flipped_bit_in_the_sums_is_noticed(tmp_path, segments):
    open_journal(tmp_path).write(segments[0].state)
    path = tmp_path / "nose.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="its sums changed"):
        open_journal(tmp_path).read()


@pytest.mark.parametrize("keep", [0, 5, 200, -9])
def test_a_cut_journal_is_refused_with_the_remedy(tmp_path, segments, keep):
    open_journal(tmp_path).write(segments[0].state)
    path = tmp_path / "nose.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"nose.safetensors: damaged .* delete it"):
        open_journal(tmp_path).read()


def test_a_journal_of_other_settings_is_refused(tmp_path, segments):
    open_journal(tmp_path, settings="a").write(segments[0].state)
    with pytest.raises(InputError, match="other settings"):
        open_journal(tmp_path, settings="b").read()


def test_a_grid_cut_short_is_finished_with_the_same_bits(
    tmp_path, monkeypatch, toy, toy_faces, shape, segments
):
    given = arguments(toy, toy_faces, shape)
    monkeypatch.setattr(journal, "JOURNAL_SECONDS", -1.0)
    monkeypatch.setattr(journal, "_JOURNAL_SHARE", float("inf"))
    real = grid_run.run_grid

    def killed(*positional, **named):
        for number, segment in enumerate(real(*positional, **named)):
            if number == 2:
                raise KeyboardInterrupt
            yield segment

    monkeypatch.setattr(journal, "run_grid", killed)
    with pytest.raises(KeyboardInterrupt):
        journal.finish_grid(
            *given, open_journal(tmp_path), chunk=2, with_templates=True
        )
    started = []

    def watched(*positional, **named):
        started.append(named["start"].next_cell)
        return real(*positional, **named)

    monkeypatch.setattr(journal, "run_grid", watched)
    kept = open_journal(tmp_path)
    state, rate = journal.finish_grid(*given, kept, chunk=2, with_templates=True)
    assert started == [segments[1].state.next_cell]
    assert_same_state(segments[-1].state, state)
    assert rate is not None and rate > 0
    np.testing.assert_array_equal(
        kept.templates()[0], np.concatenate([np.asarray(s.templates) for s in segments])
    )
    _, rate = journal.finish_grid(
        *given, open_journal(tmp_path), chunk=2, with_templates=True
    )
    assert rate is None  # nothing was left to do


def test_dropped_rows_are_gone(tmp_path, segments):
    kept = open_journal(tmp_path)
    kept.append(segments[0])
    kept.drop_rows()
    assert not list(tmp_path.iterdir())
