"""Attention for passes without padding, whose rows share beginnings.

A pass lays all its rows in one line, (1, N, d): every matrix product sees real tokens only. Attention alone asks which
row a token belongs to. A row sees its own tokens, and the beginnings ("spans") that it shares with its neighbours:
their keys and values are computed once, held once, and attended to by all rows of the pass together (Hydragen,
Juravsky et al. 2024). Parts are computed apart and joined by their log-sum-exps,

    out = (2^{l_1} out_1 + 2^{l_2} out_2) / (2^{l_1} + 2^{l_2}).

Powers of two are cheaper than those of e, so scores are multiplied by 1 / ln 2 first, and each l is in bits.

Within a part, scores are taken relative to a reference c near the largest one, which rides along as one more dimension
of the product: q' = [q, c], k' = [k, -1]. So bf16 scores are finest where they weigh most, and exponentials can't
overflow unless a score lies 128 bits above its reference; then that part is computed again from its true maximum. Two
products and one exponential, each a call that libraries run at full rate: for heads of 64 three times as fast as the
fused kernel for CPUs, and the same code everywhere.

transformers lets an attention function be registered by name, so no model code is touched. What a pass needs rides
along as the keyword `shared`. Shapes: N tokens, R rows of at most T, P tokens of a span, Hq / Hk query / key heads,
g = Hq / Hk, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import log
from typing import Any

import torch
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "tuningfork_shared_prefix"
SCORES = 1 << 22
"""Scores held at a time, where a row has not more: 8 MiB in bf16, which stay in a processor's cache."""
BLOCK = 256
"""A longer row that runs on attends to its own tokens block by block, so that little above the diagonal is computed."""
BITS = 1 / log(2)
"""What scores are multiplied by, so that they are powers of two: those are cheaper than powers of e by a fifth."""

LARGEST = 1e30
"""A sum of exponentials above this may overflow once it is multiplied by values."""

KeysValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """How rows lie in a pass. `padded` (R, T) says which token stands at a row's place (its first one beyond its end),
    `flat` (N,) where in (R, T) a token stands. `unseen` is added to scores: (T, T) for rows that simply run on,
    (R, T, T) for trees, (R, 1, T) for rows that are read both ways; (BLOCK, BLOCK) for rows that run on for longer than
    that: they are read in blocks, all alike."""

    rows: int
    width: int
    ends: tuple[int, ...]
    padded: torch.Tensor
    flat: torch.Tensor
    unseen: torch.Tensor

    @cached_property
    def whole_unseen(self) -> torch.Tensor:
        """`unseen` of whole rows, where they are not read in blocks after all."""
        if self.unseen.dim() > 2 or len(self.unseen) == self.width:
            return self.unseen
        return self.unseen.new_full((self.width, self.width), float("-inf")).triu_(1)

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
        seen: torch.Tensor | None = None,
        both_ways: bool = False,
    ) -> Layout:
        """Rows of these lengths, which run on where `seen` (R, T, T) does not say otherwise; with `both_ways` a token
        sees all of its row."""
        starts = torch.tensor([0, *accumulate(lengths)][:-1])[:, None]
        places = torch.arange(max(lengths))[None]
        real = places < torch.tensor(lengths)[:, None]
        padded = torch.where(real, starts + places, starts)
        if both_ways:
            seen = real[:, None]
        elif seen is None:
            block = min(max(lengths), BLOCK)
            seen = torch.ones((block, block), dtype=torch.bool).tril()
        unseen = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, float("-inf"))
        flat = real.flatten().nonzero()[:, 0]
        return cls(
            len(lengths),
            max(lengths),
            tuple(accumulate(lengths)),
            padded.flatten().to(device),
            flat.to(device),
            unseen.to(device),
        )


@dataclass(frozen=True)
class Span:
    """Tokens `begin` to `end` of a pass come after the same beginning. `keys_values[layer]` as `held` makes them:
    (Hk, P, D + 1) and (Hk, P, D); in training as they came from their pass, each (Hk, P, D)."""

    begin: int
    end: int
    keys_values: Mapping[int, KeysValues]


