"""transformers' Trainer on prompts and completions, with a PEFT config or all weights, as their pages show it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from peft import IA3Config, PrefixTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

import limit
import plain
from worker import say, work

PACKAGES = ("torch", "transformers", "peft", "accelerate")
UNMASKED = -100


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtype, items and warm (prompt, completion), recipe, out (a folder for the adapter)."""
    tokenizer = AutoTokenizer.from_pretrained(job["folder"])
    trained(job, tokenizer, job["warm"], epochs=1)
    trainer, seconds = trained(job, tokenizer, job["items"], epochs=job["recipe"]["epochs"])
    kept(trainer.model, job)
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
    trainer = Trainer(
        model=moved(plain.opened(job["folder"], job["dtype"], job["device"]).train(), recipe),
        args=TrainingArguments(
            output_dir=job["out"],
            per_device_train_batch_size=recipe["batch"],
            learning_rate=recipe["learning_rate"],
            num_train_epochs=epochs,
            bf16=job["dtype"] == "bfloat16",
            use_cpu=job["device"] == "cpu",
            logging_steps=5,
            save_strategy="no",
            report_to="none",
            seed=recipe["seed"],
        ),
        train_dataset=[row(tokenizer, prompt, said) for prompt, said in pairs],
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=UNMASKED),
        processing_class=tokenizer,
    )
    say(f"Trainer, {recipe['kind']}, {job['dtype']}: {len(pairs)} examples, {epochs} epochs")
    start = time.perf_counter()
    trainer.train()
    return trainer, time.perf_counter() - start


def row(tokenizer: Any, prompt: str, said: str) -> dict[str, list[int]]:
    """Tokens of a prompt and its completion; the loss is on the completion."""
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, said))
    labels = [UNMASKED] * len(before) + after
    return {"input_ids": before + after, "attention_mask": [1] * len(labels), "labels": labels}


def moved(net: Any, recipe: dict[str, Any]) -> Any:
    """The model with what its recipe moves."""
    match recipe["kind"]:
        case "ia3":
            return get_peft_model(net, IA3Config(task_type="CAUSAL_LM"))
        case "prefix_tuning":
            return get_peft_model(net, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=recipe["tokens"]))
    return net


def kept(net: Any, job: dict[str, Any]) -> None:
    """Write what moved as our side reads it: PEFT's own files, or all weights under PEFT's names."""
    if job["recipe"]["kind"] != "full":
        net.save_pretrained(job["out"])
        return
    folder = Path(job["out"])
    tensors = {f"base_model.model.{name}": p.detach().cpu().contiguous() for name, p in net.named_parameters()}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "FULL"}), encoding="utf-8")


if __name__ == "__main__":
    work(answer)
