"""How a batch goes through in the memory that there is: in parts of so many tokens, halved where it runs short.

Where the smallest parts are still too large, or one lesson alone is by the estimate, activations are computed again on
the way back rather than kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from ...errors import MethodError
from ..lessons.lesson import Lesson
from ..memory import free_bytes, ran_short
from ..moving import Moving
from ..weights import Weights
from .run import Run

T = TypeVar("T")

MICRO_TOKENS = 768
FEWEST_TOKENS = 16
"""A part of a batch is not made smaller than this, short of memory; what needs more does not fit."""
PAIRED = 128
"""Lessons that are learnt from each other go through together, up to so many."""
STATE_BYTES = 24
"""For each number that moves: its gradient, two moments, two states to come back to, and a half more in steps between,
all fp32."""
GIB = 1 << 30


def fitting(weights: Weights, moving: Moving, longest: int) -> tuple[int, bool]:
    """How many tokens go through at a time, and whether activations must be computed again: tokens are what half of the
    memory that gradients, the optimizer's state and the best state leave free holds of all that a backward pass needs
    of every layer, up to what makes passes faster; activations are not kept where the `longest` lesson needs more.
    Raises MethodError where the state alone does not fit."""
    state = STATE_BYTES * sum(tensor.numel() for tensor in moving.parameters())
    free = free_bytes(weights.device)
    if state > free:
        raise MethodError(
            f"Training this needs {state / GIB:.1f} GiB beside the model, and {free / GIB:.1f} GiB are free. A method "
            "that moves fewer weights (lora, last_layers) would fit."
        )
    config = weights.net.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    a_token = config.num_hidden_layers * (14 * config.hidden_size + 5 * inner) * weights.dtype.itemsize
    most = (free - state) // 2 // a_token
    return int(min(max(most, FEWEST_TOKENS), MICRO_TOKENS)), most < longest


def parts_of(run: Run, batch: Sequence[Lesson]) -> list[list[Lesson]]:
    """A batch in parts of so many tokens; where its lessons are learnt from each other, of so many lessons."""
    if run.recipe.pairs:
        return [list(batch[begin : begin + PAIRED]) for begin in range(0, len(batch), PAIRED)]
    parts: list[list[Lesson]] = []
    tokens = 0
    for lesson in sorted(batch, key=lambda lesson: (lesson.tokens, lesson.row.index)):
        if not parts or tokens + lesson.tokens > run.micro_tokens:
            parts.append([])
            tokens = 0
        parts[-1].append(lesson)
        tokens += lesson.tokens
    return parts


def in_memory(run: Run, part: Sequence[Lesson], work: Callable[[], T], undo: Callable[[], None]) -> T:
    """`work`, in parts small enough for memory: where it runs short they are halved, in the end activations are no
    longer kept, and it is done again."""
    while True:
        try:
            return work()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            undo()
            if not ran_short(error):
                raise
            smallest = run.recipe.pairs or run.micro_tokens <= FEWEST_TOKENS
            if smallest and run.recompute:
                longest = max(lesson.tokens for lesson in part) + run.reader.shared_tokens
                raise MethodError(
                    f"There is too little memory to train on {longest} tokens at a time. A smaller batch, shorter "
                    "inputs (`overlong: keep_start`), or a method that moves fewer weights would fit."
                ) from error
            if smallest:
                run.recompute = True
            else:
                run.micro_tokens //= 2
