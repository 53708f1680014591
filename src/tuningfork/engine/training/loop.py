"""Steps over batches, and looks at hold between them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from ...model import CurvePoint, Recipe
from ..checkpoint import Checkpoint
from ..lessons import pairs
from ..lessons.lesson import Lesson
from .best import Best
from .memory import in_memory, parts_of
from .run import Run
from .saving import Clock, Progress, save, went_on

LOOKS = 10
LOOK_SHARE = 0.2
LOOK_COST = 1 / 3
"""A pass forward, in tokens trained: about a third of forward and backward."""


def loop(run: Run, learn: list[Lesson], watch: list[Lesson], saved: Checkpoint | None) -> str:
    """Steps until the plan, the clock or patience ends it; leaves the best state in place and says why it ended."""
    recipe = run.recipe
    steps, looks = _planned(run, learn, watch)
    optimizer = torch.optim.AdamW(run.groups, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _ramp(steps, recipe.warmup))
    look_every = max(1, math.ceil(steps / looks))
    now, why = Progress(Best(run.snapshot())), "epochs"
    if not (saved and went_on(saved, run, now, optimizer, schedule)) and run.continued:
        now.best.see(run, look(run, watch)[0])  # a continued adapter competes with where it started
    dealt = _deal(learn, recipe)
    for _ in range(now.step):
        next(dealt)
    clock = Clock(run.seconds)
    while now.step < steps:
        now.step += 1
        loss = step(run, next(dealt), optimizer)
        if not math.isfinite(loss):
            return "diverged"
        schedule.step()
        now.nats, now.seen, run.seconds = now.nats + loss, now.seen + 1, clock.seconds
        late = recipe.max_seconds is not None and run.seconds > recipe.max_seconds
        if now.step % look_every == 0 or now.step == steps or late:
            quality, hold_nats = look(run, watch)
            run.curve.append(CurvePoint(now.step, now.nats / now.seen, hold_nats, round(clock.seconds, 2)))
            now.nats, now.seen = 0.0, 0
            now.best.see(run, quality)
            if late or now.best.worse >= recipe.patience:
                why = "seconds" if late else "patience"
                break
        if saved and clock.due():
            with clock.saving():
                save(saved, run, now, optimizer)
    run.restore(now.best.state)
    return why if all(torch.isfinite(tensor).all() for tensor in now.best.state) else "diverged"


def _planned(run: Run, learn: Sequence[Lesson], watch: Sequence[Lesson]) -> tuple[int, int]:
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


def step(run: Run, batch: list[Lesson], optimizer: torch.optim.Optimizer) -> float:
    """One update over a batch; the mean loss in nats an item."""
    loss_sum = in_memory(run, batch, partial(_gradients, run, batch), optimizer.zero_grad)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    run.moving.stepped()
    return loss_sum


def _gradients(run: Run, batch: Sequence[Lesson]) -> float:
    """Adds up the batch's gradients; its mean loss."""
    total = sum(lesson.weight for lesson in batch)
    loss_sum = 0.0
    for part in parts_of(run, batch):
        losses = losses_of(run, part)
        loss = (losses * torch.tensor([lesson.weight for lesson in part], device=losses.device)).sum() / total
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.item()
    return loss_sum


def losses_of(run: Run, part: Sequence[Lesson]) -> torch.Tensor:
    """(lessons,) losses in nats, fp32."""
    run.tokens += sum(lesson.tokens for lesson in part) + run.reader.shared_tokens
    return run.reader.losses(part)


@torch.no_grad()
def look(run: Run, watch: Sequence[Lesson]) -> tuple[torch.Tensor, float | None]:
    """(hold items,) quality to select by, and the mean loss in nats, on hold; nothing and None without hold."""
    if not watch:
        return torch.zeros(0), None
    return in_memory(run, watch, partial(_looked, run, watch), lambda: None)


def _looked(run: Run, watch: Sequence[Lesson]) -> tuple[torch.Tensor, float]:
    qualities, nats, before = [], 0.0, run.tokens
    with torch.inference_mode():
        for part in parts_of(run, watch):
            losses = losses_of(run, part)
            nats += float(losses.sum())
            several = torch.tensor([lesson.target is not None for lesson in part], device=losses.device)
            qualities.append(torch.where(several, torch.exp(-losses), -losses).float().cpu())
    run.tokens = before + round((run.tokens - before) * LOOK_COST)
    return torch.cat(qualities), nats / len(watch)
