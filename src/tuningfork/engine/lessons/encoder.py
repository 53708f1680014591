"""Lessons for an encoder: texts and their labels, learnt with a linear head on the pooled unit vector; or texts alone,
learnt as pairs (`pairs`, `views`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import MethodError
from ...model import Failure, TuneItem
from ...store.blobs import Blob
from .. import rows as rows_
from ..embed import kept_starts, pooled
from ..render import Renderer
from ..weights import Weights
from .lesson import Lesson, answer_of, loss_of

CENTROID_SCALE = 10.0


class EncoderReader:
    """Reads texts as they are, and holds the head: the one that its adapter was tuned with, or a new one."""

    shared_tokens = 0

    def __init__(self, weights: Weights, renderer: Renderer, before: Blob | None = None) -> None:
        self.weights = weights
        self.renderer = renderer
        self.before = before
        self.head: tuple[torch.Tensor, torch.Tensor] | None = None

    def lessons(self, items: Sequence[TuneItem]) -> list[Lesson]:
        """A text that is too long is cut, as sentence encoders are made to."""
        if not all(item.choices for item in items):
            raise MethodError("An encoder learns to choose between labels; an item here has no choices.")
        found = []
        ids = kept_starts(self.weights, self.renderer, [item.prompt for item in items])
        for index, (item, (own, _)) in enumerate(zip(items, ids, strict=True)):
            if not isinstance(own, Failure):
                target, shares = answer_of(item, True, logits=True)
                row = rows_.build(index, own, [])
                found.append(Lesson(row, target, item.weight, shares, item.exclusive))
        return found

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """The head that there was, where it is of as many labels; else one that starts as nearest class mean: weight
        (labels, d) and bias (labels,). Where labels do not exclude each other, it starts at how a label's mean differs
        from that of all, and says as many as have it."""
        if self.before and len((arrays := self.before.arrays())["bias"]) == labels:
            weight, bias = (torch.tensor(arrays[name], device=self.weights.device) for name in ("weight", "bias"))
            self.head = weight.requires_grad_(True), bias.requires_grad_(True)
            return
        with torch.inference_mode():
            by_row = {id(lesson.row): lesson for lesson in learn}
            found = [
                (self.vectors([by_row[id(row)] for row in batch]), [_shares(by_row[id(row)], labels) for row in batch])
                for batch in rows_.batches(rows_.by_length([lesson.row for lesson in learn]))
            ]
            vectors = torch.cat([values for values, _ in found])  # (lessons, d)
            shares = torch.cat([torch.stack(rows) for _, rows in found]).to(vectors.device)  # (lessons, labels)
            middle, common = vectors.mean(0), shares.mean(0).clamp(0.01, 0.99)
            own = shares.T @ vectors
            bias = torch.zeros(labels, device=self.weights.device)
            if not all(lesson.exclusive for lesson in learn):
                own = torch.nn.functional.normalize(own - shares.sum(0)[:, None] * middle, dim=-1)
                bias = torch.logit(common) - CENTROID_SCALE * own @ middle
            weight = torch.nn.functional.normalize(own, dim=-1) * CENTROID_SCALE
        self.head = weight.clone().detach().requires_grad_(True), bias.clone().detach().requires_grad_(True)

    def parameters(self) -> list[torch.Tensor]:
        return list(self.head or ())

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,) losses in nats."""
        assert self.head is not None
        logits = self.vectors(part) @ self.head[0].T + self.head[1]
        return torch.stack([loss_of(lesson, own, 1) for lesson, own in zip(part, logits, strict=True)])

    def vectors(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons, d) unit vectors."""
        rows = [lesson.row for lesson in part]
        return torch.nn.functional.normalize(pooled(self.weights, rows, (), -1, None), dim=-1)


def _shares(lesson: Lesson, labels: int) -> torch.Tensor:
    """(labels,): how much of each label a lesson is."""
    if lesson.shares:
        return torch.tensor(lesson.shares)
    return torch.nn.functional.one_hot(torch.tensor(lesson.target), labels).float()
