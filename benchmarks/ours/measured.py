"""How our side is timed: open the model, measure the machine, warm up once, run, look at memory, measure again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import limit
from tuningfork import models
from tuningfork.model import Model
from tuningfork.models.bundled import cache_folder
from tuningfork.task import Message, Prompt

MIB = 1 << 20
PACKAGES = ("tuningfork", "torch", "transformers")


def open_model(name: str, dtype: str | None = None) -> tuple[Any, str, str]:
    """The model by the public door, with the device and dtype that it runs in. A `dtype` that is given takes the place
    of the one that measuring would choose."""
    if dtype is not None:
        from tuningfork.engine import device

        where = device.choose(cache_folder()).name
        device.choose = lambda *_: device.Device(where, dtype, {})
    model: Any = models.open_model(name)
    weights = model._weights
    return model, weights.device.type, str(weights.dtype).removeprefix("torch.")


def measured(
    model: Model,
    device: str,
    warm: Callable[[Model], Any],
    run: Callable[[Model], Any],
    rates: Callable[[], limit.Rates] | None = None,
) -> tuple[dict[str, Any], Any]:
    """What `run(model)` gave, and the facts of it: seconds, memory above the loaded weights, rates before and after."""
    import torch

    rates = rates or partial(limit.measure, device)
    before = rates()
    loaded = _reset_peak(device)
    warm(model)
    start = time.perf_counter()
    answers = run(model)
    seconds = time.perf_counter() - start
    peak = _peak(device)
    facts = {
        "seconds": seconds,
        "mib_above_weights": None if loaded is None or peak is None else round((peak - loaded) / MIB, 1),
        "rates": asdict(before.best(rates())),
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": limit.versions(*PACKAGES),
    }
    return facts, answers


def prompt_of(messages: list[list[str]], shared: int) -> Prompt:
    """A prompt from what JSON can hold: [role, text] pairs."""
    return Prompt(tuple(Message(role, text) for role, text in messages), shared)  # type: ignore[arg-type]


def _reset_peak(device: str) -> int | None:
    """Bytes held now; from here on the peak is counted anew. None where the system can't do that."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return int(torch.cuda.memory_allocated())
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the highest resident size back to the one of now
    except OSError:
        return None
    return _status("VmRSS")


def _peak(device: str) -> int | None:
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated())
    return _status("VmHWM") if Path("/proc/self/status").is_file() else None


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field + ":"))
