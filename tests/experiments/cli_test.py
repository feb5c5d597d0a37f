"""The `facedirs` command, from the checkout and from an installed wheel."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "launch(_run_flags)" in path.read_text(encoding="utf-8")
)


@pytest.fixture
def facedirs(environment):
    """Runs `python -m experiments`, which is the command from a checkout."""

    def run(*arguments):
        command = [sys.executable, "-m", "experiments", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True
        )

    return run


def listed(printed: str) -> list[str]:
    return re.findall(r"^  (\w+)$", printed.partition("experiments:")[2], flags=re.M)


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0)])
def test_the_command_lists_the_experiments(facedirs, arguments, code):
    done = facedirs(*arguments)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("usage: facedirs EXPERIMENT --help")
    assert listed(done.stdout) == EXPERIMENTS
    assert "discover_ssi" in EXPERIMENTS


def test_an_unknown_experiment_is_named_beside_the_known_ones(facedirs):
    done = facedirs("discover_sis", "--help")
    assert done.returncode == 2
    assert done.stderr == "error: unknown experiment 'discover_sis'\n"
    assert listed(done.stdout) == EXPERIMENTS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_help_explains_an_experiment_and_all_of_its_flags(facedirs, experiment):
    done = facedirs(experiment, "--help")
    source = (ROOT / "experiments" / f"{experiment}.py").read_text(encoding="utf-8")
    assert source.partition("\n")[0].strip('"') in done.stdout  # its first sentence
    assert f"python -m experiments.{experiment} --" in done.stdout
    own = re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', source)
    on_faces = "inputs.source_from_flags()" in source
    common = ("images", "out_dir", "backbone", "limit", "processes")
    for flag in (*own, *(common if on_faces else ())):
        assert re.search(rf"^  --(\[no\])?{flag}:\s+\S", done.stdout, flags=re.M), flag
    assert not done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--out_dir must have a value other than None"),
        (["--chunk=0", "--images=a", "--out_dir=b"], "flag --chunk=0: 0 is not a pos"),
    ],
)
def test_a_wrong_flag_is_named_without_a_traceback(facedirs, arguments, complaint):
    done = facedirs("discover_ssi", *arguments)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from a copy, since setuptools leaves files beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("facedirs_jax", "experiments", "checkpoints"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command = [*pip_wheel, f"--wheel-dir={folder}", str(folder)]
    subprocess.run(command, cwd=folder, check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package(wheel):
    carried = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "facedirs_jax").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"facedirs_jax/py.typed", "facedirs_jax/report.html.jinja"} <= expected
    expected |= {
        f"facedirs_jax/trained/{path.relative_to(ROOT / 'checkpoints')}"
        for path in (ROOT / "checkpoints").rglob("*")
        if path.is_file()
    }
    experiments = {path.name for path in (ROOT / "experiments").glob("*.py")}
    expected |= {f"facedirs_jax/experiments/{name}" for name in experiments}
    assert {name for name in carried if ".dist-info/" not in name} == expected


def test_an_installed_copy_runs_without_the_checkout(
    wheel, portraits, environment, tmp_path
):
    site, out = tmp_path / "site", tmp_path / "out"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--no-index", f"--target={site}", str(wheel)], check=True)
    arguments = [  # in the shapes of discover_ssi_test.py, to be compiled only once
        *("discover_ssi", f"--images={portraits}", f"--out_dir={out}"),
        *("--regions=nose", "--face_donors=6", "--chunk=1", "--processes=2"),
    ]
    done = subprocess.run(
        [site / "bin" / "facedirs", *arguments],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "nose: 54 blends" in done.stdout
    run = json.loads((out / "run.json").read_text())
    assert run["state"] == "complete"
    assert run["git_commit"] is None  # not the checkout's code
    assert run["versions"]["facedirs-jax"] != "not installed"
    assert (out / "report.html").exists() and (out / "directions.safetensors").exists()
    load = "import facedirs_jax as fd; print(fd.load_backbone('iresnet_arcface_small'))"
    found = subprocess.run(
        [sys.executable, "-c", load],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0 and "IResNet" in found.stdout, found.stderr
