"""Lessons for a causal model: prompts with their choices, texts to write, or texts to have read.

The loss sits only where the answer is: over the given choices (log-probabilities of all their tokens, as scoring
computes them), or over the target's tokens. Tokens that all prompts share are read once a pass, with gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ...model import Failure, TuneItem
from ...task import Prompt, plain_text
from .. import choices as choices_
from .. import rows as rows_
from ..attention import KeysValues, Span, held
from ..fit import fitted
from ..render import Renderer, common
from ..rows import Row
from ..score import branch
from ..tree import Node
from ..weights import Weights
from .lesson import Lesson, answer_of, loss_of

Branches = tuple[list[int], list[list[int]]]
"""A prompt's tokens, and those of each choice after it."""

FEWEST_SHARED = 8
LEAD = 2


class CausalReader:
    """Reads prompts after the tokens that those to learn all begin with."""

    def __init__(self, weights: Weights, renderer: Renderer) -> None:
        self.weights = weights
        self.renderer = renderer
        self.beginning: Node | None = None
        self._begun = False

    @property
    def shared_tokens(self) -> int:
        return self.beginning.end if self.beginning else 0

    def lessons(self, items: Sequence[TuneItem]) -> list[Lesson]:
        """The first items that are asked for decide what all begin with; later ones that begin otherwise are left
        out."""
        parts: list[tuple[TuneItem, list[int], list[list[int]]]] = []
        for item in items:
            read = partial(self._branches, item)
            made = fitted(self.renderer, item.prompt, self.weights.context_tokens, _tokens, read)
            if not isinstance(made[0], Failure):
                parts.append((item, *made[0]))
        if not self._begun:
            self.beginning = beginning([kept for _, kept, _ in parts]) if self.weights.shares else None
            self._begun = True
        node = self.beginning
        found = []
        for index, (item, kept, branches) in enumerate(parts):
            if node and (kept[: node.end] != node.ids or len(kept) == node.end):
                continue
            several = len(branches) > 1
            target, shares = answer_of(item, several)
            if not self.weights.shares and several:
                # A trie needs the tree mask that this model can't take: it learns to write the right one.
                right = max(range(len(shares)), key=shares.__getitem__) if shares else target or 0
                branches, target, shares = [branches[right]], None, ()
            row = rows_.build(index, kept[node.end if node else 0 :], branches, node)
            found.append(Lesson(row, target, item.weight, shares, item.exclusive))
        return found

    def _branches(self, item: TuneItem, prompt: Prompt) -> Branches | Failure:
        """The prompt's tokens and those of each choice after it; a text is learnt with its end."""
        if item.target is None and not item.choices:
            return self._own_tokens(prompt)
        text = self.renderer.read(prompt)
        if isinstance(text, Failure):
            return text
        choices = item.choices or (item.target or "",)
        if fault := choices_.fault(choices):
            return fault
        kept, branches = branch(self.renderer, text, self.renderer.ids([text])[0], choices)
        if fault := choices_.token_fault(choices, branches):
            return fault
        if not item.choices and self.renderer.end_id is not None:
            branches = [[*branches[0], self.renderer.end_id]]
        return kept, branches

    def _own_tokens(self, prompt: Prompt) -> Branches | Failure:
        """A text that is only to be read: its first token, and all the others as what follows."""
        text = self.renderer.bare("\n".join(plain_text(message.content) for message in prompt.messages))
        if isinstance(text, Failure):
            return text
        ids = [*self.renderer.ids([text])[0], *([] if self.renderer.end_id is None else [self.renderer.end_id])]
        first = 1 + len(self.renderer.lead)
        return (ids[:first], [ids[first:]]) if len(ids) > first else Failure("empty_prompt", "The text is one token.")

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """Nothing learns beside the adapter."""

    def parameters(self) -> list[torch.Tensor]:
        return []

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,) losses in nats."""
        rows = [lesson.row for lesson in part]
        nats = rows_.asked_nats(self.weights, rows, self._states(rows))
        losses = [
            loss_of(lesson, rows_.choice_nats(lesson.row, own), len(lesson.row.asked))
            for lesson, own in zip(part, nats, strict=True)
        ]
        return torch.stack(losses)

    def _states(self, rows: list[Row]) -> torch.Tensor:
        """The rows' hidden states. What they all begin with goes along as a row of its own in training, where it is
        not much longer than they are: half the steps, and no pass of a few tokens."""
        node = self.beginning
        if node and torch.is_grad_enabled() and node.end <= LEAD * max(len(row.ids) for row in rows):
            led = [rows_.build(0, node.ids, ()), *rows]
            return rows_.forward(self.weights, led, lead=node.end)[node.end :]
        return rows_.forward(self.weights, rows, self._prefix(sum(len(row.ids) for row in rows)))

    def _prefix(self, tokens: int) -> list[Span]:
        """What all prompts begin with, read anew in each pass since its keys and values move; with gradients where they
        are on."""
        if not self.beginning:
            return []
        kept: dict[int, KeysValues] = {}
        rows_.forward(self.weights, [rows_.build(0, self.beginning.ids, ())], kept=kept)
        return [Span(0, tokens, kept if torch.is_grad_enabled() else held(kept))]


def _tokens(made: Branches) -> int:
    return len(made[0]) + max(map(len, made[1]))


def beginning(prompts: Sequence[Sequence[int]]) -> Node | None:
    """What all prompts begin with, where that is worth a pass of its own in each step."""
    if len(prompts) < 2:
        return None
    shared = min(common(prompts), min(map(len, prompts)) - 1)
    return Node(list(prompts[0][:shared]), 0, None) if shared >= FEWEST_SHARED else None
