"""Prefix tuning (Li & Liang 2021): keys and values of virtual tokens, learned for every layer.

The virtual tokens stand before every prompt with ids below zero, like those of `soft`; in each layer's attention their
keys and values are put in the place of what the model computed for them, after rotation, as PEFT has it. So it needs
the attention that lets prompts share a beginning. On disk it is PEFT's layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ...errors import MethodError, ModelError
from ...model import Recipe
from .. import rows as rows_
from ..attention import KeysValues
from ..weights import Weights
from .layout import Config, Tensors
from .soft import NAME, SoftEmbedding, sizes, start_ids

NEEDS = "Prefix tuning needs a model whose attention lets prompts share a beginning; this one reads each prompt whole."


@dataclass
class Prefix:
    """`values` (layers, 2, Hk, n, D): keys, then values."""

    values: torch.Tensor

    @property
    def lead(self) -> list[int]:
        """The ids before every prompt."""
        return list(range(-self.values.shape[3], 0))

    def parameters(self) -> list[torch.Tensor]:
        return [self.values]

    def stepped(self) -> None:
        """Nothing follows."""

    @contextmanager
    def worn(self, weights: Weights) -> Iterator[None]:
        """On, for the length of the block."""
        table = weights.net.get_input_embeddings()
        blank = torch.zeros((self.values.shape[3], table.weight.shape[1]), device=weights.device)
        weights.net.set_input_embeddings(SoftEmbedding(table, blank))
        weights.prefix = self.values
        try:
            yield
        finally:
            weights.prefix = None
            weights.net.set_input_embeddings(table)

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """PEFT's one tensor (n, layers * 2 * Hk * D), in fp32, and config."""
        layers, _, heads, count, size = self.values.shape
        flat = self.values.detach().float().permute(3, 0, 1, 2, 4).reshape(count, layers * 2 * heads * size)
        config = {**sizes(weights, flat), "token_dim": heads * size, "num_attention_heads": heads}
        return {NAME: flat}, {"peft_type": "PREFIX_TUNING", "prefix_projection": False, **config}


def fresh(weights: Weights, recipe: Recipe, ids: Sequence[int]) -> Prefix:
    """What the model computes for `ids`, repeated or cut to the number of virtual tokens; without any, for random
    tokens. Raises MethodError where the model can't take it."""
    if not weights.shares or not weights.causal:
        raise MethodError(NEEDS)
    dice = torch.Generator().manual_seed(recipe.seed)
    chosen = start_ids(ids, recipe.tokens, len(weights.net.get_input_embeddings().weight), dice)
    kept: dict[int, KeysValues] = {}
    with torch.inference_mode():
        rows_.forward(weights, [rows_.build(0, chosen.tolist(), ())], kept=kept)
    values = torch.stack([torch.stack(kept[layer]) for layer in sorted(kept)])
    return Prefix(values.float().clone().requires_grad_(True))


def unpacked(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> Prefix:
    """The prefix of PEFT's files in this dtype. Raises ModelError when it does not fit."""
    if not weights.shares or not weights.causal:
        raise ModelError(NEEDS)
    own = weights.net.config.get_text_config()
    heads = getattr(own, "num_key_value_heads", None) or own.num_attention_heads
    size = getattr(own, "head_dim", None) or own.hidden_size // own.num_attention_heads
    flat = tensors.pop(NAME, None)
    width = own.num_hidden_layers * 2 * heads * size
    if flat is None or flat.dim() != 2 or flat.shape[1] != width:
        told = None if flat is None else tuple(flat.shape)
        raise ModelError(
            f"The adapter doesn't fit this model: its prefix is {told}, and a virtual token has {width} numbers here. "
            "Open the model that it was tuned on."
        )
    values = flat.view(len(flat), own.num_hidden_layers, 2, heads, size).permute(1, 2, 3, 0, 4)
    return Prefix(values.contiguous().to(weights.device, dtype))
