"""The base's own weights, moved: all of them (`full`), those of the top layers (`last_layers`), or the biases alone
(`bias`, BitFit: Ben Zaken et al. 2022).

While they are trained each has a master in fp32 that the optimizer moves, and a copy in the base's dtype that the model
computes with: a bf16 weight would stand still under small steps. The base keeps its own; the copies stand in their
place for the length of a call.

On disk `last_layers` and `bias` are what PEFT calls `modules_to_save` and `bias: all` of a LoRA, whose own part is one
matrix of rank one that is zero, since PEFT wants one. `full` keeps PEFT's names of files and keys, and says FULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from ...errors import MethodError, ModelError
from ...model import Recipe
from .. import linear
from ..linear import layers_of
from ..weights import Weights
from . import lora as lora_
from .layout import PREFIX, Config, Tensors

PEFT_TYPE = "FULL"
WRAPPED = "base_layer."
"""What stands in PEFT's name of a weight that belongs to a layer with a LoRA."""


@dataclass
class Replaced:
    """Weights that stand in for the base's, by the name of the parameter there. `masters` only while they learn."""

    copies: dict[str, torch.Tensor]
    masters: dict[str, torch.Tensor] = field(default_factory=dict)
    kind: str = "full"

    def parameters(self) -> list[torch.Tensor]:
        return list((self.masters or self.copies).values())

    @property
    def lowest(self) -> int:
        """The first layer that any of these weights belongs to; 0 where that can't be told."""
        if self.kind != "last_layers":
            return 0
        places = [next((part for part in name.split(".") if part.isdigit()), None) for name in self.copies]
        return min((int(place) for place in places if place is not None), default=0)

    def learn(self, dtype: torch.dtype) -> None:
        """Get masters, which are fp32, and copies in the base's dtype."""
        self.masters = {name: copy.float().clone() for name, copy in self.copies.items()}
        self.copies = {name: copy.to(dtype, copy=True) for name, copy in self.copies.items()}

    def stepped(self) -> None:
        """The copies follow their masters."""
        with torch.no_grad():
            for name, master in self.masters.items():
                self.copies[name].copy_(master)

    @contextmanager
    def worn(self, weights: Weights) -> Iterator[None]:
        """On, for the length of the block. A gradient goes to the master as soon as it is there."""
        with linear.put_aside(weights, self.copies):
            yield from self._swapped(weights)

    def _swapped(self, weights: Weights) -> Iterator[None]:
        parameters = _parameters(weights)
        before = {name: parameters[name].data for name in self.copies}
        hooks = []
        for name, copy in self.copies.items():
            parameter = parameters[name]
            parameter.data = copy
            if name in self.masters:
                parameter.requires_grad_(True)
                take = _to(self.masters[name])
                hooks.append(parameter.register_post_accumulate_grad_hook(take))  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for name, data in before.items():
                parameters[name].data = data
                parameters[name].requires_grad_(False)
                parameters[name].grad = None

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """Tensors in the base's dtype, and what says how to read them."""
        tensors = {f"{PREFIX}{name}": tensor.detach() for name, tensor in self.copies.items()}
        if self.kind == "full":
            return tensors, {"peft_type": PEFT_TYPE}
        path, layer = next(iter(layers_of(weights).items()))
        tensors = {name.replace(f"{PREFIX}{path}.", f"{PREFIX}{path}.{WRAPPED}"): t for name, t in tensors.items()}
        tensors[f"{PREFIX}{path}.{lora_.A}"] = torch.zeros((1, layer.in_size))
        tensors[f"{PREFIX}{path}.{lora_.B}"] = torch.zeros((layer.out_size, 1))
        more: Config = {"bias": "all"}
        if self.kind == "last_layers":
            more = {"modules_to_save": sorted({name.rpartition(".")[0] for name in self.copies})}
        return tensors, lora_.config_of([path], 1, 1.0, fan_in_fan_out=layer.transposed, **more)


