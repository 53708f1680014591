"""Steps over batches, and looks at hold between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch

from ...model import CurvePoint
from ..checkpoint import Checkpoint
from ..lessons.lesson import Lesson
from .best import Best
from .explosion import Explosion
from .lower import READ_COST
from .memory import in_memory, parts_of
from .plan import Plan, dealt, planned, ramp
from .run import Run
from .saving import Clock, Progress, save, went_on

Optimizer = torch.optim.Optimizer


def loop(run: Run, learn: list[Lesson], watch: list[Lesson], saved: Checkpoint | None, choices: int) -> str:
    """Steps until the plan, the clock or patience ends it; leaves the best state in place and says why it ended:
    what ended the plan, `seconds`, `patience`, or that it came to nothing: `diverged` or `exploded`."""
    if run.lower:
        run.tokens += run.lower.fill([*learn, *watch])
    plan = planned(run, learn, watch)
    optimizer = torch.optim.AdamW(run.groups, weight_decay=run.recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, ramp(plan.steps, run.recipe.warmup))
    now = Progress(Best(run.snapshot()), Explosion(plan.steps, choices))
    if not (saved and went_on(saved, run, now, optimizer, schedule)) and run.continued:
        now.best.see(run, look(run, watch)[0])  # a continued adapter competes with where it started
    batches = dealt(learn, run.recipe)
    for _ in range(now.step):
        next(batches)
    clock, why = Clock(run.seconds), None
    while why is None:
        now.step += 1
        loss = step(run, next(batches), optimizer)
        schedule.step()
        run.seconds = clock.seconds
        why = _after(run, now, plan, loss, watch)
        if saved and why is None and clock.due():
            with clock.saving():
                save(saved, run, now, optimizer)
    if why in ("diverged", "exploded"):
        return why
    run.restore(now.best.state)
    if not all(torch.isfinite(tensor).all() for tensor in now.best.state):
        return "diverged"
    return "exploded" if now.explosion.at_end(watch, now.best.quality) else why


def _after(run: Run, now: Progress, plan: Plan, loss: float, watch: list[Lesson]) -> str | None:
    """Take in a step's loss, look at hold where it is time to; why the training ends here, or None."""
    if not math.isfinite(loss):
        return "diverged"
    if now.explosion.at_step(loss):
        run.curve.append(CurvePoint(now.step, loss, None, round(run.seconds, 2)))
        return "exploded"
    now.nats, now.seen = now.nats + loss, now.seen + 1
    late = run.recipe.max_seconds is not None and run.seconds > run.recipe.max_seconds
    if now.step % plan.look_every == 0 or now.step == plan.steps or late:
        quality, hold_nats = look(run, watch)
        run.curve.append(CurvePoint(now.step, now.nats / now.seen, hold_nats, round(run.seconds, 2)))
        now.nats, now.seen = 0.0, 0
        now.best.see(run, quality)
        if late or now.best.worse >= run.recipe.patience:
            return "seconds" if late else "patience"
    return plan.ends if now.step >= plan.steps else None


def step(run: Run, batch: list[Lesson], optimizer: Optimizer) -> float:
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
    read = sum(lesson.tokens for lesson in part) + run.reader.shared_tokens
    with run.aids():
        losses = run.reader.losses(part)
    run.tokens += round(read * run.lower.rest) if run.lower else read
    return losses


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
    run.tokens = before + round((run.tokens - before) * READ_COST)
    return torch.cat(qualities), nats / len(watch)
