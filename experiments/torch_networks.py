"""The same networks in PyTorch, with the same weights, as a user would write them.

Eager modules without any folding, in memory format channels_last: what `bench_grid`
compares with. Not imported unless PyTorch is asked for (the extra `convert`).
"""

from typing import Any

import jax
import numpy as np
import torch
from torch import nn

from facedirs_jax.backbones.iresnet import IResNet, IResNetBlock
from facedirs_jax.backbones.layers import ConvUnit, FrozenBatchNorm, MaxPool, PReLU
from facedirs_jax.backbones.resnet50 import Bottleneck, ResNet50
from facedirs_jax.backbones.vgg16 import VGG16


class _Block(nn.Module):
    """A branch, added to its input or to a projection of it."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, *, relu: bool):
        super().__init__()
        self.branch, self.shortcut, self.relu = branch, shortcut, relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.branch(x) + self.shortcut(x)
        return torch.relu(x) if self.relu else x


class _Flat(nn.Module):
    """Rows, columns and channels in one axis, in the order that JAX has them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def torch_network(network: VGG16 | ResNet50 | IResNet) -> nn.Module:
    """A module that computes what a network of ours does.

    Args:
        network: with its weights.

    Returns:
        Module [B, 3, S, S] -> [B, D], in evaluation.
    """
    stages = [_stage(stage) for stage in network.trunk]
    if isinstance(network, VGG16):
        head: list[nn.Module] = [_Flat()]
        for i, name in enumerate(network.config.dense):
            head += [nn.ReLU()] * (i > 0) + [_linear(getattr(network, name))]
        head += [nn.ReLU()] * network.config.embedding.endswith("_relu")
    elif isinstance(network, ResNet50):
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    else:
        features = _norm(network.features, nn.BatchNorm1d)
        head = [_Flat(), _linear(network.fc), features]
    whole = nn.Sequential(*stages, *head).eval()
    return whole.to(memory_format=torch.channels_last)  # pyright: ignore


def _stage(stage: Any) -> nn.Module:
    if isinstance(stage, ConvUnit):
        return _unit(stage)
    if isinstance(stage, MaxPool):
        (before, after), _ = stage.padding
        ceil = before != after
        pool = nn.MaxPool2d(stage.kernel_size, stage.strides, before, ceil_mode=ceil)
        return pool
    if isinstance(stage, PReLU):
        module = nn.PReLU(stage.slope.shape[0])
        module.weight.data = _tensor(stage.slope[...])
        return module
    if isinstance(stage, FrozenBatchNorm):
        return _norm(stage, nn.BatchNorm2d)
    if isinstance(stage, Bottleneck):
        parts = [_unit(part) for part in (stage.reduce, stage.conv, stage.increase)]
        branch, project = nn.Sequential(*parts), stage.project
        return _Block(branch, _unit(project) if project else nn.Identity(), relu=True)
    if isinstance(stage, IResNetBlock):
        parts = (stage.bn1, stage.conv1, stage.prelu, stage.conv2)
        branch, shortcut = nn.Sequential(*map(_stage, parts)), stage.shortcut
        return _Block(
            branch, _unit(shortcut) if shortcut else nn.Identity(), relu=False
        )
    raise TypeError(f"{type(stage).__name__} has no twin in PyTorch")


def _unit(unit: ConvUnit) -> nn.Sequential:
    (top, bottom), (left, right) = unit.padding
    kernel = np.asarray(unit.conv.kernel[...])
    conv = nn.Conv2d(
        *(kernel.shape[2], kernel.shape[3], unit.kernel_size, unit.strides),
        padding=(top, left),
        bias=unit.conv.bias is not None,
    )
    assert (top, left) == (bottom, right)
    conv.weight.data = _tensor(kernel.transpose(3, 2, 0, 1))
    if unit.conv.bias is not None and conv.bias is not None:
        conv.bias.data = _tensor(unit.conv.bias[...])
    norm = [_norm(unit.bn, nn.BatchNorm2d)] if unit.bn is not None else []
    return nn.Sequential(conv, *norm, *[nn.ReLU()] * unit.relu)


def _norm(norm: FrozenBatchNorm, build: Any) -> nn.Module:
    module = build(norm.mean.shape[0], eps=norm.epsilon)
    if norm.scale is not None:
        module.weight.data = _tensor(norm.scale[...])
    module.bias.data = _tensor(norm.bias[...])
    module.running_mean = _tensor(norm.mean[...])
    module.running_var = _tensor(norm.var[...])
    return module


def _linear(linear: Any) -> nn.Linear:
    kernel = np.asarray(linear.kernel[...])
    module = nn.Linear(*kernel.shape, bias=linear.bias is not None)
    module.weight.data = _tensor(kernel.T)
    if linear.bias is not None:
        module.bias.data = _tensor(linear.bias[...])
    return module


def _tensor(array: jax.Array | np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32))
