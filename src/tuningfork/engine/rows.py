"""Prompts with their possible continuations as rows of tokens, and passes over many rows at a time.

A Row is a prompt's own tokens (those after the beginnings that it shares) followed by the inner nodes of the trie of
its choices. A node sees the prompt and its ancestors, never its siblings, so one pass gives the log-probability of
every token of every choice: 77 labels cost their distinct inner tokens, and one-token choices cost nothing.

A pass lays its rows in one line without padding; its states are (N, d), row after row. Models that can't share read
rows that simply run on, padded, through their own attention.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

from ..model import Failure, Scores, Usage, Vector
from .attention import KeysValues, Layout, Learned, Shared, Span, held
from .memory import free_bytes, ran_short
from .tree import Node
from .weights import Weights

T = TypeVar("T")
R = TypeVar("R", Scores, Vector)

PASS_TOKENS = 2048
"""Tokens of a pass on a CPU: enough for matrix products at full rate, and few enough for its caches."""
GPU_PASS_TOKENS = 16384
FEWEST_TOKENS = 64
WIDE = 2
"""A row's own attention is padded to the longest row of its pass, to at most this many times the tokens of a pass."""
LOGIT_ROWS = 256


@dataclass
class Row:
    """One prompt. `ids` are its tokens after those of `node`, then trie nodes; `parents[j]` is the position (in `ids`)
    that token `j` follows; `asked` are (position, token) pairs whose log-probabilities are wanted, and `choices[c]` the
    indices into `asked` that a choice sums over, `which[c]` its number among its prompt's choices."""

    index: int
    ids: list[int]
    prompt_tokens: int
    node: Node | None = None
    parents: list[int] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    choices: list[list[int]] = field(default_factory=list)
    which: list[int] = field(default_factory=list)

    @property
    def begin(self) -> int:
        """How many tokens stand before the row's own."""
        return self.node.end if self.node else 0

    @property
    def runs_on(self) -> bool:
        """Whether each token follows the one before it: no trie, or one without branches."""
        return len(self.ids) == self.prompt_tokens or all(at == j - 1 for j, at in enumerate(self.parents))


def build(index: int, prompt: Sequence[int], branches: Sequence[Sequence[int]], node: Node | None = None) -> Row:
    """A row of a prompt's own tokens and the token lists of its choices. Equal inner nodes are held once."""
    row = Row(index, list(prompt), len(prompt), node)
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
    row.which = list(range(len(branches)))
    return row


def batches(rows: Sequence[Row], tokens: int = PASS_TOKENS, known: Collection[Node] = ()) -> Iterator[list[Row]]:
    """Rows in the order given, as many as fit a pass together with the beginnings that are new with them; `known` are
    those that are held already."""
    batch: list[Row] = []
    seen = set(known)
    total = widest = 0
    for row in rows:
        new = [node for node in _line(row) if node not in seen]
        cost = len(row.ids) + sum(len(node.ids) for node in new)
        wide = max(widest, len(row.ids)) * (len(batch) + 1)
        if batch and (total + cost > tokens or wide > WIDE * tokens):
            yield batch
            batch, total, widest = [], 0, 0
        batch.append(row)
        seen.update(new)
        total, widest = total + cost, max(widest, len(row.ids))
    if batch:
        yield batch


def _line(row: Row) -> list[Node]:
    """The beginnings that a row follows, outermost first."""
    return row.node.line() if row.node else []


def by_length(rows: Sequence[Row]) -> list[Row]:
    """Rows of like length together, so that little is padded in attention. For rows that share no more than all do."""
    return sorted(rows, key=lambda row: (len(row.ids), row.index))


def in_passes(
    weights: Weights, rows: Sequence[Row], run: Callable[[list[Row]], T], lost: list[Row] | None = None
) -> Iterator[tuple[list[Row], T]]:
    """Each pass's rows and what `run` made of them. A pass that finds too little memory is halved, and so are those
    after it; a row that does not fit alone goes to `lost`, or raises where there is none."""
    tokens = pass_tokens(weights)
    waiting = list(rows)
    known: set[Node] = set()  # what the last pass needed is still held, see Beginnings
    while waiting:
        batch = next(batches(waiting, tokens, known))
        try:
            made = run(batch)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not ran_short(error) or (len(batch) == 1 and lost is None):
                raise
            if len(batch) > 1 or lost is None:
                nodes = {node for row in batch for node in _line(row)} - known
                tokens = (sum(len(row.ids) for row in batch) + sum(len(node.ids) for node in nodes)) // 2
                continue
            lost.append(waiting.pop(0))
            continue
        yield batch, made
        known = {node for row in batch for node in _line(row)}
        del waiting[: len(batch)]


