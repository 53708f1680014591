"""Soft prompts: virtual tokens before every prompt, whose vectors are learned (prompt tuning, Lester et al. 2021; with
a small network between, p-tuning, Liu et al. 2021).

A virtual token has an id below zero. It is put before the ids of every prompt, so it is shared, scored, written after
and trained through like any other beginning, and only the table of embeddings knows that it is none of its own. On disk
it is PEFT's layout; of p-tuning the vectors that came of its network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ...errors import ModelError
from ...model import Recipe
from ..weights import Weights
from .layout import Config, Tensors

NAME = "prompt_embeddings"
"""PEFT's key, which has no prefix."""
HIDDEN = 128
"""Units of p-tuning's network."""


class SoftEmbedding(torch.nn.Module):
    """A model's table of embeddings, and vectors (n, d) for the ids -n to -1."""

    def __init__(self, table: torch.nn.Module, vectors: torch.Tensor) -> None:
        super().__init__()
        self.table = table
        self.vectors = vectors

    @property
    def weight(self) -> torch.Tensor:
        """The table's own."""
        weight = self.table.weight
        assert isinstance(weight, torch.Tensor)
        return weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        own = ids < 0
        found: torch.Tensor = self.table(ids.clamp(min=0))
        if not own.any():
            return found
        found = found.clone()
        found[own] = self.vectors.to(found.dtype)[ids[own] + len(self.vectors)]
        return found


@dataclass
class Soft:
    """Virtual tokens: `start` (n, d). With a `network` they are start + network(start), else `start` itself learns."""

    start: torch.Tensor
    network: torch.nn.Sequential | None = None

    @property
    def lead(self) -> list[int]:
        """The ids before every prompt."""
        return list(range(-len(self.start), 0))

    def parameters(self) -> list[torch.Tensor]:
        return [self.start] if self.network is None else [self.start, *self.network.parameters()]

    def stepped(self) -> None:
        """Nothing follows."""

    def vectors(self) -> torch.Tensor:
        """(n, d), fp32."""
        if self.network is None:
            return self.start
        added: torch.Tensor = self.network(torch.nn.functional.normalize(self.start, dim=-1))
        return self.start + added

    @contextmanager
    def worn(self, weights: Weights) -> Iterator[None]:
        """On, for the length of the block."""
        table = weights.net.get_input_embeddings()
        weights.net.set_input_embeddings(_Live(table, self))
        try:
            yield
        finally:
            weights.net.set_input_embeddings(table)

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """PEFT's one tensor, in fp32, and config."""
        with torch.no_grad():
            vectors = self.vectors().detach().float().clone()
        return {NAME: vectors}, {
            "peft_type": "PROMPT_TUNING" if self.network is None else "P_TUNING",
            **sizes(weights, vectors),
        }


class _Live(SoftEmbedding):
    """The vectors as they are at each pass, so that what they are made from gets its gradient."""

    def __init__(self, table: torch.nn.Module, soft: Soft) -> None:
        super().__init__(table, soft.start)
        self._made = soft.vectors  # a bound method: what it belongs to is no part of the model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.vectors = self._made()
        return super().forward(ids)


def sizes(weights: Weights, vectors: torch.Tensor) -> Config:
    """What PEFT's config of a soft prompt says about the model."""
    config = weights.net.config.get_text_config()
    return {
        "num_virtual_tokens": len(vectors),
        "token_dim": config.hidden_size,
        "num_transformer_submodules": 1,
        "num_attention_heads": config.num_attention_heads,
        "num_layers": config.num_hidden_layers,
    }


def fresh(weights: Weights, recipe: Recipe, ids: Sequence[int]) -> Soft:
    """Virtual tokens that start as the embeddings of `ids`, repeated or cut to their number; without any, as those of
    random tokens."""
    table = weights.net.get_input_embeddings().weight
    dice = torch.Generator().manual_seed(recipe.seed)
    chosen = start_ids(ids, recipe.tokens, len(table), dice)
    start = table[chosen.to(table.device)].detach().float().clone().requires_grad_(True)
    return through_network(start, recipe) if recipe.kind == "p_tuning" else Soft(start)


def through_network(start: torch.Tensor, recipe: Recipe) -> Soft:
    """Virtual tokens that a new network gives, which adds nothing yet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        first, last = torch.nn.Linear(start.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, start.shape[1])
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return Soft(start, torch.nn.Sequential(first, torch.nn.ReLU(), last).to(start.device))


def start_ids(ids: Sequence[int], count: int, vocabulary: int, dice: torch.Generator) -> torch.Tensor:
    """(count,) ids to start from: those given, over and over, or random ones."""
    if not ids:
        return torch.randint(vocabulary, (count,), generator=dice)
    return torch.tensor([ids[i % len(ids)] for i in range(count)])


def unpacked(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> Soft:
    """The virtual tokens of PEFT's files, in fp32. Raises ModelError when they do not fit."""
    if config.get("num_transformer_submodules", 1) not in (1, None):
        raise ModelError("The adapter puts virtual tokens before the decoder too, which this version can't.")
    vectors = tensors.pop(NAME, None)
    width = weights.net.get_input_embeddings().weight.shape[1]
    if vectors is None or vectors.dim() != 2 or vectors.shape[1] != width:
        told = None if vectors is None else tuple(vectors.shape)
        raise ModelError(
            f"The adapter doesn't fit this model: its virtual tokens are {told} here, and the model's tokens have "
            f"{width} numbers each. Open the model that it was tuned on."
        )
    return Soft(vectors.to(weights.device, torch.float32))
