"""lm-evaluation-harness scores the same choices of the same prompts: `HFLM.loglikelihood`, as its tasks call it."""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import limit
from worker import say, within_free_memory, work

PACKAGES = ("lm-eval", "torch", "transformers")


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtype, batch (a number or "auto"), items (context, choices, ids of each choice with its
    prompt), warm (the same)."""
    within_free_memory()
    batch = job["batch"]
    lm = HFLM(pretrained=job["folder"], device=job["device"], dtype=job["dtype"], batch_size=batch, logits_cache=True)
    parted = first_parted(lm, job["items"])
    if parted:
        raise RuntimeError(f"lm-eval reads other tokens than we do for {parted}")
    asked(lm, job["warm"])
    count = sum(len(choices) for _, choices, _ in job["items"])
    say(f"lm-eval, batch size {batch}: {len(job['items'])} items, {count} choices")
    start = time.perf_counter()
    nats = asked(lm, job["items"])
    return {
        "seconds": time.perf_counter() - start,
        "nats": nats,
        "same_tokens": True,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "versions": limit.versions(*PACKAGES),
    }


def asked(lm: HFLM, items: list[Any]) -> list[list[float]]:
    """Nats of every choice of every item, all in one call."""
    requests = [
        Instance("loglikelihood", {}, (context, choice), index)
        for index, (context, choices, _) in enumerate(items)
        for choice in choices
    ]
    found = iter(lm.loglikelihood(requests))
    return [[next(found)[0] for _ in choices] for _, choices, _ in items]


def first_parted(lm: HFLM, items: list[Any]) -> str | None:
    """The first choice whose tokens, prompt included, are not the ones that we read. The harness moves white space from
    a context's end to its choice: the whole is the same, and every choice of an item gains the same constant."""
    for index, (context, choices, ids) in enumerate(items):
        for choice, own in zip(choices, ids, strict=True):
            before, after = lm._encode_pair(context, choice)
            if before + after != own:
                return f"item {index}, choice {choice!r}: {(before + after)[-12:]} and {own[-12:]}"
    return None


if __name__ == "__main__":
    work(answer)
