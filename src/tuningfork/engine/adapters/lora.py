"""Low-rank adaptation (Hu et al. 2021): y = W x + (alpha / r) B A x, W frozen, A (r, in) and B (out, r) learned.

With `rslora` the scale is alpha / sqrt(r), which keeps large ranks learning (Kalajdzievski 2023). With `dora` the size
of each row of W + (alpha / r) B A is learned apart from its direction (Liu et al. 2024): a magnitude m (out,), and the
row's norm, which no gradient passes through, as the paper advises.

A and B are kept in fp32 while they learn and multiply in the base's dtype. On disk it is PEFT's layout, key for key.
Embeddings and the output layer are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from ...errors import ModelError
from ...model import Recipe
from ..linear import Change, Linear, changed, layers_of
from ..weights import Weights
from .layout import PREFIX, Config, Tensors, taken

A, B, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"


@dataclass
class Part:
    """What one layer has: A, B and, with DoRA, the magnitude of each of its rows."""

    a: torch.Tensor
    b: torch.Tensor
    magnitude: torch.Tensor | None = None

    def tensors(self) -> list[torch.Tensor]:
        return [self.a, self.b] if self.magnitude is None else [self.a, self.b, self.magnitude]


@dataclass
class Lora:
    """An adapter in memory, its parts by module path."""

    parts: dict[str, Part]
    rank: int
    alpha: float
    rslora: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def parameters(self) -> list[torch.Tensor]:
        return [tensor for part in self.parts.values() for tensor in part.tensors()]

    @property
    def dora(self) -> bool:
        return any(part.magnitude is not None for part in self.parts.values())

    @property
    def moves(self) -> bool:
        """Whether it changes anything: where every B is zero it does not."""
        return any(bool(part.b.any()) for part in self.parts.values())

    def stepped(self) -> None:
        """Nothing follows A and B: they multiply as they are."""

    def worn(self, weights: Weights) -> AbstractContextManager[None]:
        """On, for the length of the block."""
        layers = layers_of(weights)
        return changed(weights, {path: self._change(layers[path], part) for path, part in self.parts.items()})

    def _change(self, layer: Linear, part: Part) -> Change:
        if part.magnitude is None:
            return partial(_low_rank, part, self.scale)
        return partial(_directed, layer, part, self.scale)

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """PEFT's tensors, in fp32, and config."""
        tensors = {}
        for path, part in self.parts.items():
            for name, tensor in zip((A, B, MAGNITUDE), part.tensors(), strict=False):
                tensors[f"{PREFIX}{path}.{name}"] = tensor.detach().float()
        layers = layers_of(weights)
        return tensors, config_of(
            list(self.parts),
            self.rank,
            self.alpha,
            fan_in_fan_out=any(layers[path].transposed for path in self.parts),
            use_rslora=self.rslora,
            use_dora=self.dora,
        )


def config_of(paths: list[str], rank: int, alpha: float, **more: object) -> Config:
    """PEFT's config of a LoRA on these layers."""
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(paths),
        **more,
    }


def _low_rank(part: Part, scale: float, x: torch.Tensor, layer: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    found: torch.Tensor = _Added.apply(layer(x), x, part.a, part.b, scale)  # type: ignore[no-untyped-call]
    return found


class _Added(torch.autograd.Function):
    """y + scale x A^T B^T, in y's place. By hand, because what autograd would write of it is a dozen small steps a
    layer, casts among them: products run in the dtype of x, gradients of A and B come out in theirs.

    Shapes: x (..., in), y (..., out), A (r, in), B (out, r)."""

    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float
    ) -> torch.Tensor:
        a16, b16 = a.to(x.dtype), b.to(x.dtype)
        flat = x.reshape(-1, x.shape[-1])
        inner = flat @ a16.T
        ctx.save_for_backward(flat, inner, a16, b16)
        ctx.scale, ctx.dtypes = scale, (a.dtype, b.dtype)
        ctx.mark_dirty(y)
        y.view(-1, y.shape[-1]).addmm_(inner, b16.T, alpha=scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        x, inner, a, b = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.shape[-1])
        of_inner = (flat @ b).mul_(ctx.scale)
        of_x = (of_inner @ a).view(*gradient.shape[:-1], x.shape[-1]) if ctx.needs_input_grad[1] else None
        of_a = (of_inner.T @ x).to(ctx.dtypes[0]) if ctx.needs_input_grad[2] else None
        of_b = (flat.T @ inner).to(ctx.dtypes[1]).mul_(ctx.scale) if ctx.needs_input_grad[3] else None
        return gradient, of_x, of_a, of_b, None


