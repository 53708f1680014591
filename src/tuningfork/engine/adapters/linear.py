"""The linear layers of a model, each with room for what adapters do to it.

Layers are wrapped once; an adapter is put on for the length of a call and taken off again, so any number of adapters
share one copy of the weights. One that is put on while another is worn lies over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from ..weights import Weights

Change = Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""(x, layer) -> y: what the layer gives with the adapter on, where `layer(x)` is what it gives without."""


class Linear(torch.nn.Module):
    """A frozen linear layer, and the changes that are worn now, the innermost first."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base = base
        self.transposed = isinstance(base, Conv1D)
        shape = tuple(base.weight.shape)
        self.in_size, self.out_size = (shape[0], shape[1]) if self.transposed else (shape[1], shape[0])
        self.changes: list[Change] = []

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
        return self._under(len(self.changes), x)

    def _under(self, count: int, x: torch.Tensor) -> torch.Tensor:
        """With the first `count` changes only."""
        if not count:
            y: torch.Tensor = self.base(x)
            return y
        return self.changes[count - 1](x, lambda inner: self._under(count - 1, inner))


def layers_of(weights: Weights) -> dict[str, Linear]:
    """The wrapped linear layers by path in the whole module, the output layer left alone; wrapped at first call."""
    net = weights.net
    found = {path: module for path, module in net.named_modules() if isinstance(module, Linear)}
    if found:
        return found
    skip = set() if weights.encoder else {id(net.get_output_embeddings())}
    for path, module in list(net.named_modules()):
        inside_pooler = weights.encoder and path.split(".")[0] == "pooler"
        if isinstance(module, (torch.nn.Linear, Conv1D)) and id(module) not in skip and not inside_pooler:
            parent = net.get_submodule(path.rpartition(".")[0])
            found[path] = Linear(module)
            setattr(parent, path.rpartition(".")[2], found[path])
    return found


@contextmanager
def changed(weights: Weights, changes: Mapping[str, Change]) -> Iterator[None]:
    """The layers at these paths with a change on, for the length of the block."""
    layers = layers_of(weights)
    for path, change in changes.items():
        layers[path].changes.append(change)
    try:
        yield
    finally:
        for path in changes:
            layers[path].changes.pop()


def in_attention(path: str) -> bool:
    """Whether a layer belongs to an attention, by the name of what holds it."""
    return any("att" in part.lower() for part in path.split(".")[:-1])


def projects_back(path: str, layer: Linear, width: int) -> bool:
    """Whether a layer writes a feed-forward block's result back to the residual stream of this `width`."""
    return layer.out_size == width < layer.in_size and not in_attention(path)
