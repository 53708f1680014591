"""SetFit as its own documentation trains it: all defaults, a scikit-learn head."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

import limit
from worker import say, work

PACKAGES = ("setfit", "sentence-transformers", "torch", "transformers", "scikit-learn")


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, learn (text, label), test (texts), seed."""
    torch.manual_seed(job["seed"])
    model = SetFitModel.from_pretrained(job["folder"], device=job["device"])
    with tempfile.TemporaryDirectory() as place:
        arguments = TrainingArguments(output_dir=place, seed=job["seed"], report_to="none", save_strategy="no")
        learn = Dataset.from_list(job["learn"])
        trainer = Trainer(model=model, args=arguments, train_dataset=learn)
        say(f"setfit: {len(job['learn'])} texts")
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    said = [str(label) for label in model.predict(job["test"])]
    return {"seconds": seconds, "decisions": said, "versions": limit.versions(*PACKAGES)}


if __name__ == "__main__":
    work(answer)
