"""Encoder-decoders (T5, BART and their kin): the prompt goes through the encoder, the answer through the decoder.

The encoder reads each distinct prompt of a call once. The decoder reads the tokens that begin every answer once a
prompt too, which gives the first token of all its choices, and leaves the keys and values of its attention to the
prompt; the rows that tell longer choices apart attend to these, so 77 labels read no prompt again. A choice is
tokenized as a text of its own, and its end counts where it does for causal models (`choices`).

Shapes: B prompts or R rows, S prompt tokens, T answer tokens, d.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

from ..model import EmbedRequest, Failure, Pooling, ScoreRequest, Scores, Usage, Vector
from ..task import Prompt
from . import choices as choices_
from . import rows as rows_
from .embed import checked
from .fit import fitted, too_long
from .render import Renderer
from .rows import Row
from .weights import Weights

BATCH_TOKENS = 4096
"""Padded prompt tokens whose keys and values are copied for the decoder's rows at a time."""
BATCH_ROWS = 64


@dataclass
class _Asked:
    """One request on its way: its prompt (an index into the call's distinct ones), the tokens of its choices, and their
    log-probabilities as they add up."""

    index: int
    prompt: int
    choices: list[list[int]]
    first: bool
    nats: list[float] = field(default_factory=list)
    read: int = 0


@dataclass(frozen=True)
class _Path:
    """A decoder row: tokens after the begin, and for each choice it decides (choice, how many of its tokens)."""

    asked: _Asked
    ids: list[int]
    choices: list[int]


@dataclass(frozen=True)
class _Read:
    """A batch of prompts read by the encoder, and by the decoder up to where answers begin. `states` (B, S, d),
    `mask` (B, S), `cache` of the decoder, `last` (B, d): its states that the first tokens follow from."""

    states: torch.Tensor
    mask: torch.Tensor
    cache: EncoderDecoderCache
    last: torch.Tensor


