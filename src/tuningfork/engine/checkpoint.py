"""A training on disk, so that one that was killed goes on where it stood and ends with the same weights.

A checkpoint is one file, written beside its name and moved there at once: a disk that fills leaves the last good one.
Its name says what is trained, on what, and how (a hash), so the same call finds it and no other does.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..model import Adapter, Recipe, TuneItem
from ..store.blobs import write_atomically
from .weights import Weights

KEPT_SECONDS = 14 * 24 * 3600.0
"""A checkpoint that nobody came back for is removed after two weeks."""

State = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""Tensors by name, and plain data."""


@dataclass
class Checkpoint:
    """One training's file. `failed` says why the last writing did not work, if it did not."""

    path: Path
    failed: str | None = None

    def write(self, tensors: Mapping[str, torch.Tensor], data: Mapping[str, Any]) -> None:
        """Replace what was there. A disk that is full or closed to us costs the checkpoint, never the training."""
        try:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, save(whole, {"data": json.dumps(data)}))
            self.failed = None
        except (OSError, MemoryError) as error:
            self.failed = str(error) or "too little memory"

    def read(self) -> State | None:
        """What the last writing left; None where there is nothing, or nothing that can be read."""
        try:
            with safe_open(self.path, "pt") as file:
                names = list(file.keys())
                return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["data"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            return None

    def remove(self) -> None:
        """The training ended: nobody goes on from here."""
        self.path.unlink(missing_ok=True)


def of_training(
    folder: Path,
    weights: Weights,
    recipe: Recipe,
    items: tuple[list[TuneItem], list[TuneItem]],
    start: Adapter | None,
) -> Checkpoint:
    """The checkpoint of a training by this recipe on these items (to learn, and to choose on). How many seconds it may
    take is left out: a run that goes on has fewer left. Others that nobody came back for go."""
    _tidy(folder)
    plan = {key: value for key, value in asdict(recipe).items() if key != "max_seconds"}
    here = [weights.identity, str(weights.dtype), str(weights.device), torch.__version__, torch.get_num_threads()]
    digest = hashlib.sha256(json.dumps([*here, installed("tuningfork"), plan]).encode())
    for part in items:
        digest.update(b"|")
        for item in part:
            digest.update(repr(item).encode("utf-8", "backslashreplace"))
    digest.update((start.identity if start else "").encode())
    return Checkpoint(folder / f"{digest.hexdigest()[:24]}.safetensors")


def _tidy(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.glob("*.safetensors"):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
