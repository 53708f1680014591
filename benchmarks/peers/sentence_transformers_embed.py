"""sentence-transformers embeds the same texts with its defaults, and in fp32 as the reference."""

from __future__ import annotations

import os
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import limit
from worker import within_free_memory, work

PACKAGES = ("sentence-transformers", "torch", "transformers")


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, texts, warm (texts), vectors (a file of ours to compare with, or None)."""
    within_free_memory()
    if job["vectors"]:
        model = SentenceTransformer(job["folder"], device=job["device"], model_kwargs={"dtype": torch.float32})
        reference = model.encode(job["texts"], normalize_embeddings=True, convert_to_numpy=True).astype(np.float64)
        own = np.load(job["vectors"]).astype(np.float64)
        cosines = (own * reference).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(reference, axis=1)
        return {
            "cosine_least": float(cosines.min()),
            "cosine_mean": float(cosines.mean()),
            "same": float((cosines >= job["cosine"]).mean()),
        }
    model = SentenceTransformer(job["folder"], device=job["device"])
    model.encode(job["warm"])
    start = time.perf_counter()
    model.encode(job["texts"])
    return {
        "seconds": time.perf_counter() - start,
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": limit.versions(*PACKAGES),
    }


if __name__ == "__main__":
    work(answer)
