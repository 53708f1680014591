"""Prompts with their possible continuations as rows of tokens, and the forward pass over them.

A Row is a prompt's own tokens (those after the prefix that the whole call shares) followed by the inner nodes of the
trie of its choices. A node sees the prompt and its ancestors, never its siblings, so one pass gives the log-probability
of every token of every choice: 77 labels cost their distinct inner tokens, and one-token choices cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .attention import KeysValues, Shared
from .render import common
from .weights import Weights

BATCH_TOKENS = 4096
BATCH_ROWS = 64
LOGIT_ROWS = 256


@dataclass
class Row:
    """One prompt. `ids` are its tokens after the shared prefix, then trie nodes; `parents[j]` is the position (in
    `ids`) that token `j` follows; `asked` are (position, token) pairs whose log-probabilities are wanted, and
    `choices[c]` the indices into `asked` that choice `c` sums over."""

    index: int
    ids: list[int]
    prompt_tokens: int
    parents: list[int] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    choices: list[list[int]] = field(default_factory=list)


def build(index: int, prompt: Sequence[int], branches: Sequence[Sequence[int]]) -> Row:
    """A row of a prompt's own tokens and the token lists of its choices. Equal inner nodes are held once."""
    row = Row(index, list(prompt), len(prompt))
    row.parents = [j - 1 for j in range(len(prompt))]
    nodes: dict[tuple[int, ...], int] = {(): len(prompt) - 1}
    asked: dict[tuple[int, int], int] = {}
    for branch in branches:
        path: list[int] = []
        for depth, token in enumerate(branch):
            at = nodes[tuple(branch[:depth])]
            path.append(asked.setdefault((at, token), len(asked)))
            inner = tuple(branch[: depth + 1])
            if depth + 1 < len(branch) and inner not in nodes:
                nodes[inner] = len(row.ids)
                row.ids.append(token)
                row.parents.append(at)
        row.choices.append(path)
    row.asked = list(asked)
    return row


def shared_prefix(prompts: Sequence[Sequence[int]], shares: bool) -> int:
    """How many first tokens all prompts of a call share; at least one token always stays a row's own."""
    if not shares or len(prompts) < 2:
        return 0
    shared = min(common(prompts), min(len(p) for p in prompts) - 1)
    return shared if shared >= 8 else 0


def batches(rows: Sequence[Row], tokens: int = BATCH_TOKENS, most: int = BATCH_ROWS) -> Iterator[list[Row]]:
    """Rows of like length together, so that little is padded; at most `tokens` padded tokens a batch."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda r: (len(r.ids), r.index)):
        if batch and (len(batch) >= most or (len(batch) + 1) * len(row.ids) > tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def encode_prefix(weights: Weights, ids: Sequence[int]) -> dict[int, KeysValues]:
    """Keys and values of the shared tokens, once; with gradients where they are on."""
    if not ids:
        return {}
    shared = Shared(record=True)
    weights.body(input_ids=torch.tensor([list(ids)], device=weights.device), use_cache=False, shared=shared)
    return shared.own


def hidden(weights: Weights, batch: Sequence[Row], offset: int, shared: Shared, layer: int = -1) -> torch.Tensor:
    """Hidden states (B, T, d) of a batch of rows that follow `offset` shared tokens; padded on the right.

    A model that can't share reads rows without tries, and needs no mask but the one for padding.
    """
    longest = max(len(row.ids) for row in batch)
    ids = torch.zeros((len(batch), longest), dtype=torch.long)
    positions = torch.zeros((len(batch), longest), dtype=torch.long)
    seen = torch.eye(longest, dtype=torch.bool).repeat(len(batch), 1, 1)
    causal = torch.ones((longest, longest), dtype=torch.bool).tril()
    for b, row in enumerate(batch):
        n, p = len(row.ids), row.prompt_tokens
        ids[b, :n] = torch.tensor(row.ids)
        positions[b, :p] = torch.arange(offset, offset + p)
        seen[b, :p] = causal[:p]
        for j in range(p, n):
            parent = row.parents[j]
            positions[b, j] = positions[b, parent] + 1
            seen[b, j] |= seen[b, parent]
    if weights.shares:
        mask = torch.zeros(seen.shape, dtype=weights.dtype).masked_fill_(~seen, float("-inf"))[:, None]
        extra: dict[str, Any] = {"shared": shared, "position_ids": positions.to(weights.device)}
    else:
        mask = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in batch])
        extra = {}
    out = weights.body(
        input_ids=ids.to(weights.device),
        attention_mask=mask.to(weights.device),
        use_cache=False,
        output_hidden_states=layer != -1,
        **extra,
    )
    states: torch.Tensor = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
    return states


def asked_nats(weights: Weights, batch: Sequence[Row], states: torch.Tensor) -> list[torch.Tensor]:
    """For each row its asked log-probabilities in nats, fp32: the output layer runs on the asked positions only."""
    spots = [(b, at) for b, row in enumerate(batch) for at in sorted({at for at, _ in row.asked})]
    where = {spot: i for i, spot in enumerate(spots)}
    flat = states[torch.tensor([b for b, _ in spots]), torch.tensor([at for _, at in spots])]
    rows = torch.tensor([where[b, at] for b, row in enumerate(batch) for at, _ in row.asked])
    tokens = torch.tensor([token for row in batch for _, token in row.asked])
    found: list[torch.Tensor] = []
    order: list[torch.Tensor] = []
    for begin in range(0, len(spots), LOGIT_ROWS):
        logits = weights.logits(flat[begin : begin + LOGIT_ROWS])
        here = ((rows >= begin) & (rows < begin + LOGIT_ROWS)).nonzero()[:, 0]
        at, token = (rows[here] - begin).to(logits.device), tokens[here].to(logits.device)
        if weights.dtype != torch.float32:
            logits[at, token] = weights.logits_of(flat[begin : begin + LOGIT_ROWS][at], token)
        found.append(logits[at, token] - logits.logsumexp(-1)[at])
        order.append(here)
    nats = torch.cat(found)[torch.cat(order).argsort().to(found[0].device)] if found else torch.zeros(0)
    return list(torch.split(nats, [len(row.asked) for row in batch]))


def choice_nats(row: Row, nats: torch.Tensor) -> torch.Tensor:
    """(choices,): each choice's asked log-probabilities summed."""
    table = torch.zeros((len(row.choices), len(row.asked)), device=nats.device)
    for c, path in enumerate(row.choices):
        table[c, path] = 1.0
    return table @ nats
