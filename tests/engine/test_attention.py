"""The parts of attention against one softmax over everything, in fp32 and bf16, for scores of any size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.engine import attention
from tuningfork.engine.attention import Layout, Past, Shared, Span

HEADS, KEY_HEADS, SIZE = 4, 2, 8
MODULE = SimpleNamespace(layer_idx=0)
ERROR = {torch.float32: 1e-5, torch.bfloat16: 0.03}


def drawn(tokens, heads, dice, size=1.0):
    return torch.randn(1, heads, tokens, SIZE, generator=dice) * size


def whole(query, key, value):
    """(T, Hq, D) of one row by its definition; the last T of its keys are its own."""
    key, value = (part.repeat_interleave(HEADS // KEY_HEADS, 1) for part in (key, value))
    scores = query @ key.transpose(-1, -2) * SIZE**-0.5
    seen = torch.ones(scores.shape[-2:]).tril(key.shape[2] - query.shape[2]).bool()
    return (torch.softmax(scores.masked_fill(~seen, float("-inf")), -1) @ value)[0].transpose(0, 1)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    shared=st.lists(st.integers(1, 12), max_size=2),
    size=st.sampled_from([0.1, 1.0, 6.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_one_softmax_over_spans_and_own_tokens(dtype, lengths, shared, size, seed):
    size = min(size, 2.0) if dtype == torch.bfloat16 else size  # beyond, queries in bf16 are themselves too coarse
    dice = torch.Generator().manual_seed(seed)
    query, key, value = (drawn(sum(lengths), heads, dice, size).to(dtype) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    held = [tuple(drawn(n, KEY_HEADS, dice, size).to(dtype) for _ in "kv") for n in shared]
    reach = (sum(lengths), lengths[0])  # the second span belongs to the first row alone
    spans = [Span(0, end, attention.held({0: (k[0], v[0])})) for (k, v), end in zip(held, reach, strict=False)]
    layout = Layout.of(lengths, dtype, torch.device("cpu"))
    with torch.inference_mode():
        found, _ = attention.attend(MODULE, query, key, value, None, shared=Shared(layout, spans))
    begin = 0
    for row, length in enumerate(lengths):
        own = slice(begin, begin + length)
        seen = held[: 2 if row == 0 else 1]
        keys = torch.cat([*(k for k, _ in seen), key[:, :, own]], 2).float()
        values = torch.cat([*(v for _, v in seen), value[:, :, own]], 2).float()
        wanted = whole(query[:, :, own].float(), keys, values)
        assert (found[0, own].float() - wanted).abs().max() < ERROR[dtype] * 2 * max(
            1.0, size
        ) ** 3  # scores grow with its square
        begin += length


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("large", ["own", "span"])
def test_scores_beyond_all_reason_are_computed_from_their_maximum(dtype, large):
    dice = torch.Generator().manual_seed(1)
    query, key, value = (drawn(6, heads, dice).to(dtype) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    span = [drawn(5, KEY_HEADS, dice).to(dtype)[0] for _ in "kv"]
    (key[0] if large == "own" else span[0])[:, 3] *= 500
    layout = Layout.of([6], dtype, torch.device("cpu"))
    with torch.inference_mode():
        found, _ = attention.attend(
            MODULE, query, key, value, None, shared=Shared(layout, [Span(0, 6, attention.held({0: tuple(span)}))])
        )
    keys, values = (torch.cat([s[None], own], 2).float() for s, own in zip(span, (key, value), strict=True))
    assert (found[0].float() - whole(query.float(), keys, values)).abs().max() < ERROR[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_long_row_is_read_in_blocks(dtype, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK", 7)
    monkeypatch.setattr(attention, "SCORES", 64)
    dice = torch.Generator().manual_seed(2)
    query, key, value = (drawn(31, heads, dice).to(dtype) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    with torch.inference_mode():
        layout = Layout.of([31], dtype, torch.device("cpu"))
        found, _ = attention.attend(MODULE, query, key, value, None, shared=Shared(layout))
    assert (found[0].float() - whole(query.float(), key.float(), value.float())).abs().max() < ERROR[dtype]


def test_long_rows_side_by_side_hold_what_a_block_does_not_see_once(monkeypatch):
    monkeypatch.setattr(attention, "BLOCK", 7)
    dice = torch.Generator().manual_seed(6)
    lengths = [31, 5, 7, 15]
    query, key, value = (drawn(sum(lengths), heads, dice) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    layout = Layout.of(lengths, torch.float32, torch.device("cpu"))
    with torch.inference_mode():
        found, _ = attention.attend(MODULE, query, key, value, None, shared=Shared(layout))
    assert layout.unseen.shape == (7, 7)
    for begin, end in zip([0, *layout.ends], layout.ends, strict=False):
        wanted = whole(*(part[:, :, begin:end] for part in (query, key, value)))
        assert torch.allclose(found[0, begin:end], wanted, atol=1e-5)


def test_a_tree_sees_its_ancestors_only():
    dice = torch.Generator().manual_seed(3)
    query, key, value = (drawn(4, heads, dice) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    seen = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 1]]).bool()  # 2 and 3 both follow 1
    with torch.inference_mode():
        layout = Layout.of([4], torch.float32, torch.device("cpu"), seen[None])
        found, _ = attention.attend(MODULE, query, key, value, None, shared=Shared(layout))
    last = [0, 1, 3]
    wanted = whole(query[:, :, last], key[:, :, last], value[:, :, last])
    assert torch.allclose(found[0, 3], wanted[-1], atol=1e-5)


@pytest.mark.parametrize("block", [256, 2])
def test_gradients_are_those_of_one_softmax(block, monkeypatch):
    """Also of a row so long that it would be read in blocks without them."""
    monkeypatch.setattr(attention, "BLOCK", block)
    dice = torch.Generator().manual_seed(4)
    query, key, value = (drawn(5, heads, dice).requires_grad_(True) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    span = [drawn(3, KEY_HEADS, dice)[0].requires_grad_(True) for _ in "kv"]
    layout = Layout.of([5], torch.float32, torch.device("cpu"))
    found, _ = attention.attend(MODULE, query, key, value, None, shared=Shared(layout, [Span(0, 5, {0: tuple(span)})]))
    keys, values = (torch.cat([s[None], own], 2) for s, own in zip(span, (key, value), strict=True))
    wanted = whole(query, keys, values)
    leaves = (query, key, value, *span)
    for ours, theirs in zip(
        torch.autograd.grad((found[0] ** 2).sum(), leaves), torch.autograd.grad((wanted**2).sum(), leaves), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_writing_token_by_token_is_reading_at_once():
    dice = torch.Generator().manual_seed(5)
    query, key, value = (drawn(6, heads, dice) for heads in (HEADS, KEY_HEADS, KEY_HEADS))
    buffers = torch.zeros(1, KEY_HEADS, 9, SIZE), torch.zeros(1, KEY_HEADS, 9, SIZE)
    for at in range(6):
        unseen = torch.zeros(1, 9).masked_fill_(torch.arange(9) > at, float("-inf"))
        past = Past({0: buffers}, torch.tensor([at]), unseen)
        step = (part[:, :, at : at + 1] for part in (query, key, value))
        with torch.inference_mode():
            found, _ = attention.attend(MODULE, *step, None, shared=Shared(past=past))
    assert torch.allclose(found[0, 0], whole(query, key, value)[-1], atol=1e-5)


def test_a_pass_must_say_what_it_shares():
    with pytest.raises(RuntimeError, match="must say"):
        attention.attend(MODULE, *(torch.zeros(1, 1, 1, 8) for _ in "qkv"), None)