def _directed(
    frozen: Linear, part: Part, scale: float, x: torch.Tensor, layer: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    assert part.magnitude is not None
    with torch.no_grad():
        norm = _row_norms(frozen, part, scale)
    size = (part.magnitude / norm).to(x.dtype)
    y = layer(x)
    straight = y if frozen.bias is None else y - frozen.bias
    more = F.linear(F.linear(x, part.a.to(x.dtype)), (part.b * scale).to(x.dtype))
    directed = size * (straight + more)
    return directed if frozen.bias is None else directed + frozen.bias


def _row_norms(frozen: Linear, part: Part, scale: float) -> torch.Tensor:
    """(out,) norms of the rows of W + scale B A, in fp32."""
    weight = frozen.weight.T if frozen.transposed else frozen.weight
    norms: torch.Tensor = torch.linalg.vector_norm(weight.float() + scale * (part.b.float() @ part.a.float()), dim=1)
    return norms


def fresh(weights: Weights, recipe: Recipe) -> Lora:
    """A new adapter on every linear layer: A uniform by fan-in (as in the paper's code), B zero, so that it starts as
    the base model exactly."""
    dice = torch.Generator().manual_seed(recipe.seed)
    parts = {}
    for path, layer in layers_of(weights).items():
        bound = 1 / math.sqrt(layer.in_size)
        a = ((torch.rand((recipe.rank, layer.in_size), generator=dice) * 2 - 1) * bound).to(weights.device)
        parts[path] = Part(a, torch.zeros((layer.out_size, recipe.rank), device=weights.device))
        if recipe.dora:
            parts[path].magnitude = _row_norms(layer, parts[path], 1.0)
    lora = Lora(parts, recipe.rank, recipe.alpha, recipe.rslora)
    for tensor in lora.parameters():
        tensor.requires_grad_(True)
    return lora


def unpacked(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> Lora:
    """The LoRA of PEFT's files in this dtype; its tensors are taken out of `tensors`, others are left there. Raises
    ModelError when it does not fit."""
    try:
        rank, alpha = int(config.get("r", 0)), float(config.get("lora_alpha", 0))
    except (TypeError, ValueError) as error:
        raise ModelError(f"The adapter can't be read ({error}): r and lora_alpha must be numbers.") from error
    odd = [key for key in ("alpha_pattern", "rank_pattern") if config.get(key)]
    if rank < 1 or odd:
        told = f"of rank {rank}" + (f" with {', '.join(odd)}" if odd else "")
        raise ModelError(f"This version reads LoRA adapters of one rank; this one is {told}.")
    parts = {}
    for path, layer in layers_of(weights).items():
        if f"{PREFIX}{path}.{A}" not in tensors and f"{PREFIX}{path}.{B}" not in tensors:
            continue
        a = taken(tensors, f"{path}.{A}", (rank, layer.in_size))
        b = taken(tensors, f"{path}.{B}", (layer.out_size, rank))
        magnitude = None
        if config.get("use_dora"):
            magnitude = taken(tensors, f"{path}.{MAGNITUDE}", (layer.out_size,)).to(weights.device, torch.float32)
        parts[path] = Part(a.to(weights.device, dtype), b.to(weights.device, dtype), magnitude)
    return Lora(parts, rank, alpha, bool(config.get("use_rslora")))
