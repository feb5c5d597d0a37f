"""The files that hold an iResNet, and where each of their arrays goes.

PyTorch and its ONNX exports flatten the last map channel by channel, Keras row by row
as `IResNet` does; the layouts of `fc` say so. ONNX arrays come numbered within each
kind of node as the graph runs, Keras arrays by layer name or by number of layer.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from facedirs_jax.backbones import layers
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.recipe import Recipe
from facedirs_jax.conversion.strict import Layout, Rule

PREPROCESS = Preprocess(
    alignment="arcface_112",
    size=112,
    mean=(127.5, 127.5, 127.5),
    scale=127.5,
    colour_order="RGB",
    unit_norm=True,
)
# What Keras_insightface trained on; deepface itself feeds BGR in [0, 1] by default.
PREPROCESS_DEEPFACE = dataclasses.replace(PREPROCESS, scale=128.0)
LICENCE = "non-commercial research only"


def _torch_rules(config: IResNetConfig) -> list[Rule]:
    """Rules for the state dict of arcface_torch's module."""
    rules = [
        Rule(r"conv1\.weight", "conv1.conv.kernel", layers.hwio),
        Rule(r"prelu\.weight", "prelu.slope"),
        Rule(r"fc\.weight", "fc.kernel", _rows_first(config)),
        Rule(r"fc\.bias", "fc.bias"),
        *layers.torch_norm("bn1", "conv1.bn"),
        *layers.torch_norm("(bn2|features)", r"\1"),
    ]
    units = {"conv1": "bn2", "conv2": "bn3", r"downsample\.0": r"downsample\.1"}
    paths = ("conv1", "conv2", "shortcut")
    for n in range(len(config.blocks)):
        block, ours = rf"layer{n + 1}\.(\d+)\.", rf"stages.{n}.\1."
        rules.append(Rule(block + r"prelu\.weight", ours + "prelu.slope"))
        rules += layers.torch_norm(block + "bn1", ours + "bn1")
        for (conv, norm), path in zip(units.items(), paths, strict=True):
            kernel = ours + path + ".conv.kernel"
            rules.append(Rule(rf"{block}{conv}\.weight", kernel, layers.hwio))
            rules += layers.torch_norm(block + norm, ours + path + ".bn")
    return rules


def _onnx_rules(config: IResNetConfig) -> list[Rule]:
    """Rules for an export's arrays, numbered within each kind as the graph runs."""
    convs, norms, prelus = ["conv1"], [], ["prelu"]
    for path, strided in _block_paths(config):
        convs += [f"{path}.conv1", f"{path}.conv2"] + [f"{path}.shortcut"] * strided
        norms.append(f"{path}.bn1")
        prelus.append(f"{path}.prelu")
    rules = [
        Rule(r"gemm_00\.weight", "fc.kernel", _rows_first(config)),
        Rule(r"gemm_00\.bias", "fc.bias"),
    ]
    for n, path in enumerate(convs):
        kernel = f"{path}.conv.kernel"
        rules.append(Rule(rf"conv_{n:02d}\.weight", kernel, layers.hwio))
        rules.append(Rule(rf"conv_{n:02d}\.bias", f"{path}.conv.bias"))
    for n, path in enumerate([*norms, "bn2", "features"]):
        rules += layers.torch_norm(f"bn_{n:02d}", path)
    for n, path in enumerate(prelus):
        rules.append(Rule(rf"prelu_{n:02d}\.weight", f"{path}.slope"))
    return rules


