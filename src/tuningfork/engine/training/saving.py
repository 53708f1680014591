"""A training's state to its checkpoint and back, and when that is due."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ...model import CurvePoint
from ..checkpoint import Checkpoint
from .best import Best
from .explosion import Explosion
from .run import Run

SAVE_SECONDS = 20.0
"""Between two checkpoints, at least."""
SAVE_SHARE = 0.05
"""Writing checkpoints takes at most this share of the time."""


@dataclass
class Progress:
    """How far a training is, apart from what moves: all that its checkpoint must hold to go on the same way."""

    best: Best
    explosion: Explosion
    step: int = 0
    nats: float = 0.0
    seen: int = 0


class Clock:
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


def save(saved: Checkpoint, run: Run, now: Progress, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"state.{i}": tensor for i, tensor in enumerate(run.snapshot())}
    tensors |= {f"best.{i}": tensor for i, tensor in enumerate(now.best.state)}
    for name in ("top", "quality"):
        if (own := getattr(now.best, name)) is not None:
            tensors[name] = own.clone()  # both may be one tensor, and a file holds each once
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": value for name, value in moments.items()}
    data = {
        "step": now.step,
        "nats": now.nats,
        "seen": now.seen,
        "worse": now.best.worse,
        "began": now.explosion.began,
        "above": now.explosion.above,
        "tokens": run.tokens,
        "seconds": run.seconds,
        "micro_tokens": run.micro_tokens,
        "recompute": run.recompute,
        "curve": [[point.step, point.train_nats, point.hold_nats, point.seconds] for point in run.curve],
    }
    saved.write(tensors, data)


def went_on(
    saved: Checkpoint,
    run: Run,
    now: Progress,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> bool:
    """Put all back as the checkpoint has it; False where there is none."""
    if (found := saved.read()) is None:
        return False
    tensors, data = found
    count = len(now.best.state)
    run.restore([tensors[f"state.{i}"] for i in range(count)])
    now.best = Best(
        [tensors[f"best.{i}"] for i in range(count)], tensors.get("top"), tensors.get("quality"), data["worse"]
    )
    now.explosion.began, now.explosion.above = data["began"], data["above"]
    now.step, now.nats, now.seen = data["step"], data["nats"], data["seen"]
    run.tokens, run.seconds, run.micro_tokens = data["tokens"], data["seconds"], data["micro_tokens"]
    run.recompute = data["recompute"]
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
