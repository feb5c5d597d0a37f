"""Each stage knows only the stages before it, and heavy imports stay in their file."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# A module may import those above it, and no other.
ORDER = """
facedirs_jax.errors
facedirs_jax.files
facedirs_jax.progress
facedirs_jax.dlib_models
facedirs_jax.images
facedirs_jax.landmarks
facedirs_jax.crops
facedirs_jax.arcface_crop
facedirs_jax.alignment
facedirs_jax.faces
facedirs_jax.regions
facedirs_jax.blending
facedirs_jax.conversion
facedirs_jax.conversion.strict
facedirs_jax.conversion.dlib_stream
facedirs_jax.conversion.dlib_dat
facedirs_jax.conversion.arrays
facedirs_jax.conversion.plain_pickle
facedirs_jax.conversion.keras_h5
facedirs_jax.conversion.numpy_pickle
facedirs_jax.conversion.onnx_tensor
facedirs_jax.conversion.onnx_graph
facedirs_jax.conversion.safetensors_file
facedirs_jax.conversion.torch_file
facedirs_jax.conversion.containers
facedirs_jax.backbones.cards
facedirs_jax.backbones.preprocess
facedirs_jax.backbones.recipe
facedirs_jax.backbones.layers
facedirs_jax.backbones.dlib_resnet
facedirs_jax.backbones.vgg16
facedirs_jax.backbones.resnet50
facedirs_jax.backbones.iresnet
facedirs_jax.backbones.iresnet_recipes
facedirs_jax.backbones.facenet
facedirs_jax.backbones.facenet_recipes
facedirs_jax.backbones
facedirs_jax.templates
facedirs_jax.decoders.layers
facedirs_jax.decoders.recipe
facedirs_jax.decoders.ceia_decoder
facedirs_jax.decoders.deep_face_decoder
facedirs_jax.decoders.idiap
facedirs_jax.decoders.rbh24
facedirs_jax.decoders
facedirs_jax.conversion.convert
facedirs_jax.golden
facedirs_jax.checkpoint_files
facedirs_jax.checkpoints
facedirs_jax.grid
facedirs_jax.directions
facedirs_jax.directions.pca
facedirs_jax.directions.record
facedirs_jax.journal
facedirs_jax.evaluation
facedirs_jax.evaluation.stability
facedirs_jax.evaluation.variance
facedirs_jax.evaluation.color
facedirs_jax.discovery
facedirs_jax
facedirs_jax.charts
facedirs_jax.figures
facedirs_jax.report
facedirs_jax.runs
experiments
experiments.launch
experiments.inputs
experiments.bench_grid
experiments.convert_checkpoint
experiments.discover_ssi
experiments.measure_stability
experiments.__main__
""".split()

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for package in ("facedirs_jax", "experiments")
    for path in sorted((ROOT / package).rglob("*.py"))
}
PACKAGES = {name for name, path in FILES.items() if path.name == "__init__.py"}


def imports(name: str, *, when_loaded: bool = False) -> set[str]:
    """Full names of what a module imports; `when_loaded` leaves out its functions."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(FILES[name].read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if not (when_loaded and isinstance(node, ast.FunctionDef)):
            nodes.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")
                up = len(parents) - node.level + (name in PACKAGES)
                base = ".".join([*parents[:up], *filter(None, [node.module])])
            # `from package import x` takes a module, or a name of the package itself.
            inside = {f"{base}.{alias.name}" for alias in node.names}
            found |= inside & FILES.keys() or {base}
    return found


def importers(*libraries: str, when_loaded: bool = False) -> set[str]:
    return {
        name
        for name in FILES
        for found in imports(name, when_loaded=when_loaded)
        if found.split(".")[0] in libraries
    }


def test_the_order_names_every_module_once():
    assert sorted(ORDER) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_module_knows_only_the_stages_before_it(name):
    before = ORDER[: ORDER.index(name)]
    later = (imports(name) & FILES.keys()) - set(before)
    assert not later, f"{name} imports {sorted(later)}, which come after it"


def test_an_arrow_that_points_back_is_seen(monkeypatch, tmp_path):
    module = tmp_path / "files.py"
    module.write_text("def late():\n    from facedirs_jax import errors, report\n")
    monkeypatch.setitem(FILES, "facedirs_jax.files", module)
    assert "facedirs_jax.report" in imports("facedirs_jax.files")
    assert not imports("facedirs_jax.files", when_loaded=True)
    module.write_text("from . import inputs\nfrom .launch import launch\n")
    monkeypatch.setitem(FILES, "experiments.launch", module)
    assert imports("experiments.launch") == {"experiments.inputs", "experiments.launch"}


def test_heavy_libraries_have_one_door_each():
    assert importers("matplotlib") == {"facedirs_jax.charts", "facedirs_jax.figures"}
    assert importers("PIL") == {"facedirs_jax.images"}
    assert importers("jinja2") == {"facedirs_jax.report"}
    assert not importers("torch", "tensorflow", "h5py", "onnx", when_loaded=True)


def test_the_library_knows_nothing_of_the_experiments():
    library = {name for name in FILES if name.startswith("facedirs_jax")}
    assert not importers("experiments") & library


def test_importing_the_library_loads_nothing_heavy():
    script = "import sys, facedirs_jax; print(*{m.split('.')[0] for m in sys.modules})"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "jax" in loaded
    assert not loaded & {"matplotlib", "torch", "tensorflow", "sklearn", "h5py", "onnx"}


@pytest.mark.parametrize("name", FILES)
def test_a_module_holds_no_machine_path_and_no_blanket_except(name):
    text = FILES[name].read_text(encoding="utf-8")
    assert not re.search(r"""["'\s](/(work|home|tmp|root|Users|mnt)/|[A-Z]:\\)""", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
            caught = ast.unparse(node.type)
            assert not re.search(r"\b(Base)?Exception\b", caught), caught
