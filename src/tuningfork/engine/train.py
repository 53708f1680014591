"""THE training loop. Whatever moves, it moves here.

A recipe (data) says what moves and for how long; items are prompts rendered by the code that `predict` uses, turned
into lessons by `lessons/`, which know the losses. Steps are fixed before the first one; the best state on hold is what
comes back. A training that is killed goes on from its checkpoint and ends with the same weights.

Selection looks at the mean probability of the right choice, not at its log: on few examples the log-loss turns up
long before decisions get worse. An earlier state wins over the last one only where hold shows it to be better. What
the optimizer moves is fp32, products run in the base's dtype.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from ..errors import MethodError, TrainingFailed
from ..model import Adapter, CurvePoint, Recipe, Tuned, TuneItem, Usage
from ..store.blobs import Blob
from . import checkpoint as checkpoint_
from . import moving as moving_
from .checkpoint import Checkpoint
from .lessons import pairs
from .lessons.causal import CausalReader
from .lessons.encoder import EncoderReader
from .lessons.lesson import Lesson, Reader
from .lessons.pairs import PairsReader
from .lessons.seq2seq import Seq2SeqReader
from .linear import unpacked
from .memory import free_bytes, peak_gib, ran_short
from .moving import Moving, Worn
from .render import Renderer
from .weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

MICRO_TOKENS = 768
FEWEST_TOKENS = 16
"""A part of a batch is not made smaller than this, short of memory; what needs more does not fit."""
PAIRED = 128
"""Lessons that are learnt from each other go through together, up to so many."""
LOOKS = 10
LOOK_SHARE = 0.2
LOOK_COST = 1 / 3
"""A pass forward, in tokens trained: about a third of forward and backward."""
SAVE_SECONDS = 20.0
"""Between two checkpoints, at least."""
SAVE_SHARE = 0.05
"""Writing checkpoints takes at most this share of the time."""
STATE_BYTES = 24
"""For each number that moves: its gradient, two moments, two states to come back to, and a half more in steps between,
all fp32."""
GIB = 1 << 30


@dataclass
class _Run:
    """What a training holds while it runs."""

    weights: Weights
    recipe: Recipe
    moving: Moving
    reader: Reader
    micro_tokens: int
    continued: bool = False
    curve: list[CurvePoint] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    @property
    def groups(self) -> list[dict[str, object]]:
        own: list[dict[str, object]] = [{"params": self.moving.parameters(), "lr": self.recipe.learning_rate}]
        if head := self.reader.parameters():
            own.append({"params": head, "lr": self.recipe.head_learning_rate})
        return own

    def snapshot(self) -> list[torch.Tensor]:
        return [t.detach().clone() for t in self._tensors()]

    def restore(self, snapshot: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for tensor, saved in zip(self._tensors(), snapshot, strict=True):
                tensor.copy_(saved)
        self.moving.stepped()

    def _tensors(self) -> list[torch.Tensor]:
        return [*self.moving.parameters(), *self.reader.parameters()]


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
    other lies under what is trained. A loss that is no number restarts once at a quarter of the rates, within what is
    left of the recipe's tokens and seconds, then raises TrainingFailed with the curve so far."""
    began, tokens = time.perf_counter(), 0
    used, restarts = recipe, 0
    while True:
        made = _prepared(weights, renderer, used, items, hold, start)
        saved = checkpoint_.of_training(folder, weights, used, (list(items), list(hold)), start) if folder else None
        with unpacked(weights), made.under.on(weights), made.run.moving.worn(weights):
            made.run.reader.begin(made.learn, len(items[0].choices))
            why = _loop(made.run, made.learn, made.watch, saved)
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
        if why != "diverged":
            adapter = moving_.pack(weights, made.run.moving, model_id, made.below)
            return replace(cost, adapter=adapter, head=_head(made.run.reader))
        left = _left(recipe, tokens, seconds)
        if restarts or left is None:
            raise TrainingFailed(
                f"The loss became no number{' twice' if restarts else ''}, last at a rate of {used.learning_rate:g}. "
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

    run: _Run
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
    reader = _reader(weights, led, recipe)
    learn, watch = reader.lessons(items), reader.lessons(hold)
    if not learn:
        raise MethodError("No example fits the model's context, so there is nothing to learn from.")
    run = _Run(weights, recipe, moving, reader, _micro_tokens(weights, moving), continued=onward is not None)
    return _Prepared(run, learn, watch, len(items) - len(learn), under, below)


def _reader(weights: Weights, renderer: Renderer, recipe: Recipe) -> Reader:
    if recipe.pairs:
        if not weights.encoder:
            raise MethodError("Only an encoder learns from pairs of texts.")
        return PairsReader(weights, renderer)
    if weights.encoder:
        return EncoderReader(weights, renderer)
    return Seq2SeqReader(weights, renderer) if weights.seq2seq else CausalReader(weights, renderer)


def _micro_tokens(weights: Weights, moving: Moving) -> int:
    """How many tokens go through at a time: what half of the memory that gradients, the optimizer's state and the best
    state leave free holds of all that a backward pass needs of every layer, up to what makes passes faster. Raises
    MethodError where these alone do not fit."""
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
    return int(min(max((free - state) // 2 // a_token, FEWEST_TOKENS), MICRO_TOKENS))


@dataclass
class _Best:
    """The state to give back: the latest that is not shown worse on hold than the best look.

    A handful of hold items can't tell two good states apart, and the last state of a rate that falls to zero is rarely
    bad; so an earlier one wins only where it is better by more than one standard error of the paired difference.
    """

    state: list[torch.Tensor]
    top: torch.Tensor | None = None
    worse: int = 0

    def see(self, run: _Run, quality: torch.Tensor) -> None:
        """Take in a look: `quality` (hold items,) of the state as it is now."""
        if self.top is not None and _shown_better(self.top, quality):
            self.worse += 1
            return
        self.state, self.worse = run.snapshot(), 0
        if self.top is None or not len(quality) or quality.mean() > self.top.mean():
            self.top = quality


def _shown_better(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether a is better than b on the same items, by more than one standard error. A mere handful shows nothing."""
    if len(a) < 2:
        return False
    gaps = a - b
    return float(gaps.mean()) > float(gaps.std()) / math.sqrt(len(gaps))


@dataclass
class _Progress:
    """How far a training is, apart from what moves: all that its checkpoint must hold to go on the same way."""

    best: _Best
    step: int = 0
    nats: float = 0.0
    seen: int = 0


def _loop(run: _Run, learn: list[Lesson], watch: list[Lesson], saved: Checkpoint | None) -> str:
    """Steps until the plan, the clock or patience ends it; leaves the best state in place and says why it ended."""
    recipe = run.recipe
    steps, looks = _planned(run, learn, watch)
    optimizer = torch.optim.AdamW(run.groups, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _ramp(steps, recipe.warmup))
    look_every = max(1, math.ceil(steps / looks))
    now, why = _Progress(_Best(run.snapshot())), "epochs"
    if not (saved and _went_on(saved, run, now, optimizer, schedule)) and run.continued:
        now.best.see(run, _look(run, watch)[0])  # a continued adapter competes with where it started
    dealt = _deal(learn, recipe)
    for _ in range(now.step):
        next(dealt)
    clock = _Clock(run.seconds)
    while now.step < steps:
        now.step += 1
        loss = _step(run, next(dealt), optimizer)
        if not math.isfinite(loss):
            return "diverged"
        schedule.step()
        now.nats, now.seen, run.seconds = now.nats + loss, now.seen + 1, clock.seconds
        late = recipe.max_seconds is not None and run.seconds > recipe.max_seconds
        if now.step % look_every == 0 or now.step == steps or late:
            quality, hold_nats = _look(run, watch)
            run.curve.append(CurvePoint(now.step, now.nats / now.seen, hold_nats, round(clock.seconds, 2)))
            now.nats, now.seen = 0.0, 0
            now.best.see(run, quality)
            if late or now.best.worse >= recipe.patience:
                why = "seconds" if late else "patience"
                break
        if saved and clock.due():
            with clock.saving():
                _save(saved, run, now, optimizer)
    run.restore(now.best.state)
    return why if all(torch.isfinite(tensor).all() for tensor in now.best.state) else "diverged"


class _Clock:
    """Seconds of a training, those before it was killed included, and when a checkpoint is due."""

    def __init__(self, before: float) -> None:
        self._began = time.perf_counter() - before
        self._next = before + SAVE_SECONDS

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def due(self) -> bool:
        return self.seconds >= self._next

    @contextmanager
    def saving(self) -> Iterator[None]:
        """What takes long is done seldom."""
        begin = self.seconds
        yield
        self._next = self.seconds + max(SAVE_SECONDS, (self.seconds - begin) / SAVE_SHARE)


def _save(saved: Checkpoint, run: _Run, now: _Progress, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"state.{i}": tensor for i, tensor in enumerate(run.snapshot())}
    tensors |= {f"best.{i}": tensor for i, tensor in enumerate(now.best.state)}
    if now.best.top is not None:
        tensors["top"] = now.best.top
    for i, own in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": value for name, value in own.items()}
    data = {
        "step": now.step,
        "nats": now.nats,
        "seen": now.seen,
        "worse": now.best.worse,
        "tokens": run.tokens,
        "seconds": run.seconds,
        "micro_tokens": run.micro_tokens,
        "curve": [[point.step, point.train_nats, point.hold_nats, point.seconds] for point in run.curve],
    }
    saved.write(tensors, data)


def _went_on(
    saved: Checkpoint,
    run: _Run,
    now: _Progress,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> bool:
    """Put all back as the checkpoint has it; False where there is none."""
    if (found := saved.read()) is None:
        return False
    tensors, data = found
    count = len(now.best.state)
    run.restore([tensors[f"state.{i}"] for i in range(count)])
    now.best = _Best([tensors[f"best.{i}"] for i in range(count)], tensors.get("top"), data["worse"])
    now.step, now.nats, now.seen = data["step"], data["nats"], data["seen"]
    run.tokens, run.seconds, run.micro_tokens = data["tokens"], data["seconds"], data["micro_tokens"]
    run.curve.extend(CurvePoint(*point) for point in data["curve"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".")
            state.setdefault(int(i), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    for _ in range(now.step):
        schedule.step()
    return True


def _planned(run: _Run, learn: Sequence[Lesson], watch: Sequence[Lesson]) -> tuple[int, int]:
    """How many steps, and how many looks at hold on the way: looking takes at most a fifth of the tokens."""
    recipe = run.recipe
    per_epoch = math.ceil(len(learn) / recipe.batch)
    steps = max(1, round(recipe.epochs * per_epoch))
    if recipe.max_steps is not None:
        steps = min(steps, recipe.max_steps)
    prefix = run.reader.shared_tokens
    a_step = sum(lesson.tokens for lesson in learn) / len(learn) * min(recipe.batch, len(learn)) + prefix
    a_look = (sum(lesson.tokens for lesson in watch) + prefix) * LOOK_COST
    if recipe.max_tokens is not None:
        steps = min(steps, max(1, int((1 - LOOK_SHARE) * recipe.max_tokens / a_step)))
    looks = int(LOOK_SHARE * steps * a_step / a_look) if watch else LOOKS
    return steps, max(1, min(LOOKS, looks))


def _ramp(steps: int, warmup: float) -> Callable[[int], float]:
    rise = max(1, round(steps * warmup))
    return lambda k: min(1.0, (k + 1) / rise) * max(0.0, 1 - k / steps)


def _deal(learn: Sequence[Lesson], recipe: Recipe) -> Iterator[list[Lesson]]:
    """Batches without end: shuffled each epoch, rows of like length together, batches in random order."""
    if recipe.pairs:
        yield from pairs.dealt(learn, recipe.batch, recipe.seed)
    dice = random.Random(recipe.seed)
    while True:
        order = list(range(len(learn)))
        dice.shuffle(order)
        stretch = recipe.batch * 8
        dealt = []
        for begin in range(0, len(order), stretch):
            part = sorted(order[begin : begin + stretch], key=lambda i: learn[i].tokens)
            dealt += [part[b : b + recipe.batch] for b in range(0, len(part), recipe.batch)]
        dice.shuffle(dealt)
        for batch in dealt:
            yield [learn[i] for i in batch]


def _step(run: _Run, batch: list[Lesson], optimizer: torch.optim.Optimizer) -> float:
    """One update over a batch; the mean loss in nats an item."""
    loss_sum = _in_memory(run, batch, partial(_gradients, run, batch), optimizer.zero_grad)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    run.moving.stepped()
    return loss_sum


def _in_memory(run: _Run, part: Sequence[Lesson], work: Callable[[], T], undo: Callable[[], None]) -> T:
    """`work`, in parts small enough for memory: where it runs short they are halved, and it is done again."""
    while True:
        try:
            return work()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            undo()
            if not ran_short(error):
                raise
            if run.recipe.pairs or run.micro_tokens <= FEWEST_TOKENS:
                longest = max(lesson.tokens for lesson in part) + run.reader.shared_tokens
                raise MethodError(
                    f"There is too little memory to train on {longest} tokens at a time. A smaller batch, shorter "
                    "inputs (`overlong: keep_start`), or a method that moves fewer weights would fit."
                ) from error
            run.micro_tokens //= 2


def _gradients(run: _Run, batch: Sequence[Lesson]) -> float:
    """Adds up the batch's gradients; its mean loss."""
    total = sum(lesson.weight for lesson in batch)
    loss_sum = 0.0
    for part in _parts(run, batch):
        losses = _losses(run, part)
        loss = (losses * torch.tensor([lesson.weight for lesson in part], device=losses.device)).sum() / total
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.item()
    return loss_sum


def _parts(run: _Run, batch: Sequence[Lesson]) -> list[list[Lesson]]:
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


def _losses(run: _Run, part: Sequence[Lesson]) -> torch.Tensor:
    """(lessons,) losses in nats, fp32."""
    run.tokens += sum(lesson.tokens for lesson in part) + run.reader.shared_tokens
    return run.reader.losses(part)


@torch.no_grad()
def _look(run: _Run, watch: Sequence[Lesson]) -> tuple[torch.Tensor, float | None]:
    """(hold items,) quality to select by, and the mean loss in nats, on hold; nothing and None without hold."""
    if not watch:
        return torch.zeros(0), None
    return _in_memory(run, watch, partial(_looked, run, watch), lambda: None)


def _looked(run: _Run, watch: Sequence[Lesson]) -> tuple[torch.Tensor, float]:
    qualities, nats, before = [], 0.0, run.tokens
    with torch.inference_mode():
        for part in _parts(run, watch):
            losses = _losses(run, part)
            nats += float(losses.sum())
            several = torch.tensor([lesson.target is not None for lesson in part], device=losses.device)
            qualities.append(torch.where(several, torch.exp(-losses), -losses).float().cpu())
    run.tokens = before + round((run.tokens - before) * LOOK_COST)
    return torch.cat(qualities), nats / len(watch)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