def _keras_rules(config: IResNetConfig) -> list[Rule]:
    """Rules for deepface's layers, by name or by number."""
    names = [("conv1_conv", "conv1.conv"), ("conv1_bn", "conv1.bn")]
    names.append(("conv1_prelu", "prelu"))
    for path, strided in _block_paths(config):
        _, stage, i = path.split(".")
        block = f"conv{int(stage) + 2}_block{int(i) + 1}"
        names += [(f"{block}_1_bn", f"{path}.bn1")]
        names += [(f"{block}_1_conv", f"{path}.conv1.conv")]
        names += [(f"{block}_2_bn", f"{path}.conv1.bn")]
        names += [(f"{block}_1_prelu", f"{path}.prelu")]
        names += [(f"{block}_0_conv", f"{path}.shortcut.conv")] * strided
        names += [(f"{block}_2_conv", f"{path}.conv2.conv")]
        names += [(f"{block}_0_bn", f"{path}.shortcut.bn")] * strided
        names += [(f"{block}_3_bn", f"{path}.conv2.bn")]
    names += [(r"batch_normalization(?:_\d+)?", "bn2"), (r"dense(?:_\d+)?", "fc")]
    names += [("embedding", "features")]
    rules = []
    for n, (name, path) in enumerate(names):
        layer = rf"(?:{name}|layer_{n:02d})"
        if path.endswith(("conv", "fc")):
            rules.append(Rule(layer + "/(kernel|bias)", rf"{path}.\1"))
        elif path.endswith("prelu"):
            rules.append(Rule(layer + "/alpha", f"{path}.slope", _flat))
        else:
            rules += layers.keras_norm(layer, path)
    return rules


def _block_paths(config: IResNetConfig) -> Iterator[tuple[str, bool]]:
    """Path of each block in order, and whether it has a shortcut."""
    for stage, count in enumerate(config.blocks):
        for i in range(count):
            yield f"stages.{stage}.{i}", i == 0


def _rows_first(config: IResNetConfig) -> Layout:
    """Layout of a linear weight whose inputs run over channels, rows and columns."""

    def kernel(weight: np.ndarray) -> np.ndarray:
        outputs, _ = weight.shape
        weight = weight.reshape(outputs, config.channels[-1], -1)
        return weight.transpose(2, 1, 0).reshape(-1, outputs)  # [rows columns C, D]

    return kernel


def _flat(slopes: np.ndarray) -> np.ndarray:
    """Slopes of Keras: [1, 1, C] -> [C]."""
    return slopes.reshape(-1)


def _arcface_torch(depth: int, config: IResNetConfig) -> Recipe:
    return Recipe(
        name=f"iresnet{depth}_arcface_torch",
        containers=("torch", "safetensors"),
        build=IResNet,
        config=config,
        rules=_torch_rules(config),
        ignored=(),
        preprocess=PREPROCESS,
        embedding=f"features, {config.embedding_dim}-d",
        licence=LICENCE,
        commercial_use=False,
        source=f"insightface, recognition/arcface_torch: backbone.pth of an r{depth}",
    )


def _insightface_onnx(depth: int, config: IResNetConfig, source: str) -> Recipe:
    folded = dataclasses.replace(config, folded=True)
    return _arcface_torch(depth, folded)._replace(
        name=f"iresnet{depth}_insightface_onnx",
        containers=("onnx",),
        rules=_onnx_rules(folded),
        source=source,
    )


def _deepface(config: IResNetConfig) -> Recipe:
    return _arcface_torch(34, config)._replace(
        name="iresnet34_deepface",
        containers=("keras_by_order", "keras"),
        rules=_keras_rules(config),
        preprocess=PREPROCESS_DEEPFACE,
        licence="unknown",
        source="github.com/serengil/deepface_models v1.0: arcface_weights.h5",
    )


RECIPES: tuple[Recipe, ...] = (
    _arcface_torch(18, IResNetConfig.iresnet18()),
    _arcface_torch(34, IResNetConfig.iresnet34()),
    _arcface_torch(50, IResNetConfig.iresnet50()),
    _arcface_torch(100, IResNetConfig.iresnet100()),
    _arcface_torch(200, IResNetConfig.iresnet200()),
    _insightface_onnx(18, IResNetConfig.iresnet18(), "torch2onnx.py of arcface_torch"),
    _insightface_onnx(34, IResNetConfig.iresnet34(), "torch2onnx.py of arcface_torch"),
    _insightface_onnx(
        50, IResNetConfig.iresnet50(), "insightface buffalo_l: w600k_r50"
    ),
    _insightface_onnx(
        100, IResNetConfig.iresnet100(), "insightface antelopev2: glintr100"
    ),
    _deepface(IResNetConfig.deepface()),
)
