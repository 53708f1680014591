"""Adapter layers (Houlsby et al. 2019): after each attention and each feed-forward block a small network of its own,

    y + U relu(D y + d) + u,    D (m, width), U (width, m),

beside the frozen weights. U and both biases start at zero, so it starts as the base model exactly. PEFT has no such
layers: the files keep its names and say BOTTLENECK.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional as F

from ...errors import MethodError, ModelError
from ...model import Recipe
from ..linear import Linear, changed, in_attention, layers_of, projects_back
from ..weights import Weights
from .layout import PREFIX, Config, Tensors, taken

OUTS = {"o_proj", "out_proj", "dense", "c_proj", "o", "out_lin", "wo", "out", "Wo"}
"""What the layer that ends an attention is called."""
NAMES = ("adapter_down.weight", "adapter_down.bias", "adapter_up.weight", "adapter_up.bias")
PEFT_TYPE = "BOTTLENECK"


@dataclass
class Bottleneck:
    """By the path of the layer that an adapter layer follows: D (m, width), d (m,), U (width, m), u (width,)."""

    parts: dict[str, list[torch.Tensor]]
    size: int

    def parameters(self) -> list[torch.Tensor]:
        return [tensor for part in self.parts.values() for tensor in part]

    def stepped(self) -> None:
        """Nothing follows."""

    def worn(self, weights: Weights) -> AbstractContextManager[None]:
        """On, for the length of the block."""
        return changed(weights, {path: partial(_followed, part) for path, part in self.parts.items()})

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """Tensors in fp32, and what says how to read them."""
        tensors = {
            f"{PREFIX}{path}.{name}": tensor.detach().float()
            for path, part in self.parts.items()
            for name, tensor in zip(NAMES, part, strict=True)
        }
        config: Config = {"peft_type": PEFT_TYPE, "bottleneck_size": self.size, "non_linearity": "relu"}
        return tensors, {**config, "target_modules": sorted(self.parts)}


def _followed(part: list[torch.Tensor], x: torch.Tensor, layer: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    y = layer(x)
    down, low, up, high = (tensor.to(y.dtype) for tensor in part)
    return y + F.linear(F.relu(F.linear(y, down, low)), up, high)


def fresh(weights: Weights, recipe: Recipe) -> Bottleneck:
    """New adapter layers of `recipe.rank` units after every block. Raises MethodError where no block is found."""
    width = weights.net.config.get_text_config().hidden_size
    dice = torch.Generator().manual_seed(recipe.seed)
    parts = {}
    for path, layer in layers_of(weights).items():
        if not (projects_back(path, layer, width) or _ends_attention(path, layer, width)):
            continue
        bound = 1 / math.sqrt(width)
        down = (torch.rand((recipe.rank, width), generator=dice) * 2 - 1) * bound
        zeros = torch.zeros(recipe.rank), torch.zeros((width, recipe.rank)), torch.zeros(width)
        parts[path] = [tensor.to(weights.device).requires_grad_(True) for tensor in (down, *zeros)]
    if not parts:
        raise MethodError("This model's blocks are not known by name: bottleneck can't find where they end.")
    return Bottleneck(parts, recipe.rank)


def _ends_attention(path: str, layer: Linear, width: int) -> bool:
    return layer.out_size == width and in_attention(path) and path.rpartition(".")[2] in OUTS


def unpacked(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> Bottleneck:
    """The adapter layers of our files in this dtype; taken out of `tensors`. Raises ModelError when they do not fit."""
    size = config.get("bottleneck_size")
    if not isinstance(size, int) or size < 1:
        raise ModelError(f"The adapter can't be read: its bottleneck_size is {size!r}.")
    width = weights.net.config.get_text_config().hidden_size
    shapes = ((size, width), (size,), (width, size), (width,))
    parts = {
        path: [
            taken(tensors, f"{path}.{name}", shape).to(weights.device, dtype)
            for name, shape in zip(NAMES, shapes, strict=True)
        ]
        for path in layers_of(weights)
        if f"{PREFIX}{path}.{NAMES[0]}" in tensors
    }
    return Bottleneck(parts, size)
