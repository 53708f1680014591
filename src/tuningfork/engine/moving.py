"""Which weights move, whatever the way: one door to the files of `adapters/`.

An adapter on disk may hold several things at once (a LoRA with layers saved whole), so one in memory is a list of them,
worn in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from ..errors import MethodError, ModelError
from ..model import Adapter, Recipe
from ..store.blobs import Blob
from .adapters import bottleneck, ia3, layout, lora, prefix, replaced, soft
from .adapters.layout import Config, Tensors
from .weights import Weights


class Moving(Protocol):
    """One thing that moves, in memory."""

    def parameters(self) -> list[torch.Tensor]:
        """What an optimizer moves: fp32 while it is trained."""
        ...

    def stepped(self) -> None:
        """What follows these, after each step."""
        ...

    def worn(self, weights: Weights) -> AbstractContextManager[None]:
        """On, for the length of the block."""
        ...

    def packed(self, weights: Weights) -> tuple[Tensors, Config]:
        """Its tensors and its config on disk."""
        ...


@dataclass(frozen=True)
class Worn:
    """Adapters in memory, worn one over the other."""

    parts: tuple[Moving, ...] = ()

    @property
    def lead(self) -> list[int]:
        """The ids of the virtual tokens before every prompt."""
        return [token for part in self.parts for token in getattr(part, "lead", ())]

    @contextmanager
    def on(self, weights: Weights) -> Iterator[None]:
        """All of them on, for the length of the block."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(part.worn(weights))
            yield

    def over(self, other: Worn) -> Worn:
        """These over another's. Raises ModelError where both put virtual tokens before a prompt."""
        if self.lead and other.lead:
            raise ModelError("Two soft prompts can't stand before one prompt. Go on from the first instead.")
        return Worn((*other.parts, *self.parts))


def lowest(moving: Moving) -> int:
    """The first layer that moves; 0 where any may."""
    return moving.lowest if isinstance(moving, replaced.Replaced) else 0


def fresh(weights: Weights, recipe: Recipe, ids: Sequence[int] = ()) -> Moving:
    """What this recipe moves, as it is before the first step; soft prompts start from the tokens `ids`. Raises
    MethodError where the model has nothing of the kind."""
    match recipe.kind:
        case "lora":
            return lora.fresh(weights, recipe)
        case "ia3":
            return ia3.fresh(weights, recipe)
        case "bottleneck":
            return bottleneck.fresh(weights, recipe)
        case "full" | "last_layers" | "bias":
            return replaced.fresh(weights, recipe)
        case "prompt_tuning" | "p_tuning":
            return soft.fresh(weights, recipe, ids)
        case "prefix_tuning":
            return prefix.fresh(weights, recipe, ids)
        case "start":
            raise MethodError("There is no adapter to go on from.")


def pack(
    weights: Weights,
    moving: Moving,
    model_id: str,
    under: Adapter | None = None,
    rate: float | None = None,
    head: Blob | None = None,
) -> Adapter:
    """What moves as files in PEFT's layout, over the adapter that it was trained on; with the rate that it was trained
    at and the head that was trained with it, for a training that goes on."""
    tensors, config = moving.packed(weights)
    made = layout.write(weights, model_id, tensors, config if rate is None else {**config, layout.RATE: rate})
    return Adapter(made.base, {**made.files, **({layout.HEAD_FILE: head} if head else {})}, under)


def unpack(weights: Weights, adapter: Adapter, dtype: torch.dtype | None = None) -> Worn:
    """An adapter, and those under it, from PEFT's layout, in the base's dtype unless another is named. Raises
    ModelError when it can't be read, belongs to other weights, doesn't fit, or holds NaN."""
    own = Worn(_unpacked(weights, adapter, dtype or weights.dtype))
    return own.over(unpack(weights, adapter.under, dtype)) if adapter.under else own


def _unpacked(weights: Weights, adapter: Adapter, dtype: torch.dtype) -> tuple[Moving, ...]:
    config, tensors = layout.read(weights, adapter)
    parts = tuple(part for part in _parts(weights, config, tensors, dtype) if part.parameters())
    if tensors or not parts:
        raise ModelError(f"The adapter names weights that this model has not: {next(iter(tensors), 'none fits')!r}.")
    return parts


def _parts(weights: Weights, config: Config, tensors: Tensors, dtype: torch.dtype) -> list[Moving]:
    readers: dict[str, Callable[[Weights, Config, Tensors, torch.dtype], Moving]] = {
        "IA3": ia3.unpacked,
        bottleneck.PEFT_TYPE: bottleneck.unpacked,
        "PROMPT_TUNING": soft.unpacked,
        "P_TUNING": soft.unpacked,
        "PREFIX_TUNING": prefix.unpacked,
    }
    match config.get("peft_type"):
        case "LORA":
            own = lora.unpacked(weights, config, tensors, dtype)
            saved = "last_layers" if config.get("modules_to_save") else "bias"
            whole = replaced.unpacked(weights, saved, tensors, dtype)
            return [whole] if whole.copies and not own.moves else [own, whole]
        case replaced.PEFT_TYPE:
            return [replaced.unpacked(weights, "full", tensors, dtype)]
        case str(kind) if kind in readers:
            return [readers[kind](weights, config, tensors, dtype)]
        case other:
            known = ", ".join(["LORA", replaced.PEFT_TYPE, *readers])
            raise ModelError(f"This version reads adapters of the types {known}; this one is {other!r}.")


def onward(weights: Weights, start: Adapter, recipe: Recipe) -> Moving | None:
    """The topmost adapter of `start`, ready to be trained on, where this recipe would make one of the same kind and
    sizes, or says to go on with whatever there is; else None: what it makes lies over it. Raises ModelError as `unpack`
    does, MethodError where there is no going on."""
    parts = _unpacked(weights, start, torch.float32)
    if recipe.kind == "start" and len(parts) > 1:
        raise MethodError("The adapter moves several things at once, and only one can be gone on with.")
    if len(parts) > 1 or not (recipe.kind == "start" or _alike(parts[0], recipe)):
        return None
    return _ready(weights, parts[0], recipe)


def _alike(moving: Moving, recipe: Recipe) -> bool:
    """Whether a recipe would make an adapter of this kind and these sizes."""
    match moving:
        case lora.Lora():
            same = (moving.rank, moving.alpha, moving.rslora, moving.dora)
            return recipe.kind == "lora" and same == (recipe.rank, recipe.alpha, recipe.rslora, recipe.dora)
        case ia3.Ia3():
            return recipe.kind == "ia3"
        case bottleneck.Bottleneck():
            return recipe.kind == "bottleneck" and moving.size == recipe.rank
        case replaced.Replaced():
            return recipe.kind == moving.kind
        case soft.Soft():
            return recipe.kind in ("prompt_tuning", "p_tuning") and len(moving.lead) == recipe.tokens
        case prefix.Prefix():
            return recipe.kind == "prefix_tuning" and len(moving.lead) == recipe.tokens
    return False


def _ready(weights: Weights, moving: Moving, recipe: Recipe) -> Moving:
    if isinstance(moving, replaced.Replaced):
        moving.learn(weights.dtype)
    for tensor in moving.parameters():
        tensor.requires_grad_(True)
    if isinstance(moving, soft.Soft) and recipe.kind == "p_tuning":
        return soft.through_network(moving.start, recipe)
    return moving