def whole(entry: R | Failure | None, more: Usage) -> R | Failure:
    """A reply with what its call cost besides."""
    assert entry is not None
    return entry if isinstance(entry, Failure) else replace(entry, usage=entry.usage + more)


def no_memory(tokens: int) -> Failure:
    """Why a prompt of so many tokens got no answer: it does not fit into memory alone."""
    return Failure(
        "memory",
        f"There is too little memory for this prompt alone ({tokens} tokens). Close other programs, or shorten it.",
    )


def pass_tokens(weights: Weights) -> int:
    """How many tokens a pass may have: what a quarter of the free memory holds, up to what makes passes faster."""
    config = weights.net.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    a_token = (8 * config.hidden_size + 3 * inner) * weights.dtype.itemsize
    most = GPU_PASS_TOKENS if weights.device.type == "cuda" else PASS_TOKENS
    return int(min(max(free_bytes(weights.device) // 4 // a_token, FEWEST_TOKENS), most))


class Beginnings:
    """Keys and values of shared beginnings: encoded when the first row that needs them comes, dropped after the last,
    held once and never copied for a row."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._held: dict[Node, dict[int, KeysValues]] = {}

    def before(self, rows: Sequence[Row]) -> list[Span]:
        """What the rows of a pass share, outermost first. Rows of a node must stand together."""
        needed = dict.fromkeys(node for row in rows if row.node for node in row.node.line())
        self._held = {node: own for node, own in self._held.items() if node in needed}
        missing = [node for node in needed if node not in self._held]
        depth = {node: len(node.line()) for node in missing}
        for level in sorted(set(depth.values())):
            self._encode([node for node in missing if depth[node] == level])
        return self._spans(rows)

    def _encode(self, nodes: Sequence[Node]) -> None:
        rows = [build(i, node.ids, (), node.parent) for i, node in enumerate(nodes)]
        kept: dict[int, KeysValues] = {}
        forward(self._weights, rows, self._spans(rows), kept)
        begin = 0
        for node in nodes:
            part = slice(begin, begin + len(node.ids))
            self._held[node] = held({layer: (k[:, part], v[:, part]) for layer, (k, v) in kept.items()})
            begin = part.stop

    def _spans(self, rows: Sequence[Row]) -> list[Span]:
        reach: dict[Node, tuple[int, int]] = {}
        begin = 0
        for row in rows:
            end = begin + len(row.ids)
            for node in _line(row):
                reach[node] = (reach.get(node, (begin, end))[0], end)
            begin = end
        return [Span(begin, end, self._held[node]) for node, (begin, end) in reach.items()]


def forward(
    weights: Weights,
    rows: Sequence[Row],
    spans: Sequence[Span] = (),
    kept: dict[int, KeysValues] | None = None,
    layer: int = -1,
    lead: int = 0,
) -> torch.Tensor:
    """Hidden states (N, d) of the rows' own tokens, row after row. `kept` is filled with their keys and values. With
    gradients the first row, of `lead` tokens, may be what all others follow."""
    if not weights.shares:
        return _plain(weights, rows, layer)
    device = weights.device
    ids = torch.tensor([[token for row in rows for token in row.ids]], device=device)
    positions = torch.tensor([[at for row in rows for at in _positions(row)]], device=device) + weights.first_position
    shared = Shared(_layout(weights, rows), spans, kept=kept, learned=_learned(weights, ids[0]), lead=lead)
    with weights.lower(rows) if weights.lower else nullcontext():
        out = weights.body(
            input_ids=ids, position_ids=positions, use_cache=False, output_hidden_states=layer != -1, shared=shared
        )
    states: torch.Tensor = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
    return states[0]


def _learned(weights: Weights, ids: torch.Tensor) -> Learned | None:
    """Where a pass holds virtual tokens of a learned prefix, and what is learned."""
    if weights.prefix is None:
        return None
    places = (ids < 0).nonzero()[:, 0]
    return Learned(places, ids[places] + weights.prefix.shape[3], weights.prefix) if len(places) else None


def _layout(weights: Weights, rows: Sequence[Row]) -> Layout:
    lengths, dtype, device = [len(row.ids) for row in rows], weights.dtype, weights.device
    if weights.encoder:
        return Layout.of(lengths, dtype, device, both_ways=True)
    if all(row.runs_on for row in rows):
        return Layout.of(lengths, dtype, device)
    causal = torch.ones((max(lengths), max(lengths)), dtype=torch.bool).tril()
    return Layout.of(lengths, dtype, device, torch.stack([_sees(row, causal) for row in rows]))


def _sees(row: Row, causal: torch.Tensor) -> torch.Tensor:
    """(T, T): what each token of a row sees of it; in a trie its ancestors and itself."""
    seen = causal.clone()
    prompt = row.prompt_tokens
    seen[prompt:, prompt:] = False
    for j in range(prompt, len(row.ids)):
        seen[j] |= seen[row.parents[j]]
        seen[j, j] = True
    return seen


def _positions(row: Row) -> list[int]:
    begin = row.begin
    positions = list(range(begin, begin + row.prompt_tokens))
    for parent in row.parents[row.prompt_tokens :]:
        positions.append(positions[parent] + 1)
    return positions


def _plain(weights: Weights, rows: Sequence[Row], layer: int) -> torch.Tensor:
    ids, real = padded(weights, [row.ids for row in rows])
    out = weights.body(input_ids=ids, attention_mask=real, use_cache=False, output_hidden_states=layer != -1)
    states: torch.Tensor = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
    return states[real.bool()]


def padded(weights: Weights, batch: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, longest) ids, padded on the right, and the mask of the same shape."""
    longest = max(map(len, batch))
    pad = weights.tokenizer.pad_token_id or 0
    ids = [[*row, *[pad] * (longest - len(row))] for row in batch]
    real = [[1] * len(row) + [0] * (longest - len(row)) for row in batch]
    return torch.tensor(ids, device=weights.device), torch.tensor(real, device=weights.device)


def starts(rows: Sequence[Row]) -> list[int]:
    """Where each row begins in the states of a pass."""
    return [0, *accumulate(len(row.ids) for row in rows)][:-1]


def tokens(rows: Sequence[Row]) -> dict[int, tuple[int, int]]:
    """By the index of a row's prompt: tokens that are computed for it, and tokens that were there already. A shared
    beginning is charged to the first prompt that has it."""
    payer: dict[Node, int] = {}
    for row in rows:
        for node in _line(row):
            payer[node] = min(payer.get(node, row.index), row.index)
    found: dict[int, tuple[int, int]] = {}
    for row in rows:
        read, reused = found.get(row.index, (0, 0))
        paid = sum(len(node.ids) for node in (_line(row)) if payer[node] == row.index)
        found[row.index] = (read + len(row.ids) + paid, reused + row.begin - paid)
    return found


def asked_nats(weights: Weights, rows: Sequence[Row], states: torch.Tensor) -> list[torch.Tensor]:
    """For each row its asked log-probabilities in nats, fp32."""
    wanted = [(start + at, token) for start, row in zip(starts(rows), rows, strict=True) for at, token in row.asked]
    return list(torch.split(wanted_nats(weights, states, wanted), [len(row.asked) for row in rows]))


def wanted_nats(weights: Weights, states: torch.Tensor, wanted: Sequence[tuple[int, int]]) -> torch.Tensor:
    """(wanted,) log-probabilities in nats, fp32, of (row of `states` (n, d), token) pairs: the output layer runs on the
    wanted rows only, a few at a time, and with gradients its logits are computed again rather than kept."""
    device = states.device
    spots = sorted({spot for spot, _ in wanted})
    where = {spot: i for i, spot in enumerate(spots)}
    picked = states[torch.tensor(spots, dtype=torch.long, device=device)]
    rows = torch.tensor([where[spot] for spot, _ in wanted], dtype=torch.long, device=device)
    tokens = torch.tensor([token for _, token in wanted], dtype=torch.long, device=device)
    found: list[torch.Tensor] = []
    order: list[torch.Tensor] = []
    for begin in range(0, len(spots), LOGIT_ROWS):
        here = ((rows >= begin) & (rows < begin + LOGIT_ROWS)).nonzero()[:, 0]
        part = (weights, picked[begin : begin + LOGIT_ROWS], rows[here] - begin, tokens[here])
        if torch.is_grad_enabled() and len(spots) > LOGIT_ROWS:
            found.append(checkpoint(_nats_of, *part, use_reentrant=False))
        else:
            found.append(_nats_of(*part))
        order.append(here)
    return torch.cat(found)[torch.cat(order).argsort()] if found else torch.zeros(0, device=device)


def _nats_of(weights: Weights, states: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    logits = weights.logits(states)
    asked = logits[rows, tokens] if weights.dtype == torch.float32 else weights.logits_of(states[rows], tokens)
    return asked - logits.logsumexp(-1)[rows]


def choice_nats(row: Row, nats: torch.Tensor) -> torch.Tensor:
    """(choices,): each choice's asked log-probabilities summed."""
    if all(len(path) == 1 for path in row.choices):
        return nats[[path[0] for path in row.choices]]
    table = torch.zeros((len(row.choices), len(row.asked)), device=nats.device)
    for c, path in enumerate(row.choices):
        table[c, path] = 1.0
    return table @ nats
