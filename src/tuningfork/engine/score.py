"""How likely each given choice is as the answer: log-probabilities of all its tokens, never by generating and guessing.

A choice's end counts only where it must: when one choice's tokens begin another's ("how" and "how-to"), the shorter one
is followed by the token that ends an answer, so that the two are different events.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from ..model import Failure, ScoreRequest, Scores, Usage
from ..task import Prompt
from . import choices as choices_
from . import rows as rows_
from .attention import BLOCK
from .choices import parted
from .fit import fitted
from .render import Renderer
from .rows import Row
from .tree import Node, grow
from .weights import Weights


@dataclass(frozen=True)
class Asked:
    """A question as tokens: the prompt's, and each choice's after it."""

    prompt: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]

    def tokens(self) -> int:
        """Those of the prompt with its longest choice."""
        return len(self.prompt) + max(map(len, self.branches))


def score(weights: Weights, renderer: Renderer, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
    """One Scores or Failure a request, in order. Prompts of a call share their common beginnings."""
    start = time.perf_counter()
    texts = [renderer.read(request.prompt) for request in requests]
    ids = renderer.ids(["" if isinstance(text, Failure) else text for text in texts])
    found: list[Scores | Failure | None] = [None] * len(requests)
    asked: dict[int, Asked] = {}
    cut: dict[int, int] = {}
    for index, request in enumerate(requests):
        known = {id(request.prompt): (texts[index], ids[index])}
        read = partial(_question, renderer, request.choices, known)
        made = fitted(renderer, request.prompt, weights.context_tokens, Asked.tokens, read)
        question, cut[index] = made
        if isinstance(question, Failure):
            found[index] = question
        else:
            asked[index] = question
    with torch.inference_mode():
        for index, entry in _score(weights, asked).items():
            found[index] = entry
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [rows_.whole(entry, Usage(seconds=seconds, tokens_cut=cut[index])) for index, entry in enumerate(found)]


def _question(
    renderer: Renderer, choices: Sequence[str], known: Mapping[int, tuple[str | Failure, list[int]]], prompt: Prompt
) -> Asked | Failure:
    """The question as tokens; `known` are texts and ids of prompts that were read already."""
    text, ids = known.get(id(prompt)) or (renderer.read(prompt), None)
    if isinstance(text, Failure):
        return text
    if fault := choices_.fault(choices):
        return fault
    kept, branches = branch(renderer, text, renderer.ids([text])[0] if ids is None else ids, choices)
    if not kept:
        return Failure("empty_prompt", "The prompt has no token of its own before its answer.")
    return choices_.token_fault(choices, branches) or Asked(tuple(kept), tuple(map(tuple, branches)))


def branch(renderer: Renderer, text: str, ids: list[int], choices: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """The prompt's ids that stand whatever the choice, and the ids of each choice after them."""
    parts = renderer.continuations(text, ids, choices)
    stand = min(kept for kept, _ in parts)
    return ids[:stand], parted([[*ids[stand:kept], *rest] for kept, rest in parts], renderer.end_id)


def _score(weights: Weights, asked: Mapping[int, Asked]) -> dict[int, Scores | Failure]:
    """Each distinct question once. One that was asked before costs nothing again."""
    first: dict[Asked, int] = {}
    for index, question in asked.items():
        first.setdefault(question, index)
    questions = list(first)
    rows = _shared_rows(questions) if weights.shares else _plain_rows(questions)
    beginnings = rows_.Beginnings(weights)

    def run(batch: list[Row]) -> list[list[float]]:
        states = rows_.forward(weights, batch, beginnings.before(batch))
        told = rows_.asked_nats(weights, batch, states)
        return [rows_.choice_nats(row, own).tolist() for row, own in zip(batch, told, strict=True)]

    nats = [[math.nan] * len(question.branches) for question in questions]
    lost: list[Row] = []
    for batch, told in rows_.in_passes(weights, rows, run, lost):
        for row, values in zip(batch, told, strict=True):
            for choice, value in zip(row.which, values, strict=True):
                nats[row.index][choice] = value
    cost = rows_.tokens(rows)
    place = {question: i for i, question in enumerate(questions)}
    unfit = {row.index: rows_.no_memory(row.begin + len(row.ids)) for row in lost}
    return {
        index: unfit.get(place[question])
        or _scores(question, nats[place[question]], *cost[place[question]], again=first[question] != index)
        for index, question in asked.items()
    }


def _shared_rows(questions: Sequence[Asked]) -> list[Row]:
    """A row for each question, in the order of the tree that their prompts make."""
    rows = []
    for i, node in grow([question.prompt for question in questions]):
        own, branches = list(questions[i].prompt[node.end if node else 0 :]), questions[i].branches
        if len(own) > BLOCK and any(len(branch) > 1 for branch in branches):
            # A long prompt before a trie becomes a beginning of its own: attention reads those block by block.
            node, own = Node(own[:-1], node.end if node else 0, node), own[-1:]
        rows.append(rows_.build(i, own, branches, node))
    return rows


def _plain_rows(questions: Sequence[Asked]) -> list[Row]:
    """For models that can't share: choices that differ in their last token only have a row together."""
    rows = []
    for i, question in enumerate(questions):
        together: dict[tuple[int, ...], list[int]] = {}
        for choice, tokens in enumerate(question.branches):
            together.setdefault(tokens[:-1], []).append(choice)
        for which in together.values():
            row = rows_.build(i, question.prompt, [question.branches[choice] for choice in which])
            rows.append(replace(row, which=which))
    return rows_.by_length(rows)


def _scores(question: Asked, nats: Sequence[float], read: int, reused: int, again: bool) -> Scores | Failure:
    if not all(map(math.isfinite, nats)):
        return Failure("nan", "The model gave NaN for this prompt.")
    usage = Usage(tokens_reused=read + reused) if again else Usage(read, tokens_reused=reused)
    return Scores(tuple(nats), tuple(map(len, question.branches)), usage=usage)
