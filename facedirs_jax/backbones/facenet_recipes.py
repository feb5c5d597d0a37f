"""The files that hold a FaceNet: facenet-pytorch's, and deepface's in Keras.

facenet-pytorch is fed RGB, (x - 127.5) / 128 of 0..255, and scales its embeddings to
unit norm itself; its classifier, `logits`, is left out. deepface is fed BGR in [0, 1];
its arrays go by the names that its Keras model gives the layers.
"""

from collections.abc import Sequence

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.facenet import (
    BLOCK8,
    BLOCK17,
    BLOCK35,
    MIXED_6A,
    MIXED_7A,
    STEM,
    FaceNet,
    FaceNetConfig,
)
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Container, Recipe
from facedirs_jax.conversion.strict import Rule


def torch_rules() -> list[Rule]:
    """Where the arrays of facenet-pytorch's state dicts go, of any shape.

    Returns:
        Rules of the strict converter.
    """
    units = (  # of the file, of the network
        (r"(conv2d_\d[ab])", r"\1"),
        (r"(\w+(?:\.\d+)?)\.branch(\d)", r"\1.branches.\2.0"),
        (r"(\w+(?:\.\d+)?)\.branch(\d)\.(\d)", r"\1.branches.\2.\3"),
    )
    rules = [
        Rule(r"(\w+(?:\.\d+)?)\.conv2d\.weight", r"\1.conv2d.kernel", layers.hwio),
        Rule(r"(\w+(?:\.\d+)?)\.conv2d\.bias", r"\1.conv2d.bias"),
        Rule(r"last_linear\.weight", "last_linear.kernel", layers.transposed),
        *layers.torch_norm("last_bn", "last_bn"),
    ]
    for unit, target in units:
        kernel = Rule(rf"{unit}\.conv\.weight", f"{target}.conv.kernel", layers.hwio)
        rules += [kernel, *layers.torch_norm(rf"{unit}\.bn", f"{target}.bn")]
    return rules


def keras_rules(config: FaceNetConfig) -> list[Rule]:
    """Where the arrays of deepface's files go, by the names of its layers.

    Args:
        config: of the network.

    Returns:
        Rules of the strict converter.
    """
    rules = [Rule("Bottleneck/kernel", "last_linear.kernel")]
    units = {"last_bn": "Bottleneck"}
    units |= {path: f"C{path[1:]}_{conv.name}" for path, conv in STEM.items()}
    first, second, third = config.blocks
    blocks = {"mixed_6a": ("Mixed_6a", MIXED_6A), "mixed_7a": ("Mixed_7a", MIXED_7A)}
    blocks |= {f"repeat_1.{n}": (f"Block35_{n + 1}", BLOCK35) for n in range(first)}
    blocks |= {f"repeat_2.{n}": (f"Block17_{n + 1}", BLOCK17) for n in range(second)}
    blocks |= {f"repeat_3.{n}": (f"Block8_{n + 1}", BLOCK8) for n in range(third)}
    blocks["block8"] = (f"Block8_{third + 1}", BLOCK8)
    for path, (name, branches) in blocks.items():
        if not name.startswith("Mixed"):
            rules.append(
                Rule(rf"{name}_Conv2d_1x1/(kernel|bias)", rf"{path}.conv2d.\1")
            )
        for b, branch in enumerate(branches):
            for n, conv in enumerate(branch):
                place = "1a_" if conv.stride == 2 else f"0{'abc'[n]}_"
                if len(branch) == conv.stride == 1:
                    place = ""
                layer = f"{name}_Branch_{b}_Conv2d_{place}{conv.name}"
                units[f"{path}.branches.{b}.{n}"] = layer
    for path, name in units.items():
        norm = path if path == "last_bn" else f"{path}.bn"
        rules += layers.keras_norm(
            f"{name}_BatchNorm", norm, use_scale=config.use_scale
        )
        if path != "last_bn":
            rules.append(Rule(f"{name}/kernel", f"{path}.conv.kernel"))
    return rules


PREPROCESS = Preprocess(
    alignment="facenet_box",
    size=160,
    mean=(127.5, 127.5, 127.5),
    scale=128.0,
    colour_order="RGB",
    unit_norm=True,
)
KERAS_PREPROCESS = Preprocess(
    alignment="letterbox",
    size=160,
    mean=(0.0, 0.0, 0.0),
    scale=255.0,
    colour_order="BGR",
    unit_norm=False,
)


def _recipe(
    name: str,
    containers: tuple[Container, ...],
    config: FaceNetConfig,
    rules: Sequence[Rule],
    preprocess: Preprocess,
    source: str,
) -> Recipe:
    layer = "last_bn on the unit sphere" if config.unit_output else "last_bn"
    return Recipe(
        name=f"facenet_{name}",
        containers=containers,
        build=FaceNet,
        config=config,
        rules=rules,
        ignored=(r"logits\.(weight|bias)",),
        preprocess=preprocess,
        embedding=f"{layer}, {config.embedding_dim}-d",
        licence="unknown",
        commercial_use=False,
        source=source,
    )


def _torch(data: str, file: str) -> Recipe:
    source = f"github.com/timesler/facenet-pytorch: {file}"
    containers: tuple[Container, ...] = ("torch", "safetensors")
    return _recipe(data, containers, FaceNetConfig(), torch_rules(), PREPROCESS, source)


def _keras(embedding_dim: int, file: str) -> Recipe:
    config = FaceNetConfig.keras(embedding_dim=embedding_dim)
    source = f"github.com/serengil/deepface_models v1.0: {file}"
    rules, name = keras_rules(config), f"deepface{embedding_dim}"
    return _recipe(name, ("keras",), config, rules, KERAS_PREPROCESS, source)


RECIPES: tuple[Recipe, ...] = (
    _torch("vggface2", "20180402-114759-vggface2.pt"),
    _torch("casia", "20180408-102900-casia-webface.pt"),
    _keras(128, "facenet_weights.h5"),
    _keras(512, "facenet512_weights.h5"),
)
