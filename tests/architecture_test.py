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
facedirs_jax.devices
experiments.run_flags
facedirs_jax.evaluation.saturation
facedirs_jax.roofline
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
facedirs_jax.gallery
facedirs_jax.rendering
facedirs_jax.rendering.head_model
facedirs_jax.rendering.factors
facedirs_jax.rendering.morphs
facedirs_jax.rendering.measures
facedirs_jax.rendering.factor_table
facedirs_jax.rendering.sampling
facedirs_jax.rendering.presets
facedirs_jax.rendering.compiled
facedirs_jax.rendering.vectors
facedirs_jax.rendering.surface
facedirs_jax.rendering.head_lines
facedirs_jax.rendering.hairline
facedirs_jax.rendering.raster
facedirs_jax.rendering.texels
facedirs_jax.rendering.zones
facedirs_jax.rendering.complexion
facedirs_jax.rendering.spots
facedirs_jax.rendering.brows
facedirs_jax.rendering.painter
facedirs_jax.rendering.skin
facedirs_jax.rendering.strands
facedirs_jax.rendering.skull
facedirs_jax.rendering.strand_growth
facedirs_jax.rendering.haircuts
facedirs_jax.rendering.hair
facedirs_jax.rendering.facial_hair
facedirs_jax.rendering.lashes
facedirs_jax.rendering.glasses
facedirs_jax.rendering.clothing
facedirs_jax.rendering.backdrop
facedirs_jax.rendering.camera
facedirs_jax.rendering.lighting
facedirs_jax.rendering.eyes
facedirs_jax.rendering.shadows
facedirs_jax.rendering.texture
facedirs_jax.rendering.shading
facedirs_jax.rendering.scene
facedirs_jax.rendering.sensor
facedirs_jax.rendering.picture
facedirs_jax.rendering.render
facedirs_jax.rendering.produce
facedirs_jax.rendering.sheets
facedirs_jax.rendering.pack_head
facedirs_jax.datasets.labels
facedirs_jax.datasets.tree
facedirs_jax.datasets.builder
facedirs_jax.datasets.storage
facedirs_jax.datasets.image_folder
facedirs_jax.datasets.siblingsdb_hqf
facedirs_jax.datasets.meds_ii
facedirs_jax.datasets.multi_pie
facedirs_jax.datasets.diveface
facedirs_jax.datasets.lfw
facedirs_jax.datasets.rendered
facedirs_jax.datasets
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
facedirs_jax.backbones.convolution
facedirs_jax.backbones.layers
facedirs_jax.regional
facedirs_jax.backbones.dlib_resnet
facedirs_jax.backbones.vgg16
facedirs_jax.backbones.resnet50
facedirs_jax.backbones.iresnet
experiments.torch_networks
facedirs_jax.backbones.iresnet_recipes
facedirs_jax.backbones.facenet
facedirs_jax.backbones.facenet_recipes
facedirs_jax.backbones
facedirs_jax.templates
facedirs_jax.reduced
facedirs_jax.picture_templates
facedirs_jax.labelled_pictures
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
facedirs_jax.shipped
facedirs_jax.checkpoints
experiments.networks
facedirs_jax.decoding
facedirs_jax.walks
facedirs_jax.grid
facedirs_jax.grid_embed
facedirs_jax.grid_run
facedirs_jax.tuning
facedirs_jax.directions
facedirs_jax.directions.pca
facedirs_jax.directions.record
facedirs_jax.directions.choice
facedirs_jax.palette
facedirs_jax.label_charts
facedirs_jax.traversal
facedirs_jax.journal
facedirs_jax.evaluation
facedirs_jax.evaluation.stability
facedirs_jax.evaluation.variance
facedirs_jax.evaluation.color
facedirs_jax.evaluation.bootstrap
facedirs_jax.directions.gram
facedirs_jax.directions.labelled
facedirs_jax.manifold
facedirs_jax.stress_maps
facedirs_jax.neighbour_maps
facedirs_jax.maps
facedirs_jax.map_charts
facedirs_jax.map_page
facedirs_jax.evaluation.drawn_centroids
facedirs_jax.evaluation.bend
facedirs_jax.directions.centroid
facedirs_jax.directions.regression
facedirs_jax.directions.boundary
facedirs_jax.directions.conditional
facedirs_jax.evaluation.correlations
facedirs_jax.evaluation.decodability
facedirs_jax.evaluation.image_quality
facedirs_jax.evaluation.decoding
facedirs_jax.evaluation.picture_readings
facedirs_jax.evaluation.isolation
facedirs_jax.evaluation.roc
facedirs_jax.evaluation.verification
facedirs_jax.tables
facedirs_jax.evaluation.rendered_faces
facedirs_jax.evaluation.network_comparison
facedirs_jax.evaluation.carried_thresholds
facedirs_jax.evaluation.factor_readings
facedirs_jax.training
facedirs_jax.training.losses
facedirs_jax.training.augmentation
facedirs_jax.training.batches
facedirs_jax.training.state_files
facedirs_jax.training.metrics
facedirs_jax.training.reproduction
facedirs_jax.training.plan
facedirs_jax.training.loop
facedirs_jax.training.optimisers
facedirs_jax.training.weights
facedirs_jax.training.normalisation
facedirs_jax.training.objective
facedirs_jax.training.backbone_step
facedirs_jax.training.recipes
facedirs_jax.training.backbone_training
facedirs_jax.training.photos
facedirs_jax.training.composites
facedirs_jax.training.crop_sets
facedirs_jax.training.validation
facedirs_jax.training.export
facedirs_jax.training.fine_tuning
facedirs_jax.training.cards
facedirs_jax.training.perception
facedirs_jax.training.decoder_losses
facedirs_jax.training.decoder_step
facedirs_jax.training.decoder_recipes
facedirs_jax.training.decoder_training
facedirs_jax.training.decoder_validation
facedirs_jax.training.decoder_faces
facedirs_jax.training.decoder_export
facedirs_jax.discovery
facedirs_jax.strips
facedirs_jax
facedirs_jax.charts
facedirs_jax.bench_charts
facedirs_jax.figures
facedirs_jax.sliders
facedirs_jax.report
facedirs_jax.paper
facedirs_jax.paper.attributes
facedirs_jax.paper.own_data
facedirs_jax.paper.subjects
facedirs_jax.paper.claims
facedirs_jax.paper.edits
facedirs_jax.paper.parts
facedirs_jax.paper.part_files
facedirs_jax.paper.region_parts
facedirs_jax.paper.label_parts
facedirs_jax.paper.map_parts
facedirs_jax.paper.photo_parts
facedirs_jax.walk_files
facedirs_jax.map_files
facedirs_jax.checks
facedirs_jax.compared_pictures
facedirs_jax.rendered_checks
facedirs_jax.network_checks
facedirs_jax.runs
experiments
experiments.launch
experiments.traverse
experiments.inputs
experiments.labelled
experiments.map_space
experiments.discover_labelled
experiments.traversals
experiments.speed
experiments.bench_convolutions
experiments.bench_directions
experiments.grid_networks
experiments.ratios
experiments.talking
experiments.grid_worker
experiments.grid_scale
experiments.bench_grid
experiments.predict_gpu
experiments.build_dataset
experiments.check_decoder
experiments.check_rendered_faces
experiments.check_training
experiments.compare_networks
experiments.convert_checkpoint
experiments.discover_ssi
experiments.make_gallery
experiments.measure_stability
experiments.train_backbone
experiments.train_decoder
experiments.pack_head_model
experiments.render_faces
experiments.reproduce_paper
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
    assert importers("matplotlib") == {
        "facedirs_jax.charts",
        "facedirs_jax.figures",
        "facedirs_jax.label_charts",
        "facedirs_jax.map_charts",
    }
    # Pictures from outside come in through `images`; the others write some, or read
    # their own.
    assert importers("PIL") == {
        "facedirs_jax.images",
        "facedirs_jax.rendering.pack_head",
        "facedirs_jax.rendering.produce",
        "facedirs_jax.rendering.sheets",
        "facedirs_jax.sliders",
        "facedirs_jax.training.decoder_validation",
        "experiments.make_gallery",
    }
    assert importers("jinja2") == {"facedirs_jax.map_page", "facedirs_jax.report"}
    found = importers("torch", "tensorflow", "h5py", "onnx", when_loaded=True)
    assert found == {"experiments.torch_networks"}  # itself imported where it is used


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
