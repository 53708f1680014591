"""SetFit's recipe with sentence-transformers: 20 like and 20 unlike pairs for each text, cosine loss, a linear head."""

from __future__ import annotations

import os
import random
import tempfile
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import CosineSimilarityLoss
from sklearn.linear_model import LogisticRegression

import limit
from worker import say, work

PACKAGES = ("sentence-transformers", "torch", "transformers", "scikit-learn")
PAIRS, BATCH = 20, 16
"""SetFit's `num_iterations` and batch."""


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, learn (text, label), test (texts), rate, seed."""
    model = SentenceTransformer(job["folder"], device=job["device"], model_kwargs={"dtype": torch.float32})
    pairs = drawn(job["learn"], random.Random(job["seed"]))
    say(f"sentence-transformers: {len(pairs)} pairs of {len(job['learn'])} texts")
    with tempfile.TemporaryDirectory() as place:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=place,
                num_train_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=job["rate"],
                use_cpu=job["device"] == "cpu",
                save_strategy="no",
                report_to="none",
                seed=job["seed"],
            ),
            train_dataset=Dataset.from_list(pairs),
            loss=CosineSimilarityLoss(model),
        )
        start = time.perf_counter()
        trainer.train()
    texts, labels = ([row[key] for row in job["learn"]] for key in ("text", "label"))
    head = LogisticRegression(max_iter=1000).fit(model.encode(texts), labels)
    seconds = time.perf_counter() - start
    said = [str(label) for label in head.predict(model.encode(job["test"]))]
    return {"seconds": seconds, "decisions": said, "pairs": len(pairs), "versions": limit.versions(*PACKAGES)}


def drawn(rows: list[dict[str, str]], dice: random.Random) -> list[dict[str, Any]]:
    """For each text and round one text of its label and one of another."""
    pairs = []
    for _ in range(PAIRS):
        for row in rows:
            like = dice.choice([other for other in rows if other["label"] == row["label"]])
            unlike = dice.choice([other for other in rows if other["label"] != row["label"]])
            pairs += [
                {"sentence1": row["text"], "sentence2": other["text"], "score": score}
                for other, score in ((like, 1.0), (unlike, 0.0))
            ]
    return pairs


if __name__ == "__main__":
    work(answer)
