"""The README's example runs as it is printed, and its commands exist."""

import pathlib
import re

import numpy as np
import pytest

import facedirs_jax

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_as_printed(portraits, capsys):
    example = re.findall(r"```python\n(.*?)```", README, flags=re.S)[0]
    assert example.count('"portraits/"') == 1
    assert len(example.splitlines()) <= 10
    names = {}
    exec(example.replace('"portraits/"', repr(str(portraits))), names)

    faces, blend, found = names["faces"], np.asarray(names["blend"]), names["found"]
    assert blend.shape == (1, 150, 150, 3) and names["template"].shape == (1, 128)
    inside = np.asarray(names["masks"])[0] > 0  # the nose of face 1 is in face 0
    face, donor = (faces.crops[row] / np.float32(255) for row in (0, 1))
    np.testing.assert_allclose(blend[0][~inside], face[~inside], atol=1e-6)
    sure = np.asarray(names["masks"])[0] == 1
    np.testing.assert_allclose(blend[0][sure], donor[sure], atol=1e-6)
    assert isinstance(found, facedirs_jax.Discovery)
    assert found.directions.directions.shape[1] == 128
    shares = eval(capsys.readouterr().out.splitlines()[0])
    assert shares == sorted(shares, reverse=True) and len(shares) == 3


@pytest.mark.parametrize("page", ["README.md", "BUILD.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    text = (ROOT / page).read_text(encoding="utf-8")
    code = re.findall(r"(?<=```sh\n).*?(?=```)|(?<=`)make .*?(?=`)", text, re.S)
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(code)))
    assert named <= targets
    if page == "README.md":
        assert named == {"quickstart", "test"}


def test_the_readme_lists_every_experiment_and_no_other():
    there = {
        path.stem
        for path in (ROOT / "experiments").glob("*.py")
        if "launch(_run_flags)" in path.read_text(encoding="utf-8")
    }
    section = README.partition("| experiment |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, flags=re.M)) == there


def test_pages_link_to_files_that_exist():
    for page in ROOT.glob("*.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8"))
        assert all((ROOT / link).exists() for link in links), page.name
