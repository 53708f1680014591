"""The reference: a model as plain transformers runs it, one sequence at a time, nothing shared, nothing cached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

Ids = Sequence[int]


def opened(folder: str | Path, dtype: str, device: str) -> Any:
    """A causal model with transformers' defaults but for its dtype."""
    net: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return net.to(device).eval()


@torch.inference_mode()
def log_probabilities(net: Any, ids: Ids, last: int) -> torch.Tensor:
    """(last, vocabulary) nats in fp32 of what follows each of the last positions of a sequence."""
    logits = net(input_ids=torch.tensor([list(ids)], device=net.device), use_cache=False, logits_to_keep=last).logits
    nats: torch.Tensor = logits[0].float().log_softmax(-1)
    return nats


def choice_nats(net: Any, prompt: Ids, choices: Sequence[Ids]) -> list[float]:
    """Nats of each choice after the prompt, all its tokens counted. Choices that differ in their last token only are
    read once."""
    known: dict[tuple[int, ...], torch.Tensor] = {}
    found = []
    for choice in choices:
        begun = tuple(choice[:-1])
        if begun not in known:
            known[begun] = log_probabilities(net, [*prompt, *begun], len(choice))
        found.append(float(known[begun][torch.arange(len(choice)), torch.tensor(list(choice))].sum()))
    return found


def top_two(nats: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two likeliest tokens of each row, (n, 2), and how many nats lie between them, (n,)."""
    values, tokens = nats.topk(2, -1)
    return tokens, values[:, 0] - values[:, 1]


@torch.inference_mode()
def greedy(net: Any, prompt: Ids, tokens: int, end_ids: Sequence[int]) -> list[int]:
    """What `generate` writes after one prompt, without the token that ended it."""
    ids = torch.tensor([list(prompt)], device=net.device)
    out = net.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=tokens,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0],
    )
    return without_end(out[0, len(prompt) :].tolist(), end_ids)


def without_end(ids: Ids, end_ids: Sequence[int]) -> list[int]:
    """The tokens before the first that ends an answer."""
    ends = [at for at, token in enumerate(ids) if token in end_ids]
    return list(ids[: ends[0]]) if ends else list(ids)
