"""Attention to a prefix that a whole batch shares.

Few-shot prompts share most of their tokens. Their keys and values are computed once, held once, and attended to by all
rows of a batch together: attention over the prefix and over a row's own tokens are computed apart and joined by their
log-sum-exps (Hydragen, Juravsky et al. 2024),

    out = (e^{l_p} out_p + e^{l_o} out_o) / (e^{l_p} + e^{l_o}).

transformers lets an attention function be registered by name, so no model code is touched. What a pass needs rides
along as the keyword `shared`. Shapes: B rows, T own tokens, P prefix tokens, Hq / Hk query / key heads, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "tuningfork_shared_prefix"
KeysValues = tuple[torch.Tensor, torch.Tensor]


@dataclass
class Shared:
    """What one forward pass shares.

    `prefix[layer]`: keys and values, each (1, Hk, P, D), or an empty dict. `own[layer]`: filled with this pass's own
    keys and values (B, Hk, T, D) when `record`. `past[layer]`: buffers (B, Hk, S, D) that this pass's keys and values
    are written into at `slot`, and that it attends to as its own tokens; for generation.
    """

    prefix: dict[int, KeysValues] = field(default_factory=dict)
    record: bool = False
    own: dict[int, KeysValues] = field(default_factory=dict)
    past: dict[int, KeysValues] = field(default_factory=dict)
    slot: int = 0


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    shared: Shared | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The registered function. `query` (B, Hq, T, D), `key`, `value` (B, Hk, T, D), `attention_mask` additive
    (B or 1, 1, T, own tokens) or None for causal. Returns (B, T, Hq, D)."""
    layer = getattr(module, "layer_idx", 0)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if shared is None:
        raise RuntimeError("a pass through shared-prefix attention must say what it shares")
    if shared.past:
        key, value = _write(shared, layer, key, value)
    elif shared.record:
        shared.own[layer] = (key, value)
    if layer not in shared.prefix:
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, is_causal=attention_mask is None, scale=scale, enable_gqa=True
        )
    elif torch.is_grad_enabled():
        out = _concatenated(query, key, value, shared.prefix[layer], attention_mask, scale)
    else:
        out = _joined(query, key, value, shared.prefix[layer], attention_mask, scale)
    return out.transpose(1, 2).contiguous(), None


def causal_mask(tokens: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Additive causal mask of shape (1, 1, tokens, tokens)."""
    mask = torch.full((tokens, tokens), float("-inf"), dtype=dtype, device=device).triu(1)
    return mask[None, None]


def _write(shared: Shared, layer: int, key: torch.Tensor, value: torch.Tensor) -> KeysValues:
    keys, values = shared.past[layer]
    end = shared.slot + key.shape[2]
    keys[:, :, shared.slot : end] = key
    values[:, :, shared.slot : end] = value
    return keys[:, :, :end], values[:, :, :end]


def _concatenated(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: KeysValues,
    mask: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    """With gradients: the prefix beside each row's own keys, since the log-sum-exp of the fused kernels has none."""
    rows, tokens = query.shape[0], query.shape[2]
    shared_tokens = prefix[0].shape[2]
    if mask is None:
        mask = causal_mask(tokens, query.dtype, query.device)
    keys = torch.cat([prefix[0].expand(rows, -1, -1, -1), key], 2)
    values = torch.cat([prefix[1].expand(rows, -1, -1, -1), value], 2)
    return F.scaled_dot_product_attention(
        query, keys, values, attn_mask=F.pad(mask, (shared_tokens, 0)), scale=scale, enable_gqa=True
    )


def _joined(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: KeysValues,
    mask: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    """Prefix part and own part apart, joined by their log-sum-exps in fp32."""
    rows, heads, tokens, size = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    # No mask on the prefix part, so rows, grouped heads and tokens fold into one long list of queries a key head.
    folded = query.view(rows, key_heads, group, tokens, size).permute(1, 0, 2, 3, 4)
    out_p, lse_p = _with_lse(folded.reshape(1, key_heads, rows * group * tokens, size), *prefix, None, scale)
    out_p = out_p.view(key_heads, rows, group, tokens, size).transpose(0, 1).reshape(rows, heads, tokens, size)
    lse_p = lse_p.view(key_heads, rows, group, tokens).transpose(0, 1).reshape(rows, heads, tokens)
    if group > 1:
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    if mask is None:
        mask = causal_mask(tokens, query.dtype, query.device)
    out_o, lse_o = _with_lse(query, key, value, mask, scale)
    share = torch.sigmoid(lse_p - lse_o)[..., None].to(out_p.dtype)
    return out_p * share + out_o * (1 - share)


def _with_lse(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the log-sum-exp of its scaled scores: (B, H, T, D) and fp32 (B, H, T)."""
    if query.device.type == "cpu":
        if mask is not None:
            mask = mask.expand(query.shape[0], query.shape[1], -1, -1)
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scale
        )
        return out, lse.float()
    scores = (query @ key.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    return torch.softmax(scores, -1).to(value.dtype) @ value, torch.logsumexp(scores, -1)


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