def score(weights: Weights, renderer: Renderer, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
    """One Scores or Failure a request, in order."""
    start = time.perf_counter()
    found: list[Scores | Failure | None] = [None] * len(requests)
    begin = begin_ids(weights, renderer)
    prompts: dict[tuple[int, ...], list[_Asked]] = {}
    cut = [0] * len(requests)
    for index, (request, known) in enumerate(zip(requests, _read_all(renderer, requests), strict=True)):
        read = partial(_encoder_ids, renderer, request.prompt, known)
        made = fitted(renderer, request.prompt, weights.context_tokens, _length, read)
        prompt, cut[index] = made
        if isinstance(prompt, Failure):
            found[index] = prompt
            continue
        branches = _branches(weights, renderer, len(begin), request.choices)
        if isinstance(branches, Failure):
            found[index] = branches
            continue
        same = prompts.setdefault(tuple(prompt), [])
        same.append(_Asked(index, 0, branches, not same))
    waiting = list(prompts.values())

    def run(batch: list[Row]) -> None:
        _score(weights, begin, [row.ids for row in batch], [waiting[row.index] for row in batch])

    lost: list[Row] = []
    with torch.inference_mode():
        list(rows_.in_passes(weights, _rows(prompts), run, lost))
    unfit = {row.index: rows_.no_memory(len(row.ids)) for row in lost}
    for place, (ids, same) in enumerate(prompts.items()):
        for asked in same:
            found[asked.index] = unfit.get(place) or _scores(asked, len(ids) + len(begin))
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [rows_.whole(entry, Usage(seconds=seconds, tokens_cut=cut[index])) for index, entry in enumerate(found)]


def embed(weights: Weights, renderer: Renderer, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
    """One Vector (float32, (d,)) or Failure a request, in order: the encoder's states, their mean where no pooling is
    asked for. A text longer than the context is refused, like a prompt."""
    start = time.perf_counter()
    found: list[Vector | Failure | None] = [None] * len(requests)
    wanted: dict[tuple[int, ...], list[int]] = {}
    cut = [0] * len(requests)
    for index, (request, known) in enumerate(zip(requests, _read_all(renderer, requests), strict=True)):
        ids: list[int] | Failure = known
        if isinstance(request.content, Prompt):
            read = partial(_encoder_ids, renderer, request.content, known)
            made = fitted(renderer, request.content, weights.context_tokens, _length, read)
            ids, cut[index] = made
        elif not isinstance(known, Failure) and len(known) > weights.context_tokens:
            ids = too_long(len(known), weights.context_tokens)
        if isinstance(ids, Failure):
            found[index] = ids
        else:
            wanted.setdefault(tuple(ids), []).append(index)
    waiting = list(wanted.values())

    def run(batch: list[Row]) -> None:
        _embed(weights, [row.ids for row in batch], [waiting[row.index] for row in batch], requests, found)

    lost: list[Row] = []
    with torch.inference_mode():
        list(rows_.in_passes(weights, _rows(wanted), run, lost))
    for row in lost:
        for index in waiting[row.index]:
            found[index] = rows_.no_memory(len(row.ids))
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [rows_.whole(entry, Usage(seconds=seconds, tokens_cut=cut[index])) for index, entry in enumerate(found)]


def begin_ids(weights: Weights, renderer: Renderer) -> list[int]:
    """What the decoder reads before an answer's first token: its start token, and what the tokenizer puts before every
    target (a start of text for BART, a language for NLLB)."""
    return [weights.decoder_start, *renderer.target_wrapping[0]]


def encode(weights: Weights, batch: Sequence[Sequence[int]], layer: int = -1) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's states (B, S, d) of prompts padded on the right, and the mask (B, S) of what is no padding."""
    ids, mask = rows_.padded(weights, batch)
    out = weights.body(input_ids=ids, attention_mask=mask, output_hidden_states=layer != -1)
    return out.last_hidden_state if layer == -1 else out.hidden_states[layer], mask


def _rows(prompts: Iterable[Sequence[int]]) -> list[Row]:
    """A row for each prompt, those of like length together."""
    return rows_.by_length([rows_.build(i, ids, ()) for i, ids in enumerate(prompts)])


def _read_all(
    renderer: Renderer, requests: Sequence[ScoreRequest] | Sequence[EmbedRequest]
) -> list[list[int] | Failure]:
    """What the encoder reads for each request, or why it can't: all tokenized in one call."""
    contents = [r.prompt if isinstance(r, ScoreRequest) else r.content for r in requests]
    texts = [renderer.read(c) if isinstance(c, Prompt) else renderer.bare(c) for c in contents]
    ids = renderer.encoder_ids(["" if isinstance(text, Failure) else text for text in texts])
    return [text if isinstance(text, Failure) else own for text, own in zip(texts, ids, strict=True)]


def _encoder_ids(renderer: Renderer, first: Prompt, known: list[int] | Failure, prompt: Prompt) -> list[int] | Failure:
    """What the encoder reads of a prompt; `known` of the `first`."""
    if prompt is first:
        return known
    text = renderer.read(prompt)
    return text if isinstance(text, Failure) else renderer.encoder_ids([text])[0]


def _length(ids: list[int]) -> int:
    return len(ids)


def _branches(weights: Weights, renderer: Renderer, begin: int, choices: Sequence[str]) -> list[list[int]] | Failure:
    """The tokens of each choice, which the decoder reads after `begin` others; or why they can't be scored."""
    if fault := choices_.fault(choices):
        return fault
    branches = choices_.parted(renderer.target_ids(choices), renderer.tokenizer.eos_token_id)
    if fault := choices_.token_fault(choices, branches):
        return fault
    longest = begin + max(map(len, branches)) - 1
    if longest > weights.answer_tokens:
        return Failure(
            "too_long", f"A choice has {longest} tokens; the model's decoder reads at most {weights.answer_tokens}."
        )
    return branches


def _score(weights: Weights, begin: list[int], batch: list[list[int]], asked: list[list[_Asked]]) -> None:
    """Fills in the `nats` of all requests about a batch of prompts."""
    read = _read(weights, begin, batch)
    here: list[_Asked] = []
    for b, same in enumerate(asked):
        for one in same:
            one.prompt = b
            here.append(one)
    heads = [(one.prompt, choice[0]) for one in here for choice in one.choices]
    nats = iter(rows_.wanted_nats(weights, read.last, heads).tolist())
    for one in here:
        one.nats = [next(nats) for _ in one.choices]
    paths = [path for one in here for path in _paths(one)]
    for rows in _row_batches(paths, read.states.shape[1]):
        _continue(weights, read, rows)


def _read(weights: Weights, begin: list[int], batch: list[list[int]]) -> _Read:
    states, mask = encode(weights, batch)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    ids = torch.tensor([begin] * len(batch), device=weights.device)
    return _Read(states, mask, cache, decode(weights, ids, states, mask, cache)[:, -1])


def decode(
    weights: Weights, ids: torch.Tensor, states: torch.Tensor, mask: torch.Tensor, cache: EncoderDecoderCache
) -> torch.Tensor:
    """The decoder's states (R, T, d) of the tokens `ids` (R, T) after those in `cache`, which grows by them."""
    out = weights.net.get_decoder()(
        input_ids=ids, encoder_hidden_states=states, encoder_attention_mask=mask, past_key_values=cache, use_cache=True
    )
    found: torch.Tensor = out.last_hidden_state
    return found


def _paths(one: _Asked) -> list[_Path]:
    """The decoder rows that a request needs beyond the begin: a choice's tokens but the last, and none that begins
    another."""
    inner = [tuple(choice[:-1]) for choice in one.choices]
    paths: list[_Path] = []
    left = {c for c, ids in enumerate(inner) if ids}
    for ids in sorted(set(inner), key=len, reverse=True):
        decided = [c for c in left if inner[c] == ids[: len(inner[c])]]
        if decided:
            paths.append(_Path(one, list(ids), decided))
            left.difference_update(decided)
    one.read = sum(len(path.ids) for path in paths)
    return paths


def _row_batches(paths: Sequence[_Path], tokens: int) -> Iterator[list[_Path]]:
    """Rows of several prompts whose keys and values are few enough to copy, or of one prompt, which are not copied."""
    most = max(1, BATCH_TOKENS // tokens)
    batch: list[_Path] = []
    for path in paths:
        alone = all(other.asked.prompt == path.asked.prompt for other in batch)
        if batch and (len(batch) >= BATCH_ROWS or (len(batch) >= most and not alone)):
            yield batch
            batch = []
        batch.append(path)
    if batch:
        yield batch


def _continue(weights: Weights, read: _Read, rows: Sequence[_Path]) -> None:
    """Adds what follows the first token of each choice that these rows decide."""
    at = [row.asked.prompt for row in rows]
    ids, _ = rows_.padded(weights, [row.ids for row in rows])
    states = decode(weights, ids, _picked(read.states, at), _picked(read.mask, at), _picked_cache(read.cache, at))
    width = ids.shape[1]
    wanted: list[tuple[int, int]] = []
    owners: list[tuple[_Asked, int]] = []
    for r, row in enumerate(rows):
        for c in row.choices:
            for depth, token in enumerate(row.asked.choices[c][1:]):
                wanted.append((r * width + depth, token))
                owners.append((row.asked, c))
    told = rows_.wanted_nats(weights, states.flatten(0, 1), wanted).tolist()
    for (one, c), value in zip(owners, told, strict=True):
        one.nats[c] += value


def _picked(tensor: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
    """Rows of a tensor (B, ...); where they are all the same one, a view that copies nothing."""
    if len(set(rows)) == 1:
        return tensor[rows[0] : rows[0] + 1].expand(len(rows), *tensor.shape[1:])
    return tensor[torch.tensor(rows, device=tensor.device)]


def _picked_cache(cache: EncoderDecoderCache, rows: Sequence[int]) -> EncoderDecoderCache:
    """The same of every key and value; growing it leaves `cache` as it is."""
    return EncoderDecoderCache(
        *(_picked_layers(part, rows) for part in (cache.self_attention_cache, cache.cross_attention_cache))
    )


def _picked_layers(part: Any, rows: Sequence[int]) -> DynamicCache:
    picked = DynamicCache()
    for layer in part.layers:
        keys, values = _picked(layer.keys, rows), _picked(layer.values, rows)
        own = DynamicLayer()  # type: ignore[no-untyped-call]
        own.lazy_initialization(keys, values)
        own.keys, own.values = keys, values
        picked.layers.append(own)
    return picked


def _embed(
    weights: Weights,
    batch: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[int]],
    requests: Sequence[EmbedRequest],
    found: list[Vector | Failure | None],
) -> None:
    """Vectors of all requests about a batch of texts."""
    layers = {requests[index].layer for same in wanted for index in same}
    states = {layer: encode(weights, batch, layer) for layer in layers}
    for b, same in enumerate(wanted):
        for index in same:
            request, tokens = requests[index], len(batch[b])
            vector = _pooled(states[request.layer][0][b, :tokens].float(), request.pooling or weights.pooling)
            if request.normalise:
                vector = torch.nn.functional.normalize(vector, dim=-1)
            read = Usage(tokens_in=tokens) if index == same[0] else Usage(tokens_reused=tokens)
            found[index] = checked(np.ascontiguousarray(vector.cpu().numpy()), read)


def _pooled(states: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """(d,) of the states (S, d) of one text."""
    match pooling:
        case "first":
            return states[0]
        case "last":
            return states[-1]
        case "mean":
            return states.mean(0)


def _scores(asked: _Asked, prompt_tokens: int) -> Scores | Failure:
    if not all(map(math.isfinite, asked.nats)):
        return Failure("nan", "The model gave NaN for this prompt.")
    read = asked.read + (prompt_tokens if asked.first else 0)
    usage = Usage(tokens_in=read, tokens_reused=0 if asked.first else prompt_tokens)
    return Scores(tuple(asked.nats), tuple(map(len, asked.choices)), usage=usage)
