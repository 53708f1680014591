"""Rows that are written side by side: all that touches weights, keys and values while text is generated.

A decoder is opened for the prompts of one call and gives the hidden states that each next token follows from. Which
token that is, and when a row ends, is the schedule's business (`generate`). There are three:

- `Slots`, for models that share prefixes. Beginnings that prompts share are encoded once and never copied; each row
  writes its own keys and values at its own position in a buffer, so rows of any length run together, finished ones
  leave and waiting ones enter.
- `Whole`, for models that can't share: rows of equal length run together through transformers' own cache, so nothing is
  padded and nothing depends on masks that some architectures (state spaces) lack.
- `Encoded`, for encoder-decoders: the encoder reads a group of prompts, then the decoder writes all their answers in
  step.

Shapes: n rows, d hidden size, Hk key heads, D head size, S own tokens so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Protocol

import torch
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache

from . import rows as rows_
from . import seq2seq
from .attention import KeysValues, Past, Shared, Span
from .memory import free_bytes
from .rows import Beginnings, Row
from .tree import Node, grow
from .weights import Weights

SLOTS = 64
"""Most rows side by side."""
ENTER = 8
"""Rows enter when so many slots are free: prefilling them together is cheaper than one by one."""
CPU_BYTES = 1 << 30
"""Most keys and values held at a time, but on a GPU."""
MEMORY_SHARE = 3
"""They take one part in so many of the free memory at most: growing them holds old and new ones for a moment."""
STRIDE = 64
"""Buffers grow by so many tokens at least, since growing copies them."""


class Decoder(Protocol):
    """Prompts are named by their index in the list that the decoder was opened with, live rows by their place."""

    order: list[int]
    """How the prompts best enter."""
    computed: list[int]
    """How many of each prompt's tokens are computed for it; the others are read from what it shares."""

    def fits(self, waiting: Sequence[int]) -> int:
        """How many of the waiting, in order, should enter now. At least one where no row is live."""
        ...

    def admit(self, prompts: Sequence[int]) -> tuple[list[int], torch.Tensor]:
        """Those of these prompts that entered, their rows after the live, and the states (n, d) that their next tokens
        follow from. The others do not fit into the memory that is left, not even alone."""
        ...

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """States (n, d) after one more token of every live row."""
        ...

    def release(self, gone: Collection[int]) -> list[int]:
        """Rows at these places have ended. Gives the places of those that stay, in their new order."""
        ...


def open_decoder(
    weights: Weights,
    prompts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    room: Sequence[int],
    begin: Sequence[int],
    most: int,
) -> Decoder:
    """The decoder that fits the model, for `most` rows side by side or fewer. `written` is what each answer has
    already, `room` how many tokens more it may have; `begin` what an encoder-decoder reads before each."""
    if weights.seq2seq:
        return Encoded(weights, prompts, [[*begin, *own] for own in written], most)
    whole = [[*prompt, *own] for prompt, own in zip(prompts, written, strict=True)]
    return Slots(weights, whole, room, most) if weights.shares else Whole(weights, whole, most)


