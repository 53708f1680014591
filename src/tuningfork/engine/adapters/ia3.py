"""(IA)3 (Liu et al. 2022): a learned factor for each key, each value, and each input of the layer that ends a
feed-forward block. It starts at one, so as the base model exactly. On disk it is PEFT's layout."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch

from ...errors import MethodError
from ...model import Recipe
from ..linear import changed, in_attention, layers_of, projects_back
from ..weights import Weights
from .layout import PREFIX, Config, Tensors, taken

NAME = "ia3_l"
KEYS_VALUES = {
    "k_proj",
    "v_proj",
    "key",
    "value",
    "k",
    "v",
    "k_lin",
    "v_lin",
    "key_proj",
    "value_proj",
    "c_attn",
    "query_key_value",
    "qkv_proj",
    "Wqkv",
    "qkv",
}
"""What layers that give keys or values are called; where one gives queries too, it is scaled whole, as PEFT does."""


@dataclass
class Ia3:
    """Factors by module path: (in,) for layers in `inputs`, (out,) for the others."""

    factors: dict[str, torch.Tensor]
    inputs: frozenset[str]

    def parameters(self) -> list[torch.Tensor]:
        return list(self.factors.values())

    def stepped(self) -> None:
        """Nothing follows the factors."""

    def worn(self, weights: Weights) -> AbstractContextManager[None]:
        """On, for the length of the block."""
        return changed(
            weights,
            {
                path: partial(_scaled_input if path in self.inputs else _scaled_output, factor)
                for path, factor in self.factors.items()
            },
        )

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """PEFT's tensors, in fp32, and config."""
        tensors = {
            f"{PREFIX}{path}.{NAME}": factor.detach().float().reshape((1, -1) if path in self.inputs else (-1, 1))
            for path, factor in self.factors.items()
        }
        layers = layers_of(weights)
        return tensors, {
            "peft_type": "IA3",
            "target_modules": sorted(self.factors),
            "feedforward_modules": sorted(self.inputs),
            "fan_in_fan_out": any(layers[path].transposed for path in self.factors),
        }


def _scaled_input(factor: torch.Tensor, x: torch.Tensor, layer: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return layer(x * factor.to(x.dtype))


def _scaled_output(
    factor: torch.Tensor, x: torch.Tensor, layer: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    return layer(x) * factor.to(x.dtype)


def fresh(weights: Weights, recipe: Recipe) -> Ia3:
    """Factors of one for every layer that the paper scales. Raises MethodError where none is found."""
    layers = layers_of(weights)
    width = weights.net.config.get_text_config().hidden_size
    inputs = {path for path, layer in layers.items() if projects_back(path, layer, width)}
    outputs = {path for path in layers if path.rpartition(".")[2] in KEYS_VALUES and in_attention(path)}
    if not inputs or not outputs:
        raise MethodError(
            "This model's keys, values and feed-forward layers are not known by name: ia3 can't find them."
        )
    factors = {}
    for path, layer in layers.items():
        if path in inputs | outputs:
            size = layer.in_size if path in inputs else layer.out_size
            factors[path] = torch.ones(size, device=weights.device, requires_grad=True)
    return Ia3(factors, frozenset(inputs))


def unpacked(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> Ia3:
    """The factors of PEFT's files, in fp32; taken out of `tensors`. Raises ModelError when they do not fit."""
    ends = tuple(config.get("feedforward_modules") or ())
    inputs, factors = set(), {}
    for path, layer in layers_of(weights).items():
        if f"{PREFIX}{path}.{NAME}" not in tensors:
            continue
        if _named(path, ends):
            inputs.add(path)
        shape = (1, layer.in_size) if path in inputs else (layer.out_size, 1)
        factors[path] = taken(tensors, f"{path}.{NAME}", shape).flatten().to(weights.device, torch.float32)
    return Ia3(factors, frozenset(inputs))


def _named(path: str, ends: tuple[str, ...]) -> bool:
    """Whether a path is one of these or ends in one, as PEFT reads its lists."""
    return any(path == end or path.endswith("." + end) for end in ends)
