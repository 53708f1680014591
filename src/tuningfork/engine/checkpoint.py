"""A training on disk, so that one that was killed goes on where it stood and ends with the same weights.

A checkpoint is one file, written beside its name and moved there at once: a disk that fills leaves the last good one.
Its name says what is trained, on what, and how (a hash), so the same call finds it and no other does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..model import Adapter, Recipe, TuneItem
from ..store.blobs import write_atomically

State = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""Tensors by name, and plain data."""


@dataclass
class Checkpoint:
    """One training's file. `failed` says why the last writing did not work, if it did not."""

    path: Path
    failed: str | None = None

    def write(self, tensors: Mapping[str, torch.Tensor], data: Mapping[str, Any]) -> None:
        """Replace what was there. A disk that is full or closed to us costs the checkpoint, never the training."""
        content = save(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            {"data": json.dumps(data)},
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, content)
            self.failed = None
        except OSError as error:
            self.failed = str(error)

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
    identity: str,
    recipe: Recipe,
    items: tuple[list[TuneItem], list[TuneItem]],
    start: Adapter | None,
) -> Checkpoint:
    """The checkpoint of a training by this recipe on these items (to learn, and to choose on). How many seconds it may
    take is left out: a run that goes on has fewer left."""
    plan = {key: value for key, value in asdict(recipe).items() if key != "max_seconds"}
    digest = hashlib.sha256(json.dumps([identity, torch.__version__, torch.get_num_threads(), plan]).encode())
    for part in items:
        digest.update(b"|")
        for item in part:
            digest.update(repr(item).encode("utf-8", "backslashreplace"))
    for blob in start.blobs() if start else ():
        digest.update(blob.sha256.encode())
    return Checkpoint(folder / f"{digest.hexdigest()[:24]}.safetensors")
