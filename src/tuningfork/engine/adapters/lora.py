"""Low-rank adaptation (Hu et al. 2021): y = W x + (alpha / r) B A x, W frozen, A (r, in) and B (out, r) learned.

The base's linear layers are wrapped once; an adapter is put on for the length of a call and taken off again, so any
number of adapters share one copy of the weights. A and B are kept in fp32 and multiply in the base's dtype. On disk it
is PEFT's layout, key for key. Embeddings and the output layer are left alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from ...errors import DataError, ModelError
from ...model import Adapter, Recipe
from ...store.blobs import Blob
from ..weights import Weights

WEIGHTS_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"


class LoraLinear(torch.nn.Module):
    """A frozen linear layer with room for one adapter at a time."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base
        self.transposed = isinstance(base, Conv1D)
        out_in = tuple(base.weight.shape)
        self.in_size, self.out_size = (out_in[0], out_in[1]) if self.transposed else (out_in[1], out_in[0])
        self.a: torch.Tensor | None = None
        self.b: torch.Tensor | None = None
        self.scale = 1.0

    @property
    def weight(self) -> torch.Tensor:
        """The frozen weights, for models (Mamba) that take them without calling the layer, past any adapter."""
        weight: torch.Tensor = self.base.weight
        return weight

    @property
    def bias(self) -> torch.Tensor | None:
        """As `weight`."""
        bias: torch.Tensor | None = self.base.bias
        return bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        if self.a is None or self.b is None:
            return y
        return y + F.linear(F.linear(x, self.a.to(x.dtype)), (self.b * self.scale).to(x.dtype))


@dataclass
class Lora:
    """An adapter in memory: by module path, its A and B, and the scale alpha / r."""

    parts: dict[str, tuple[torch.Tensor, torch.Tensor]]
    scale: float
    rank: int
    alpha: float

    def parameters(self) -> list[torch.Tensor]:
        return [tensor for pair in self.parts.values() for tensor in pair]


def fresh(weights: Weights, recipe: Recipe) -> Lora:
    """A new adapter on every linear layer: A uniform by fan-in (as in the paper's code), B zero, so that it starts as
    the base model exactly."""
    dice = torch.Generator().manual_seed(recipe.seed)
    parts = {}
    for path, layer in _layers(weights).items():
        bound = 1 / math.sqrt(layer.in_size)
        a = (torch.rand((recipe.rank, layer.in_size), generator=dice) * 2 - 1) * bound
        b = torch.zeros((layer.out_size, recipe.rank))
        parts[path] = (
            a.to(weights.device).requires_grad_(True),
            b.to(weights.device).requires_grad_(True),
        )
    return Lora(parts, recipe.alpha / recipe.rank, recipe.rank, recipe.alpha)


@contextmanager
def worn(weights: Weights, lora: Lora | None) -> Iterator[None]:
    """The adapter on, for the length of the block."""
    if lora is None:
        yield
        return
    layers = _layers(weights)
    for path, (a, b) in lora.parts.items():
        layers[path].a, layers[path].b, layers[path].scale = a, b, lora.scale
    try:
        yield
    finally:
        for path in lora.parts:
            layers[path].a = layers[path].b = None


def pack(weights: Weights, lora: Lora, model_id: str) -> Adapter:
    """The adapter in PEFT's layout, its tensors in fp32."""
    tensors = {}
    for path, (a, b) in lora.parts.items():
        tensors[f"base_model.model.{path}.lora_A.weight"] = a.detach().float().cpu().contiguous()
        tensors[f"base_model.model.{path}.lora_B.weight"] = b.detach().float().cpu().contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if weights.causal else "FEATURE_EXTRACTION",
        "base_model_name_or_path": model_id,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(layer.transposed for layer in _layers(weights).values()),
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
        "target_modules": sorted(lora.parts),
    }
    files = {WEIGHTS_FILE: Blob.of(save(tensors)), CONFIG_FILE: Blob.of(json.dumps(config, indent=1).encode())}
    return Adapter(weights.identity, files)


def unpack(weights: Weights, adapter: Adapter, dtype: torch.dtype | None = None) -> Lora:
    """An adapter from PEFT's layout, in the base's dtype unless another is named. Raises ModelError when it is no LoRA,
    belongs to other weights, doesn't fit, or holds NaN."""
    if adapter.base and adapter.base != weights.identity:
        raise ModelError(
            f"The adapter belongs to the weights {adapter.base}, and this model's are {weights.identity}. "
            "An adapter only means something on the weights it was tuned on: open that model."
        )
    try:
        config: dict[str, Any] = json.loads(adapter.files[CONFIG_FILE].read())
        tensors = load(adapter.files[WEIGHTS_FILE].read())
        rank, alpha = int(config.get("r", 0)), float(config.get("lora_alpha", 0))
    except (KeyError, ValueError, AttributeError, TypeError, SafetensorError, DataError) as error:
        raise ModelError(f"The adapter can't be read ({error}); it needs {CONFIG_FILE} and {WEIGHTS_FILE}.") from error
    odd = [key for key in ("use_dora", "alpha_pattern", "rank_pattern", "modules_to_save") if config.get(key)]
    if config.get("peft_type") != "LORA" or odd or rank < 1:
        told = f"{config.get('peft_type')!r} of rank {rank}" + (f" with {', '.join(odd)}" if odd else "")
        raise ModelError(f"This version reads plain LoRA adapters; this one is {told}.")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Lora(_parts(weights, tensors, rank, dtype or weights.dtype), scale, rank, alpha)


def _parts(
    weights: Weights, tensors: dict[str, torch.Tensor], rank: int, dtype: torch.dtype
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    layers = _layers(weights)
    parts = {}
    for path, layer in layers.items():
        a = tensors.pop(f"base_model.model.{path}.lora_A.weight", None)
        b = tensors.pop(f"base_model.model.{path}.lora_B.weight", None)
        if a is None or b is None:
            continue
        if a.shape != (rank, layer.in_size) or b.shape != (layer.out_size, rank):
            raise ModelError(
                f"The adapter doesn't fit this model: {path} is {layer.out_size} x {layer.in_size} here, and the "
                f"adapter of rank {rank} brings B {tuple(b.shape)} and A {tuple(a.shape)}. Open the model "
                "that it was tuned on."
            )
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            raise ModelError(f"The adapter holds NaN or infinite weights, first in {path!r}. Fetch or tune it again.")
        parts[path] = (a.to(weights.device, dtype), b.to(weights.device, dtype))
    if tensors or not parts:
        raise ModelError(f"The adapter names weights that this model has not: {next(iter(tensors), 'none fits')!r}.")
    return parts


def _layers(weights: Weights) -> dict[str, LoraLinear]:
    """The wrapped linear layers by path in the whole module; wrapped at first call."""
    net = weights.net
    found = {path: module for path, module in net.named_modules() if isinstance(module, LoraLinear)}
    if found:
        return found
    skip = {id(net.get_output_embeddings())} if weights.causal else set()
    for path, module in list(net.named_modules()):
        inside_pooler = not weights.causal and path.split(".")[0] == "pooler"
        if isinstance(module, (torch.nn.Linear, Conv1D)) and id(module) not in skip and not inside_pooler:
            parent = net.get_submodule(path.rpartition(".")[0])
            found[path] = LoraLinear(module)
            setattr(parent, path.rpartition(".")[2], found[path])
    return found