@dataclass
class Past:
    """What rows wrote before, a token a row in each pass: `keys_values[layer]` are buffers (B, Hk, S, D), contiguous,
    or each product would copy them; this pass's go to `at` (B,) of each row, which then sees what `unseen` (B, S),
    added to scores, lets it see."""

    keys_values: dict[int, KeysValues]
    at: torch.Tensor
    unseen: torch.Tensor


@dataclass(frozen=True)
class Learned:
    """Keys and values that were learned, for tokens at `places` (m,) of a pass: the virtual tokens `which` (m,) of
    `values` (layers, 2, Hk, n, D)."""

    places: torch.Tensor
    which: torch.Tensor
    values: torch.Tensor

    def put(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> KeysValues:
        """`key` and `value` (1, Hk, N, D) with the learned ones in their places."""
        own = self.values[layer][:, :, self.which].to(key.dtype)[:, None]
        return key.index_copy(2, self.places, own[0]), value.index_copy(2, self.places, own[1])


@dataclass
class Shared:
    """What one pass needs: how its rows lie (none where `past` is given), the spans they share, where its own keys and
    values, each (Hk, N, D) a layer, are to be kept, if anywhere, and those that were learned. In training the first
    row, of `lead` tokens, may be what all others follow."""

    layout: Layout | None = None
    spans: Sequence[Span] = ()
    past: Past | None = None
    kept: dict[int, KeysValues] | None = None
    learned: Learned | None = None
    lead: int = 0


def held(kept: Mapping[int, KeysValues]) -> dict[int, KeysValues]:
    """A pass's own keys and values, ready for others to attend to. Keys get the dimension that takes the reference
    off."""
    return {layer: (F.pad(keys, (0, 1), value=-1.0), values.contiguous()) for layer, (keys, values) in kept.items()}


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    shared: Shared | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The registered function: `query` (1, Hq, N, D), `key`, `value` (1, Hk, N, D). Returns (1, N, Hq, D)."""
    if shared is None:
        raise RuntimeError("a pass through shared-prefix attention must say what it shares")
    if softcap is not None or s_aux is not None:
        raise RuntimeError(
            "scores that are capped, or share their weight with a sink, are not those that are joined here"
        )
    layer = int(getattr(module, "layer_idx", 0) or 0)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if shared.learned is not None:
        key, value = shared.learned.put(layer, key, value)
    if shared.kept is not None:
        shared.kept[layer] = (key[0], value[0])
    if torch.is_grad_enabled():
        return _trained(query, key, value, shared, layer, scale)[None], None
    query = query[0] * (scale * BITS)
    if shared.past is not None:
        out, bits = _written(query, key[0], value[0], shared.past, layer)
    else:
        assert shared.layout is not None
        out, bits = _own(query, key[0], value[0], shared.layout)
    for span in shared.spans:
        part = slice(span.begin, span.end)
        joined = _with_span(query[:, part], out[part], bits[part], span.keys_values[layer])
        if span.end - span.begin == len(out):
            out, bits = joined
        else:
            out[part], bits[part] = joined
    return out[None], None


def _own(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's attention to its own tokens: (N, Hq, D), and the log-sum-exp of its scores, fp32 (N, Hq)."""
    heads, _, size = query.shape
    key_heads, rows, width = key.shape[0], layout.rows, layout.width
    if width > BLOCK and layout.unseen.dim() == 2:
        ends = layout.ends
        parts = [slice(begin, end) for begin, end in zip((0, *ends), ends, strict=False)]
        told = [_blocks(query[:, part], key[:, part], value[:, part], layout.unseen) for part in parts]
        return torch.cat([out for out, _ in told]), torch.cat([bits for _, bits in told])
    q = query.transpose(0, 1)[layout.padded].view(rows, width, key_heads, -1, size).permute(0, 2, 3, 1, 4)
    k = key.transpose(0, 1)[layout.padded].view(rows, width, key_heads, size).transpose(1, 2)
    v = value.transpose(0, 1)[layout.padded].view(rows, width, key_heads, size).transpose(1, 2)
    out, bits = _within(q, k, v, layout.unseen)
    return (
        out.permute(0, 3, 1, 2, 4).reshape(rows * width, heads, size)[layout.flat],
        bits.permute(0, 3, 1, 2).reshape(rows * width, heads)[layout.flat],
    )


def _blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, unseen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One long row: a block sees itself as far as `unseen` (BLOCK, BLOCK) lets it, and all before it as a span."""
    heads, tokens, size = query.shape
    key_heads = key.shape[0]
    outs, all_bits = [], []
    padded = F.pad(key, (0, 1), value=-1.0)
    for begin in range(0, tokens, BLOCK):
        here = slice(begin, min(begin + BLOCK, tokens))
        own = here.stop - begin
        q = query[:, here].reshape(1, key_heads, -1, own, size)
        out, bits = _within(q, key[None, :, here], value[None, :, here], unseen[:own, :own])
        out, bits = out[0].permute(2, 0, 1, 3).reshape(-1, heads, size), bits[0].permute(2, 0, 1).reshape(-1, heads)
        if begin:
            out, bits = _with_span(query[:, here], out, bits, (padded[:, :begin], value[:, :begin]))
        outs.append(out)
        all_bits.append(bits)
    return torch.cat(outs), torch.cat(all_bits)


def _within(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, unseen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`query` (R, Hk, g, T, D), `key`, `value` (R, Hk, T, D), `unseen` (T, T) or (R, T, T). A token's own score is the
    reference, or its score with the row's first token, where attention likes to rest, if that is larger."""
    rows, key_heads, group, width, size = query.shape
    itself = (query * key[:, :, None]).sum(-1)
    first = (query * key[:, :, None, :1]).sum(-1)
    reference = torch.maximum(itself, first)
    q = torch.cat([query, reference[..., None]], -1).view(rows * key_heads, group * width, size + 1)
    k = F.pad(key, (0, 1), value=-1.0).reshape(rows * key_heads, width, size + 1)
    v = value.reshape(rows * key_heads, width, size)
    if unseen.dim() == 3:
        unseen = unseen[:, None, None]
    outs, totals = [], []
    each = max(1, SCORES // (key_heads * group * width * width))
    for row in range(0, rows, each):
        part = slice(row * key_heads, (row + each) * key_heads)
        scores = torch.bmm(q[part], k[part].transpose(1, 2)).view(-1, key_heads, group, width, width)
        scores += unseen[row : row + each] if unseen.dim() > 2 else unseen
        weights = scores.exp2_().view(-1, group * width, width)
        outs.append(torch.bmm(weights, v[part]))
        totals.append(weights.sum(-1))
    out, total = torch.cat(outs), torch.cat(totals)
    if not _finite(total):
        return _exact(query, key, value, unseen)
    out = (out / total[..., None]).view(query.shape)
    return out, (reference.float() + total.view(reference.shape).float().log2())


def _finite(totals: torch.Tensor) -> bool:
    """Whether sums of exponentials are numbers that can still be multiplied: what is not makes their sum what is
    not."""
    return float(totals.sum()) < LARGEST


def _exact(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, unseen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from scores in fp32 and their true maximum; slow, for scores beyond all reason."""
    scores = query.float() @ key[:, :, None].transpose(-1, -2).float() + unseen
    top = scores.amax(-1, keepdim=True)
    weights = torch.exp2(scores - top)
    total = weights.sum(-1, keepdim=True)
    out = (weights / total) @ value[:, :, None].float()
    return out.to(query.dtype), (top + total.log2())[..., 0]


def _with_span(
    query: torch.Tensor, out: torch.Tensor, bits: torch.Tensor, keys_values: KeysValues
) -> tuple[torch.Tensor, torch.Tensor]:
    """What tokens have seen so far, `out` (n, Hq, D) and `bits` (n, Hq), joined with what a span tells them."""
    heads, tokens, size = query.shape
    key, value = keys_values
    key_heads, long = key.shape[0], key.shape[1]
    group = heads // key_heads
    q = query.reshape(key_heads, group * tokens, size)
    seen = bits.transpose(0, 1).reshape(key_heads, group * tokens)
    first = (q * key[:, :1, :size]).sum(-1)
    reference = torch.maximum(seen.to(q.dtype), first)
    q = torch.cat([q, reference[..., None]], -1)
    k = key.transpose(1, 2)
    outs, totals = [], []
    each = max(64, SCORES // (key_heads * long))
    for part in range(0, group * tokens, each):
        weights = torch.bmm(q[:, part : part + each], k).exp2_()
        outs.append(torch.bmm(weights, value))
        totals.append(weights.sum(-1))
    told, total = (outs[0], totals[0]) if len(outs) == 1 else (torch.cat(outs, 1), torch.cat(totals, 1))
    total = total.float()
    if not _finite(total):
        scores = q[..., :size].float() @ key[..., :size].transpose(1, 2).float()
        top = torch.maximum(scores.amax(-1), seen)
        weights = torch.exp2(scores - top[..., None])
        told, total, reference = (weights @ value.float()).to(q.dtype), weights.sum(-1), top
    before = torch.exp2(seen - reference.float())
    total = total + before
    told = told.view(key_heads, group, tokens, size).permute(2, 0, 1, 3).reshape(tokens, heads, size)
    share = (before / total).view(heads, tokens).transpose(0, 1)[..., None].to(out.dtype)
    rest = (1 / total).view(heads, tokens).transpose(0, 1)[..., None].to(out.dtype)
    bits = (reference.float() + total.log2()).view(heads, tokens).transpose(0, 1)
    return torch.addcmul(out * share, told, rest), bits


def _written(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, past: Past, layer: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A token a row: written into the row's buffers, then attention to what the row has so far."""
    keys, values = past.keys_values[layer]
    heads, rows, size = query.shape
    every = torch.arange(rows, device=query.device)
    keys[every, :, past.at] = key.transpose(0, 1)
    values[every, :, past.at] = value.transpose(0, 1)
    q = query.transpose(0, 1).view(rows, keys.shape[1], -1, size)
    scores = (q @ keys.transpose(-1, -2)).float() + past.unseen[:, None, None]
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp2_()
    total = weights.sum(-1, keepdim=True)
    out = weights.div_(total).to(q.dtype) @ values
    return out.view(rows, heads, size), (top + total.log2()).view(rows, heads)


def _trained(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shared: Shared, layer: int, scale: float
) -> torch.Tensor:
    """With gradients: spans, which then go with every row, beside each row's own keys, in one fused call."""
    layout = shared.layout
    assert layout is not None
    heads, _, size = query.shape[1:]
    rows, width = layout.rows, layout.width
    q, k, v = (
        part[0].transpose(0, 1)[layout.padded].view(rows, width, -1, size).transpose(1, 2)
        for part in (query, key, value)
    )
    unseen = layout.whole_unseen
    if unseen.dim() > 2:
        unseen = unseen[:, None]
    if shared.lead:
        first = slice(0, shared.lead)
        k = torch.cat([key[:, :, first].expand(rows, -1, -1, -1), k], 2)
        v = torch.cat([value[:, :, first].expand(rows, -1, -1, -1), v], 2)
        unseen = F.pad(unseen.expand(rows, 1, width, width), (shared.lead, 0))
        unseen[0, :, :, first] = float("-inf")
    for span in reversed(shared.spans):
        keys, values = span.keys_values[layer]
        k = torch.cat([keys[None].expand(rows, -1, -1, -1), k], 2)
        v = torch.cat([values[None].expand(rows, -1, -1, -1), v], 2)
        unseen = F.pad(unseen, (keys.shape[1], 0))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=unseen, scale=scale, enable_gqa=True)
    return out.transpose(1, 2).reshape(rows * width, heads, size)[layout.flat]


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
