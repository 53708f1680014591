"""Writing text: the prompts' common beginning is read once, rows are prefilled together, finished rows leave the batch.

Greedy, or sampled with a generator seeded for each request, so that an answer does not depend on its batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..model import Answer, Failure, GenerateRequest, Usage
from . import rows as rows_
from .attention import KeysValues, Shared
from .render import Renderer
from .rows import Row
from .score import too_long
from .weights import Weights

OnText = Callable[[int, str], None]
BATCH_ROWS = 32


@dataclass
class _Writing:
    """A row on its way: what it has written, its log-probability, and why it stopped."""

    row: Row
    request: GenerateRequest
    ids: list[int] = field(default_factory=list)
    nats: float = 0.0
    text: str = ""
    why: str = ""
    said: int = 0
    dice: torch.Generator | None = None


def generate(
    weights: Weights, renderer: Renderer, requests: Sequence[GenerateRequest], on_text: OnText | None = None
) -> list[Answer | Failure]:
    """One Answer or Failure a request, in order; `on_text(i, piece)` as pieces of request i become certain."""
    start = time.perf_counter()
    texts = [renderer.read(request.prompt) for request in requests]
    ids = renderer.ids(["" if isinstance(text, Failure) else text for text in texts])
    found: list[Answer | Failure | None] = [None] * len(requests)
    fit: list[int] = []
    for index, text in enumerate(texts):
        if isinstance(text, Failure):
            found[index] = text
        elif len(ids[index]) + 1 > weights.context_tokens:
            found[index] = too_long(len(ids[index]) + 1, weights.context_tokens)
        else:
            fit.append(index)
    with torch.inference_mode():
        offset = rows_.shared_prefix([ids[i] for i in fit], weights.shares)
        prefix = rows_.encode_prefix(weights, ids[fit[0]][:offset]) if offset else {}
        rows = [rows_.build(i, ids[i][offset:], []) for i in fit]
        for batch in rows_.batches(rows, most=BATCH_ROWS):
            writing = [_Writing(row, requests[row.index], dice=_dice(weights, requests[row.index])) for row in batch]
            (_write_shared if weights.shares else _write_plain)(weights, renderer, writing, offset, prefix, on_text)
            for w in writing:
                leads = w.row.index == fit[0]
                usage = Usage(len(w.row.ids) + (offset if leads else 0), len(w.ids), 0 if leads else offset)
                found[w.row.index] = Answer(w.text, w.nats, w.why or "length", usage)
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [_timed(entry, seconds) for entry in found]


def _dice(weights: Weights, request: GenerateRequest) -> torch.Generator | None:
    return torch.Generator(weights.device).manual_seed(request.seed) if request.temperature > 0 else None


def _write_shared(
    weights: Weights,
    renderer: Renderer,
    writing: list[_Writing],
    offset: int,
    prefix: dict[int, KeysValues],
    on_text: OnText | None,
) -> None:
    """Prefill, then one token a step; the batch is packed anew whenever half of it has finished."""
    width = max(len(w.row.ids) for w in writing)
    steps = max(_room(weights, w, offset) for w in writing)
    recorded = Shared(prefix=prefix, record=True)
    states = rows_.hidden(weights, [w.row for w in writing], offset, recorded)
    last = states[torch.arange(len(writing)), torch.tensor([len(w.row.ids) - 1 for w in writing])]
    past = {layer: tuple(_widened(part, steps) for part in own) for layer, own in recorded.own.items()}
    shared = Shared(prefix=prefix, past=past, slot=width)  # type: ignore[arg-type]
    seen = torch.zeros((len(writing), width + steps), dtype=torch.bool)
    for b, w in enumerate(writing):
        seen[b, : len(w.row.ids)] = True
    live = list(writing)
    for step in range(steps):
        tokens = _next_tokens(weights, renderer, live, last, offset, on_text)
        keep = [b for b, w in enumerate(live) if not w.why]
        if not keep or step == steps - 1:
            return
        if len(keep) <= len(live) // 2:
            rows = torch.tensor(keep, device=weights.device)
            shared.past = {layer: (k[rows], v[rows]) for layer, (k, v) in shared.past.items()}
            live, seen, tokens = [live[b] for b in keep], seen[keep], [tokens[b] for b in keep]
        seen[:, shared.slot] = True
        mask = torch.zeros((len(live), 1, 1, shared.slot + 1), dtype=weights.dtype)
        mask.masked_fill_(~seen[:, None, None, : shared.slot + 1], float("-inf"))
        last = weights.body(
            input_ids=torch.tensor(tokens, device=weights.device)[:, None],
            # A row that has finished stays for a while; its position must exist, whatever becomes of it.
            position_ids=torch.tensor(
                [[min(offset + len(w.row.ids) + step, weights.context_tokens - 1)] for w in live], device=weights.device
            ),
            attention_mask=mask.to(weights.device),
            use_cache=False,
            shared=shared,
        ).last_hidden_state[:, 0]
        shared.slot += 1


def _write_plain(
    weights: Weights,
    renderer: Renderer,
    writing: list[_Writing],
    offset: int,
    prefix: dict[int, KeysValues],
    on_text: OnText | None,
) -> None:
    """For models that can't share: row by row with the model's own cache."""
    for w in writing:
        ids, cache = torch.tensor([w.row.ids], device=weights.device), None
        for _ in range(_room(weights, w, 0)):
            out = weights.body(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = getattr(out, "past_key_values", None) or getattr(out, "cache_params", None)
            token = _next_tokens(weights, renderer, [w], out.last_hidden_state[:, -1], 0, on_text)[0]
            if w.why:
                break
            step = [token] if cache is not None else [*w.row.ids, *w.ids]
            ids = torch.tensor([step], device=weights.device)


def _next_tokens(
    weights: Weights,
    renderer: Renderer,
    live: list[_Writing],
    last: torch.Tensor,
    offset: int,
    on_text: OnText | None,
) -> list[int]:
    """The next token of every row; rows that end with it say why."""
    nats = torch.log_softmax(weights.logits(last), -1)
    greedy = nats.argmax(-1).tolist()
    tokens: list[int] = []
    for b, w in enumerate(live):
        token = greedy[b]
        if w.dice is not None:
            chances = torch.softmax(nats[b] / w.request.temperature, -1)
            token = int(torch.multinomial(chances, 1, generator=w.dice))
        tokens.append(token)
        if w.why:
            continue
        w.nats += float(nats[b, token])
        _add(renderer, w, token, on_text)
        if not w.why and len(w.ids) >= _room(weights, w, offset):
            w.why = "length"
            _say(w, on_text, final=True)
    return tokens


def _add(renderer: Renderer, w: _Writing, token: int, on_text: OnText | None) -> None:
    if token in renderer.end_ids:
        w.why = "end"
    else:
        w.ids.append(token)
        w.text = renderer.tokenizer.decode(w.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for stop in w.request.stop:
            if stop and stop in w.text:
                w.text, w.why = w.text[: w.text.index(stop)], "stop"
    _say(w, on_text, final=bool(w.why))


def _say(w: _Writing, on_text: OnText | None, final: bool) -> None:
    """Hand on what is certain: no half characters, and nothing that may turn out to begin a stop string."""
    if on_text is None:
        return
    held = 0 if final else max((len(s) - 1 for s in w.request.stop), default=0)
    certain = w.text[: max(0, len(w.text) - held)]
    if not final:
        certain = certain.rstrip("\ufffd")
    if len(certain) > w.said:
        on_text(w.row.index, certain[w.said :])
        w.said = len(certain)


def _room(weights: Weights, w: _Writing, offset: int) -> int:
    return max(1, min(w.request.max_tokens, weights.context_tokens - offset - len(w.row.ids)))


def _widened(part: torch.Tensor, steps: int) -> torch.Tensor:
    rows, heads, width, size = part.shape
    buffer = part.new_zeros((rows, heads, width + steps, size))
    buffer[:, :, :width] = part
    return buffer


def _timed(entry: Answer | Failure | None, seconds: float) -> Answer | Failure:
    assert entry is not None
    if isinstance(entry, Failure):
        return entry
    return Answer(entry.text, entry.nats, entry.why_stopped, entry.usage + Usage(seconds=seconds))
