"""Plain transformers, one sequence at a time: what fp32 writes, and how sure the model was where two answers part.

A bf16 model is unsure of its own next token where two are close. `floor` says how close: the most that the margin
between the two likeliest tokens moves from fp32 to bf16, over every token of some answers.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer

import plain
from worker import say, within_free_memory, work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtype, end_ids; greedy (prompts ids), greedy_tokens; floor (prompt ids, answer ids) pairs;
    parted: (prompt ids, answer ids up to where the other side wrote something else) pairs."""
    within_free_memory()
    tokenizer = AutoTokenizer.from_pretrained(job["folder"])
    exact = plain.opened(job["folder"], "float32", job["device"])
    texts, margins, tops, exact_margins = [], [], [], []
    for number, prompt in enumerate(job["greedy"], 1):
        ids = plain.greedy(exact, prompt, job["greedy_tokens"], job["end_ids"])
        texts.append(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        say(f"plain transformers, float32: answer {number} of {len(job['greedy'])}")
    for number, (prompt, begun) in enumerate(job["parted"], 1):
        nats = plain.log_probabilities(exact, [*prompt, *begun], 1)
        margins.append(float(plain.top_two(nats)[1]))
        say(f"plain transformers, float32: parting {number} of {len(job['parted'])}")
    for prompt, written in job["floor"]:
        tokens, margin = plain.top_two(plain.log_probabilities(exact, [*prompt, *written[:-1]], len(written)))
        tops.append(tokens)
        exact_margins.append(margin)
    del exact
    coarse = plain.opened(job["folder"], job["dtype"], job["device"])
    floor = 0.0
    for (prompt, written), tokens, margin in zip(job["floor"], tops, exact_margins, strict=True):
        nats = plain.log_probabilities(coarse, [*prompt, *written[:-1]], len(written)).gather(-1, tokens)
        floor = max(floor, float(torch.max(torch.abs(nats[:, 0] - nats[:, 1] - margin))))
        say(f"plain transformers, {job['dtype']}: margins move by up to {floor:.3f} nats so far")
    return {"texts": texts, "margins": margins, "floor": floor}


if __name__ == "__main__":
    work(answer)
