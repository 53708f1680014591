"""transformers' own `generate` writes greedy answers to the same prompts, batch by batch, like lengths together."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import AutoTokenizer

import limit
import plain
from worker import say, within_free_memory, work

PACKAGES = ("torch", "transformers")


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtype, batch, max_tokens, end_ids, items (text, ids), warm (texts)."""
    within_free_memory()
    net = plain.opened(job["folder"], job["dtype"], job["device"])
    tokenizer = AutoTokenizer.from_pretrained(job["folder"], padding_side="left")
    texts = [text for text, _ in job["items"]]
    read = tokenizer(texts, add_special_tokens=False)["input_ids"]
    if read != [ids for _, ids in job["items"]]:
        raise RuntimeError("transformers reads other tokens than we do for these prompts")
    written(net, tokenizer, job["warm"], {**job, "max_tokens": 4})
    say(f"generate, batch size {job['batch']}: {len(texts)} answers")
    start = time.perf_counter()
    answers = written(net, tokenizer, texts, job)
    found = [tokenizer.decode(a, skip_special_tokens=True, clean_up_tokenization_spaces=False) for a in answers]
    return {
        "seconds": time.perf_counter() - start,
        "texts": found,
        "ids": answers,
        "written": [len(ids) for ids in answers],
        "same_tokens": True,
        "batch": job["batch"],
        "threads": torch.get_num_threads(),
        "versions": limit.versions(*PACKAGES),
    }


@torch.inference_mode()
def written(net: Any, tokenizer: Any, texts: list[str], job: dict[str, Any]) -> list[list[int]]:
    """The ids written after each text, without the token that ended it."""
    found: list[list[int]] = [[] for _ in texts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for begin in range(0, len(order), job["batch"]):
        batch = order[begin : begin + job["batch"]]
        asked = tokenizer([texts[i] for i in batch], add_special_tokens=False, padding=True, return_tensors="pt")
        out = net.generate(
            **asked.to(net.device),
            do_sample=False,
            max_new_tokens=job["max_tokens"],
            eos_token_id=job["end_ids"],
            pad_token_id=tokenizer.pad_token_id,
        )
        for index, row in zip(batch, out[:, asked["input_ids"].shape[1] :].tolist(), strict=True):
            found[index] = plain.without_end(row, job["end_ids"])
        if begin:
            say(f"generate, batch size {job['batch']}: {begin + len(batch)} of {len(texts)} answers")
    return found


if __name__ == "__main__":
    work(answer)
