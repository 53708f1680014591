"""THE training loop. Whatever moves, it moves here.

A recipe (data) says what moves and for how long; items are prompts rendered by the code that `predict` uses, turned
into lessons by `lessons/`, which know the losses. Steps are fixed before the first one; the best state on hold is what
comes back. A training that is killed goes on from its checkpoint and ends with the same weights. What the optimizer
moves is fp32, products run in the base's dtype.

The parts stand in `training/`: the steps (`loop`), which state comes back (`best`), what fits into memory (`memory`),
whether it has blown up
(`explosion`), what is on disk (`saving`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import MethodError, TrainingFailed
from ..model import Adapter, CurvePoint, Recipe, Tuned, TuneItem, Usage
from ..store.blobs import Blob
from . import checkpoint as checkpoint_
from . import moving as moving_
from .adapters.layout import HEAD_FILE
from .checkpoint import Checkpoint
from .lessons.causal import CausalReader
from .lessons.encoder import EncoderReader
from .lessons.lesson import Lesson, Reader
from .lessons.pairs import PairsReader
from .lessons.seq2seq import Seq2SeqReader
from .lessons.views import ViewsReader
from .linear import unpacked
from .memory import peak_gib
from .moving import Worn
from .render import Renderer
from .training.loop import loop
from .training.lower import lower
from .training.memory import fitting
from .training.run import Run
from .weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CAME_TO_NOTHING = {"diverged": "The loss became no number", "exploded": "The loss rose far above where it began"}
"""Ways to end without weights, and how they are told."""


def tune(
    weights: Weights,
    renderer: Renderer,
    model_id: str,
    recipe: Recipe,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    start: Adapter | None = None,
    folder: Path | None = None,
) -> Tuned:
    """Train by the recipe, checkpoints in `folder`. A `start` that the recipe would make again is gone on from, any
    other lies under what is trained. A loss that is no number, or that blows up, restarts once at a quarter of the
    rates, within what is left of the recipe's tokens and seconds, then raises TrainingFailed with the curve so far."""
    began, tokens = time.perf_counter(), 0
    used, restarts = recipe, 0
    while True:
        made = _prepared(weights, renderer, used, items, hold, start)
        saved = checkpoint_.of_training(folder, weights, used, (list(items), list(hold)), start) if folder else None
        with unpacked(weights), made.under.on(weights), made.run.moving.worn(weights):
            made.run.reader.begin(made.learn, len(items[0].choices))
            why = loop(made.run, made.learn, made.watch, saved, len(items[0].choices))
        tokens += made.run.tokens
        seconds = time.perf_counter() - began
        notes = _notes(made, used, restarts, saved)
        cost = Tuned(
            Adapter(weights.identity, {}),
            curve=tuple(made.run.curve),
            usage=Usage(tokens_trained=tokens, seconds=seconds),
            why_stopped=why,
            notes={**notes, "tokens_a_second": tokens / max(seconds, 1e-9), "peak_gib": peak_gib(weights.device)},
        )
        if saved:
            saved.remove()
        if why not in CAME_TO_NOTHING:
            head = _head(made.run.reader)
            adapter = moving_.pack(weights, made.run.moving, model_id, made.below, used.learning_rate, head)
            return replace(cost, adapter=adapter, head=head)
        left = _left(recipe, tokens, seconds)
        if restarts or left is None:
            raise TrainingFailed(
                f"{CAME_TO_NOTHING[why]}{' twice' if restarts else ''}, last at a rate of {used.learning_rate:g}. "
                f"Losses until then: {_told(made.run.curve)}.",
                cost,
            )
        restarts, used = 1, left


def _left(recipe: Recipe, tokens: int, seconds: float) -> Recipe | None:
    """The recipe at a quarter of its rates, for what is left of it; None where nothing is."""
    most_tokens = None if recipe.max_tokens is None else recipe.max_tokens - tokens
    most_seconds = None if recipe.max_seconds is None else recipe.max_seconds - seconds
    if (most_tokens is not None and most_tokens <= 0) or (most_seconds is not None and most_seconds <= 0):
        return None
    return replace(
        recipe,
        learning_rate=recipe.learning_rate / 4,
        head_learning_rate=recipe.head_learning_rate / 4,
        max_tokens=most_tokens,
        max_seconds=most_seconds,
    )


def _notes(made: _Prepared, used: Recipe, restarts: int, saved: Checkpoint | None) -> dict[str, float]:
    """Numbers for the log about how a training went."""
    return {
        "left_out": float(made.left_out),
        "learning_rate": used.learning_rate,
        "restarts": float(restarts),
        "micro_tokens": float(made.run.micro_tokens),
        "recomputed": float(made.run.recompute),
        "layers_known": float(made.run.lower.first if made.run.lower else 0),
        "checkpoint_failed": float(bool(saved and saved.failed)),
    }


def _told(curve: Sequence[CurvePoint]) -> str:
    return ", ".join(f"{point.train_nats:.3g} at step {point.step}" for point in curve) or "none"


def _head(reader: Reader) -> Blob | None:
    if not (tensors := reader.parameters()):
        return None
    weight, bias = tensors
    return Blob.of_arrays({"weight": _numpy(weight), "bias": _numpy(bias)})


@dataclass
class _Prepared:
    """A training that is ready to begin, what is worn `under` it, and the same as files (`below`)."""

    run: Run
    learn: list[Lesson]
    watch: list[Lesson]
    left_out: int
    under: Worn
    below: Adapter | None


def _prepared(
    weights: Weights,
    renderer: Renderer,
    recipe: Recipe,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    start: Adapter | None,
) -> _Prepared:
    if not items:
        raise MethodError("There is no example to learn from.")
    onward = moving_.onward(weights, start, recipe) if start else None
    below = start.under if start and onward else start
    under = moving_.unpack(weights, below) if below else Worn()
    with under.on(weights):
        ids = renderer.ids([recipe.start_text])[0] if recipe.start_text else ()
        moving = onward or moving_.fresh(weights, recipe, ids)
    led = Renderer(renderer.tokenizer, tuple(Worn((moving,)).over(under).lead))
    head = start.files.get(HEAD_FILE) if start and onward else None
    reader = _reader(weights, led, recipe, items, head)
    learn, watch = reader.lessons(items), reader.lessons(hold)
    if not learn:
        raise MethodError(
            "No example fits the model's context with choices that its tokens tell apart, so there is nothing to learn."
        )
    longest = max(lesson.tokens for lesson in learn) + reader.shared_tokens
    tokens, recompute = fitting(weights, moving, longest)
    known = lower(weights, moving, [*learn, *watch], reader.shared_tokens)
    run = Run(weights, recipe, moving, reader, tokens, onward is not None, known, recompute)
    return _Prepared(run, learn, watch, len(items) - len(learn), under, below)


def _reader(
    weights: Weights, renderer: Renderer, recipe: Recipe, items: Sequence[TuneItem], head: Blob | None
) -> Reader:
    if recipe.pairs:
        if not weights.encoder:
            raise MethodError("Only an encoder learns from pairs of texts.")
        return (ViewsReader if items[0].target is None else PairsReader)(weights, renderer)
    if weights.encoder:
        return EncoderReader(weights, renderer, head)
    return Seq2SeqReader(weights, renderer) if weights.seq2seq else CausalReader(weights, renderer)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