def _to(master: torch.Tensor) -> Callable[[torch.Tensor], None]:
    def take(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.float()
        master.grad = gradient if master.grad is None else master.grad.add_(gradient)
        parameter.grad = None

    return take


def _parameters(weights: Weights) -> dict[str, torch.nn.Parameter]:
    """The base's weights by the names that they have in its own files, tied ones once."""
    return {_own_name(name): parameter for name, parameter in weights.net.named_parameters()}


def _own_name(name: str) -> str:
    """A parameter's name in the model that transformers made, where neither a layer nor the table is wrapped."""
    return name.replace(".base.weight", ".weight").replace(".base.bias", ".bias").replace(".table.weight", ".weight")


def fresh(weights: Weights, recipe: Recipe) -> Replaced:
    """Masters and copies of the weights that this recipe moves, as they are in the base. Raises MethodError when there
    are none."""
    layers_of(weights)  # names are those of the wrapped model, whatever was opened before
    every = _parameters(weights)
    match recipe.kind:
        case "last_layers":
            names = _top(weights, every, recipe.layers)
        case "bias":
            names = [name for name in every if name.endswith(".bias")]
        case _:
            names = list(every)
    if not names:
        raise MethodError("This model's layers have no bias weights, so there is nothing that `bias` could move.")
    with linear.unpacked(weights):
        every = _parameters(weights)
        moving = Replaced({name: every[name].detach() for name in names}, {}, recipe.kind)
        moving.learn(weights.dtype)
    for master in moving.masters.values():
        master.requires_grad_(True)
    return moving


def _top(weights: Weights, every: Mapping[str, torch.Tensor], count: int) -> list[str]:
    """The names in the last `count` layers, and in the norm after them."""
    path, stack = stack_of(weights)
    first = max(0, len(stack) - count)
    inside = tuple(f"{path}.{i}." for i in range(first, len(stack)))
    holder = path.rpartition(".")[0]
    after = tuple(
        f"{holder}.{name}." if holder else f"{name}."
        for name in ("norm", "final_layernorm", "final_layer_norm", "ln_f", "layer_norm")
    )
    return [name for name in every if name.startswith((*inside, *after))]


def stacks_of(weights: Weights) -> dict[str, torch.nn.ModuleList]:
    """The lists that hold the model's layers, by path: an encoder-decoder has two."""
    return {
        path: module
        for path, module in weights.net.named_modules()
        if isinstance(module, torch.nn.ModuleList) and not any(part.isdigit() for part in path.split("."))
    }


def stack_of(weights: Weights) -> tuple[str, torch.nn.ModuleList]:
    """The path of the list that holds the model's layers (an encoder-decoder's decoder's), and the list."""
    stacks = stacks_of(weights)
    if weights.seq2seq:
        stacks = {path: module for path, module in stacks.items() if "decoder" in path.split(".")}
    if not stacks:
        raise MethodError("This model's layers stand in no list, so its last ones can't be told.")
    path = max(stacks, key=lambda at: len(stacks[at]))
    return path, stacks[path]


def unpacked(weights: Weights, kind: str, tensors: Tensors, dtype: torch.dtype) -> Replaced:
    """The weights of an adapter's files in this dtype; taken out of `tensors`. Raises ModelError where one does not
    fit."""
    layers_of(weights)
    every = _parameters(weights)
    copies = {}
    named = {key: key.removeprefix(PREFIX).replace(WRAPPED, "") for key in tensors}
    for key, name in named.items():
        if name not in every:
            continue
        if tensors[key].shape != every[name].shape:
            here, there = tuple(every[name].shape), tuple(tensors[key].shape)
            raise ModelError(f"The adapter doesn't fit this model: {name} is {here} here and {there} in the adapter.")
        copies[name] = tensors.pop(key).to(weights.device, dtype)
    return Replaced(copies, {}, kind)
