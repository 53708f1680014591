"""Texts without labels, for an encoder: two looks at one text should be alike, and unlike those at all others.

As unsupervised SimCSE (Gao et al. 2021, arXiv 2104.08821) tunes a sentence encoder: dropout makes the two looks differ,
and the loss is the cross-entropy of finding a text's other look among those of the batch by cosine. Which units are
dropped follows from the texts of the batch, so the same training gives the same weights, also after it was killed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import functional as F

from ...errors import MethodError
from ...model import Failure, TuneItem
from .. import rows as rows_
from ..embed import kept_starts
from .encoder import EncoderReader
from .lesson import Lesson

TEMPERATURE = 0.05


class ViewsReader(EncoderReader):
    """Reads a whole batch at a time, each text twice."""

    def lessons(self, items: Sequence[TuneItem]) -> list[Lesson]:
        """A text that is too long is cut, as sentence encoders are made to."""
        ids = kept_starts(self.weights, self.renderer, [item.prompt for item in items])
        return [
            Lesson(rows_.build(index, own, []), None, item.weight)
            for index, (item, (own, _)) in enumerate(zip(items, ids, strict=True))
            if not isinstance(own, Failure)
        ]

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """There is no head. Raises MethodError where nothing would tell two looks apart."""
        if not self._dropouts():
            raise MethodError("This encoder has no dropout, so two looks at one text are the same: nothing to learn.")

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,): nats of finding each text's other look among all of the batch."""
        seed = zlib.crc32(repr([lesson.row.ids for lesson in part]).encode())
        with self._dropping(seed):
            first, second = self.vectors(part), self.vectors(part)
        wanted = torch.arange(len(part), device=first.device)
        return F.cross_entropy(first @ second.T / TEMPERATURE, wanted, reduction="none")

    @contextmanager
    def _dropping(self, seed: int) -> Iterator[None]:
        """Dropout on, the same units for the same seed, for the length of the block."""
        layers = self._dropouts()
        devices = [self.weights.device] if self.weights.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            for layer in layers:
                layer.train()
            try:
                yield
            finally:
                for layer in layers:
                    layer.eval()

    def _dropouts(self) -> list[torch.nn.Module]:
        return [m for m in self.weights.net.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
