"""TRL's SFTTrainer with PEFT's LoRA on prompts and completions, as its documentation shows it."""

from __future__ import annotations

import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

import limit
import plain
from worker import say, work

PACKAGES = ("torch", "transformers", "trl", "peft")


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtype, items and warm (prompt, completion), recipe, out (a folder for the adapter)."""
    tokenizer = AutoTokenizer.from_pretrained(job["folder"])
    trained(job, tokenizer, job["warm"], epochs=1)
    trainer, seconds = trained(job, tokenizer, job["items"], epochs=job["recipe"]["epochs"])
    trainer.model.save_pretrained(job["out"])
    lengths = [len(tokenizer(p + c, add_special_tokens=False)["input_ids"]) for p, c in job["items"]]
    return {
        "seconds": seconds,
        "tokens": round(sum(lengths) * job["recipe"]["epochs"]),
        "steps": trainer.state.global_step,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "threads": torch.get_num_threads(),
        "versions": limit.versions(*PACKAGES),
    }


def trained(job: dict[str, Any], tokenizer: Any, pairs: list[list[str]], epochs: float) -> tuple[Any, float]:
    """A trainer that has trained, and how long that took, without opening the model."""
    recipe = job["recipe"]
    trainer = SFTTrainer(
        model=plain.opened(job["folder"], job["dtype"], job["device"]).train(),
        args=SFTConfig(
            output_dir=job["out"],
            per_device_train_batch_size=recipe["batch"],
            learning_rate=recipe["learning_rate"],
            num_train_epochs=epochs,
            bf16=job["dtype"] == "bfloat16",
            use_cpu=job["device"] == "cpu",
            completion_only_loss=True,
            logging_steps=5,
            save_strategy="no",
            report_to="none",
            seed=recipe["seed"],
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": p, "completion": c} for p, c in pairs]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=recipe["rank"], lora_alpha=recipe["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    say(f"SFTTrainer, {job['dtype']}: {len(pairs)} examples, {epochs} epochs")
    start = time.perf_counter()
    trainer.train()
    return trainer, time.perf_counter() - start


if __name__ == "__main__":
    work(answer)