class Slots:
    """Live row i has its own keys and values in `_keys_values[layer][0 | 1][i, :, : _lengths[i]]`."""

    def __init__(self, weights: Weights, prompts: Sequence[Sequence[int]], room: Sequence[int], most: int) -> None:
        leaves = grow(prompts)
        rows = [rows_.build(i, prompts[i][node.end if node else 0 :], (), node) for i, node in leaves]
        self.order = [row.index for row in rows]
        counted = rows_.tokens(rows)
        self.computed = [counted[i][0] for i in range(len(rows))]
        self._weights = weights
        self._rows = {row.index: row for row in rows}
        longest = max((len(row.ids) + room[row.index] for row in rows), default=1)
        self._slots = min(_slots(weights, longest), most, max(1, len(rows)))
        self._beginnings = Beginnings(weights)
        self._held: dict[Node, dict[int, KeysValues]] = {}
        self._keys_values: dict[int, KeysValues] = {}
        self._live: list[Row] = []
        self._lengths: list[int] = []

    def fits(self, waiting: Sequence[int]) -> int:
        free = self._slots - len(self._live)
        enough = not self._live or free >= min(len(waiting), ENTER, max(1, self._slots // 4))
        return min(free, len(waiting)) if enough else 0

    def admit(self, prompts: Sequence[int]) -> tuple[list[int], torch.Tensor]:
        entering = [self._rows[i] for i in prompts]
        entered: list[int] = []
        found: list[torch.Tensor] = []
        for batch, (states, kept) in rows_.in_passes(self._weights, entering, self._read, lost=[]):
            self._enter(batch, kept)
            ends = [start + len(row.ids) - 1 for start, row in zip(rows_.starts(batch), batch, strict=True)]
            found.append(states[torch.tensor(ends, device=states.device)])
            entered += [row.index for row in batch]
        return entered, torch.cat(found) if found else torch.zeros((0, 0))

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        device, n = self._weights.device, len(self._live)
        room = self._reserve(max(self._lengths) + 1)
        at = torch.tensor(self._lengths, device=device)
        unseen = torch.zeros((n, room), device=device)
        unseen.masked_fill_(torch.arange(room, device=device) > at[:, None], float("-inf"))
        past = Past({layer: (k[:n], v[:n]) for layer, (k, v) in self._keys_values.items()}, at, unseen)
        positions = [row.begin + length for row, length in zip(self._live, self._lengths, strict=True)]
        out = self._weights.body(
            input_ids=torch.tensor([list(tokens)], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            shared=Shared(spans=self._spans(), past=past),
        )
        self._lengths = [length + 1 for length in self._lengths]
        states: torch.Tensor = out.last_hidden_state
        return states[0]

    def release(self, gone: Collection[int]) -> list[int]:
        """The last rows move into the holes. Rows that follow different beginnings keep their order instead, so that
        those of a beginning still stand together."""
        order = _packed([row.node for row in self._live], gone)
        moves = [(to, place) for to, place in enumerate(order) if to != place]
        if moves:
            to, place = torch.tensor(moves, device=self._weights.device).T
            seen = max(self._lengths)
            for keys, values in self._keys_values.values():
                keys[to, :, :seen] = keys[place, :, :seen]
                values[to, :, :seen] = values[place, :, :seen]
        self._live, self._lengths = [self._live[i] for i in order], [self._lengths[i] for i in order]
        needed = _nodes(self._live)
        self._held = {node: held for node, held in self._held.items() if node in needed}
        return order

    def _read(self, batch: list[Row]) -> tuple[torch.Tensor, dict[int, KeysValues]]:
        spans = self._beginnings.before(batch)
        self._held.update((node, dict(span.keys_values)) for node, span in zip(_nodes(batch), spans, strict=True))
        kept: dict[int, KeysValues] = {}
        return rows_.forward(self._weights, batch, spans, kept), kept

    def _enter(self, batch: Sequence[Row], kept: dict[int, KeysValues]) -> None:
        """A pass's own keys and values, each (Hk, N, D) a layer, into the slots after the live ones. Zeros follow them:
        what a row that failed has left there may be no numbers."""
        first, last = len(self._live), len(self._live) + len(batch)
        padded, width = _padded(batch)
        at = torch.tensor(padded, device=self._weights.device)
        if not self._keys_values:
            self._keys_values = {
                layer: (self._empty(keys), self._empty(values)) for layer, (keys, values) in kept.items()
            }
        self._reserve(width)
        for layer, own in kept.items():
            for buffer, flat in zip(self._keys_values[layer], own, strict=True):
                buffer[first:last, :, :width] = flat[:, at].transpose(0, 1)
                buffer[first:last, :, width:] = 0
        self._live += batch
        self._lengths += [len(row.ids) for row in batch]

    def _empty(self, own: torch.Tensor) -> torch.Tensor:
        heads, _, size = own.shape
        return own.new_zeros((self._slots, heads, 0, size))

    def _reserve(self, width: int) -> int:
        """Room for so many tokens a row, little more: all of it is multiplied. Gives how many there is room for. Zeros,
        since what is not seen is multiplied by 0 and must be a number."""
        have = next(iter(self._keys_values.values()))[0].shape[2]
        if width <= have:
            return have
        more = max(STRIDE, width - have)
        for layer, (keys, values) in self._keys_values.items():
            # One at a time: what the last one leaves is room for the next, which the system need not give anew.
            self._keys_values[layer] = (_widened(keys, more), _widened(values, more))
        return have + more

    def _spans(self) -> list[Span]:
        """The beginnings that live rows follow, each for the places of its rows, which stand together."""
        reach: dict[Node, tuple[int, int]] = {}
        for place, row in enumerate(self._live):
            for node in row.node.line() if row.node else ():
                reach[node] = (reach.get(node, (place, place))[0], place + 1)
        return [Span(begin, end, self._held[node]) for node, (begin, end) in reach.items()]


class Whole:
    """Every prompt is read whole, and a group ends before the next one begins."""

    def __init__(self, weights: Weights, prompts: Sequence[Sequence[int]], most: int) -> None:
        self.computed = [len(prompt) for prompt in prompts]
        self.order = sorted(range(len(prompts)), key=self.computed.__getitem__)
        self._weights = weights
        self._prompts = prompts
        self._most = most
        self._ids = torch.zeros((0, 0), dtype=torch.long)
        self._named: dict[str, Cache] = {}

    def fits(self, waiting: Sequence[int]) -> int:
        if self._ids.shape[0]:
            return 0
        width = self.computed[waiting[0]]
        equal = next((n for n, i in enumerate(waiting) if self.computed[i] != width), len(waiting))
        most = min(_slots(self._weights, width), self._most)
        return min(equal, most, max(1, rows_.pass_tokens(self._weights) // width))

    def admit(self, prompts: Sequence[int]) -> tuple[list[int], torch.Tensor]:
        self._ids = torch.tensor([list(self._prompts[i]) for i in prompts], device=self._weights.device)
        self._named = {}
        return list(prompts), self._pass(self._ids)

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        new = torch.tensor(tokens, device=self._weights.device)[:, None]
        self._ids = torch.cat([self._ids, new], 1)
        return self._pass(new if self._named else self._ids)

    def release(self, gone: Collection[int]) -> list[int]:
        stay = [i for i in range(self._ids.shape[0]) if i not in gone]
        rows = _indices(stay, self._weights)
        self._ids = self._ids[rows]
        for cache in self._named.values():
            if stay:
                cache.reorder_cache(rows)
        return stay

    def _pass(self, ids: torch.Tensor) -> torch.Tensor:
        """A model that keeps no `Cache`, under one of these names, reads everything again for each token."""
        out = self._weights.body(input_ids=ids, use_cache=True, **self._named)
        kept = {name: getattr(out, name, None) for name in ("past_key_values", "cache_params")}
        self._named = {name: cache for name, cache in kept.items() if isinstance(cache, Cache)}
        states: torch.Tensor = out.last_hidden_state
        return states[:, -1]


class Encoded:
    """All answers of a group have written equally many tokens, so the decoder needs no padding. `begins` is what it
    reads first of each."""

    def __init__(
        self, weights: Weights, prompts: Sequence[Sequence[int]], begins: Sequence[list[int]], most: int
    ) -> None:
        self.computed = [len(prompt) for prompt in prompts]
        self.order = sorted(range(len(prompts)), key=lambda i: (len(begins[i]), self.computed[i]))
        self._weights = weights
        self._prompts = prompts
        self._begins = begins
        self._most = most
        self._states = self._mask = torch.zeros((0, 0))
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def fits(self, waiting: Sequence[int]) -> int:
        if self._states.shape[0]:
            return 0
        begun = len(self._begins[waiting[0]])
        alike = sum(1 for _ in takewhile(lambda i: len(self._begins[i]) == begun, waiting))
        fit = 1
        while fit < min(alike, SLOTS, self._most) and (fit + 1) * self.computed[waiting[fit]] <= seq2seq.BATCH_TOKENS:
            fit += 1
        return fit

    def admit(self, prompts: Sequence[int]) -> tuple[list[int], torch.Tensor]:
        self._states, self._mask = seq2seq.encode(self._weights, [self._prompts[i] for i in prompts])
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return list(prompts), self._pass([self._begins[i] for i in prompts])

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        return self._pass([[token] for token in tokens])

    def release(self, gone: Collection[int]) -> list[int]:
        stay = [i for i in range(self._states.shape[0]) if i not in gone]
        rows = _indices(stay, self._weights)
        self._states, self._mask = self._states[rows], self._mask[rows]
        if stay:
            self._cache.reorder_cache(rows)
        return stay

    def _pass(self, ids: list[list[int]]) -> torch.Tensor:
        tokens = torch.tensor(ids, device=self._weights.device)
        return seq2seq.decode(self._weights, tokens, self._states, self._mask, self._cache)[:, -1]


def _slots(weights: Weights, tokens: int) -> int:
    """How many rows of so many tokens of their own the memory for keys and values holds."""
    config = weights.net.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or getattr(config, "num_attention_heads", 1)
    size = getattr(config, "head_dim", None) or config.hidden_size // getattr(config, "num_attention_heads", 1)
    a_token = 2 * config.num_hidden_layers * heads * size * weights.dtype.itemsize
    memory = free_bytes(weights.device) // MEMORY_SHARE
    if weights.device.type != "cuda":
        memory = min(memory, CPU_BYTES)
    return int(max(1, min(SLOTS, memory // (a_token * tokens))))


def _indices(places: Sequence[int], weights: Weights) -> torch.LongTensor:
    return torch.tensor(places, dtype=torch.long, device=weights.device)  # type: ignore[return-value]


def _nodes(rows: Iterable[Row]) -> dict[Node, None]:
    """Every beginning that these rows follow, in the order in which they come."""
    return dict.fromkeys(node for row in rows if row.node for node in row.node.line())


def _padded(rows: Sequence[Row]) -> tuple[list[list[int]], int]:
    """(n, longest) where each row's tokens lie in a pass; beyond its end its first one again."""
    longest = max(len(row.ids) for row in rows)
    lines = zip(rows_.starts(rows), rows, strict=True)
    return [[start + (at if at < len(row.ids) else 0) for at in range(longest)] for start, row in lines], longest


def _packed(nodes: Sequence[Node | None], gone: Collection[int]) -> list[int]:
    """The places that stay, in an order that moves few of them and parts no rows of one node."""
    stay = [i for i in range(len(nodes)) if i not in gone]
    if len({nodes[i] for i in stay}) > 1:
        return stay
    moved = [i for i in stay if i >= len(stay)]
    return [i if i not in gone else moved.pop() for i in range(len(stay))]


def _widened(buffer: torch.Tensor, more: int) -> torch.Tensor:
    rows, heads, width, size = buffer.shape
    wide = buffer.new_empty((rows, heads, width + more, size))
    wide[:, :, :width] = buffer
    wide[:, :, width:] = 0
    return wide
