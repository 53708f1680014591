"""Lessons in pairs, for an encoder: texts with the same target should have like vectors, others unlike ones.

As SetFit (Tunstall et al. 2022) tunes a sentence encoder: the cosine of two texts is drawn to 1 where their targets are
the same and to 0 where they are not. There each pair is read as two texts; here a pass reads each of its texts once and
takes all pairs among them, like and unlike ones with equal weight in sum.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch

from .encoder import EncoderReader
from .lesson import Lesson

OF_A_LABEL = 4
"""Texts of one label in a batch, where there are labels enough."""


class PairsReader(EncoderReader):
    """Reads a whole batch at a time, since pairs are made within it."""

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """There is no head."""

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,): each text's mean over its pairs."""
        vectors = self.vectors(part)
        targets = torch.tensor([lesson.target for lesson in part], device=vectors.device)
        same = (targets[:, None] == targets[None]).float()
        others = 1 - torch.eye(len(part), device=vectors.device)
        gaps = (vectors @ vectors.T - same) ** 2
        return _mean(gaps, same * others) / 2 + _mean(gaps, 1 - same) / 2


def _mean(gaps: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """(n,): the mean of each row's gaps where `which` is 1; 0 where it has none."""
    return (gaps * which).sum(1) / which.sum(1).clamp(min=1)


def dealt(learn: Sequence[Lesson], batch: int, seed: int) -> Iterator[list[Lesson]]:
    """Batches without end, each with several texts of each of its labels."""
    dice = random.Random(seed)
    by_label: dict[int | None, list[Lesson]] = {}
    for lesson in learn:
        by_label.setdefault(lesson.target, []).append(lesson)
    each = max(OF_A_LABEL, batch // len(by_label))
    waiting: list[int | None] = []
    left: dict[int | None, list[Lesson]] = {label: [] for label in by_label}
    while True:
        chosen: list[Lesson] = []
        while len(chosen) < min(batch, len(learn)):
            if not waiting:
                waiting = dice.sample(list(by_label), len(by_label))
            chosen += _drawn(by_label, left, waiting.pop(), min(each, batch - len(chosen)), dice)
        yield list(dict.fromkeys(chosen))


def _drawn(
    by_label: dict[int | None, list[Lesson]],
    left: dict[int | None, list[Lesson]],
    label: int | None,
    count: int,
    dice: random.Random,
) -> list[Lesson]:
    """So many texts of a label, each once before any comes again."""
    drawn = []
    for _ in range(min(count, len(by_label[label]))):
        if not left[label]:
            left[label] = dice.sample(by_label[label], len(by_label[label]))
        drawn.append(left[label].pop())
    return drawn
