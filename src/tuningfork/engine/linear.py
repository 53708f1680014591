"""The linear layers of a model, each with room for what adapters do to it.

Layers are wrapped once; an adapter is put on for the length of a call and taken off again, so any number of adapters
share one copy of the weights. One that is put on while another is worn lies over it.

In bf16 on a CPU a product has to bring its weights into another order first, each time anew: half of the time of one
row, a third of that of 64. So layers lie packed in that order, instead of plainly, and say the same to the bit. Who
needs them as they are (training, weights that stand in for them) has them unpacked for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from .memory import page_out
from .weights import Weights

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
        self._packed: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """The frozen weights, for models (Mamba) that take them without calling the layer, past any adapter."""
        weight: torch.Tensor = self.base.weight if self._packed is None else self._packed.to_dense()
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
            return self._plain(x)
        return self.changes[count - 1](x, lambda inner: self._under(count - 1, inner))

    def pack(self) -> None:
        """Lay the weights down packed. What stands in their place has a shape and nothing in it: reading it fails."""
        if isinstance(self.base, torch.nn.Linear):
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.base.weight.data)
            page_out(self.base.weight)
            self._set(torch.empty_like(self.base.weight, device="meta"))

    def unpack(self) -> None:
        """Lay the weights down as they were."""
        if self._packed is not None:
            self._set(self._packed.to_dense())
            self._packed = None

    def _set(self, weight: torch.Tensor) -> None:
        self.base.weight = torch.nn.Parameter(weight, requires_grad=False)

    @property
    def is_packed(self) -> bool:
        return self._packed is not None

    def _plain(self, x: torch.Tensor) -> torch.Tensor:
        """Without any change."""
        if self._packed is None:
            y: torch.Tensor = self.base(x)
            return y
        if torch.is_grad_enabled():
            return torch.nn.functional.linear(x, self.weight, self.bias)
        y = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.base.bias, "none", [], "")
        return y


def packed(weights: Weights) -> None:
    """Lay the layers down packed, where this torch can and it is the same."""
    if weights.device.type != "cpu" or weights.dtype != torch.bfloat16:
        return
    layers = list(layers_of(weights).values())
    if layers and _can_pack(layers[0]):
        for layer in layers[1:]:
            layer.pack()
        _pack_output(weights)


def _pack_output(weights: Weights) -> None:
    """The output layer's, besides: as a rule its weights are the table of embeddings too, which is read plainly."""
    layer = None if weights.encoder else weights.net.get_output_embeddings()
    if isinstance(layer, torch.nn.Linear):
        weight = layer.weight.data
        weights.output = (torch.ops.mkldnn._reorder_linear_weight(weight), weight.data_ptr())


@contextmanager
def unpacked(weights: Weights) -> Iterator[None]:
    """With all weights as they are, for the length of the block; packing them again takes a fraction of a second."""
    layers = [module for module in weights.net.modules() if isinstance(module, Linear) and module.is_packed]
    for layer in layers:
        layer.unpack()
    try:
        yield
    finally:
        for layer in layers:
            layer.pack()


@contextmanager
def put_aside(weights: Weights, names: Collection[str]) -> Iterator[None]:
    """With room for other weights in the layers of these names, whose packed ones are put aside for the block."""
    held = {}
    for path, layer in layers_of(weights).items():
        if layer.is_packed and f"{path}.weight" in names:
            held[layer] = layer._packed
            layer._packed = None
            layer._set(torch.empty(0, dtype=weights.dtype))
    try:
        yield
    finally:
        for layer, packed in held.items():
            layer._packed = packed
            layer._set(torch.empty((layer.out_size, layer.in_size), dtype=weights.dtype, device="meta"))


def _can_pack(layer: Linear) -> bool:
    """Whether this torch packs, tried on a layer, which is packed then: these calls are made for its own compiler, and
    may change."""
    dice = torch.Generator().manual_seed(0)
    x = torch.randn((2, 3, layer.in_size), generator=dice).to(layer.weight.dtype)
    plain, weight = layer.base, layer.weight
    try:
        with torch.no_grad():
            before = plain(x)
            layer.pack()
            same = layer.is_packed and torch.equal(layer(x), before) and torch.equal(layer.weight, weight)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        same = False
    if not same:
        layer._packed = None
        layer._set(weight)
    return same


def layers_of(weights: Weights) -> dict[str, Linear]:
    """The wrapped linear layers by path in the whole module, the output layer left alone; wrapped at first call."""
    net = weights.net
    skip = set() if weights.encoder else {id(net.get_output_embeddings())}
    found = {
        path: module for path, module in net.named_modules() if isinstance(module, Linear) and id(module) not in skip
    }
    if found:
        return found
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
