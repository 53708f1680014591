"""The card of an export: what it is, how it was measured and against what, what it holds for, how to load it.

Markdown, from the log and the verdict alone. A number never stands without its interval, its count and its date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..candidate import Candidate, Constant, Function, Nearest, Single
from ..log import Born, RunLog
from ..report import words
from ..report.words import Scale


def card(log: RunLog, verdict: Mapping[str, Any], trial: str, born: Born, candidate: Candidate) -> str:
    """README.md of an export. `born` is the event of the exported candidate, `verdict` in its `to_dict` form."""
    row = words.row_of(verdict, trial) or {}
    scale = words.scale_of(log, verdict)
    parts = [
        f"# {trial}",
        _what(log, born, candidate),
        "## How it was measured",
        *_measured(log, verdict, row, scale),
        "## Against what",
        _against(verdict, trial, scale),
        "## What it holds for",
        _plain(str(verdict["scope"])),
        *(_plain(sentence) for sentence in _limits(candidate)),
        "## How to use it",
        *_use(candidate),
        "## How it was made",
        _made(log, born),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(log: RunLog, born: Born, candidate: Candidate) -> str:
    task = log.started.task
    said = f"Made by tuningfork for the task **{_plain(str(task['name']))}** ({task.get('kind', 'unknown kind')})"
    instruction = str(task.get("instruction") or "").strip()
    said += f": {_plain(instruction)}" if instruction else "."
    holds = ", ".join(_parts(candidate))
    family = words.FAMILIES.get(born.family, born.family)
    return f"{said}\n\nRoad: {_plain(born.method)} (family: {family}). It consists of {holds}."


def _parts(candidate: Candidate) -> list[str]:
    match candidate:
        case Constant():
            return [f"one constant answer, `{_plain(candidate.answer)}`"]
        case Function():
            return [f"your own Python function `{_plain(candidate.path)}`"]
    parts = [f"the model `{_plain(candidate.model)}`"]
    if candidate.adapter:
        parts.append(f"an adapter of {words.size(candidate.adapter.bytes)}")
    if candidate.head:
        parts.append("a linear classification head")
    if candidate.prompt:
        parts.append("a prompt")
    if isinstance(candidate.shots, Nearest):
        parts.append(
            f"{candidate.shots.k} demonstrations picked for each input from a pool of {len(candidate.shots.pool)}"
        )
    elif candidate.shots:
        parts.append(words.count(len(candidate.shots), "fixed demonstration"))
    if candidate.calibration:
        parts.append("a frozen calibration of its labels")
    return parts


def _measured(log: RunLog, verdict: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> list[str]:
    lines = ["| metric | split | value | 95% interval | examples |", "|---|---|---|---|---|"]
    for split in ("test", "dev"):
        m = row.get(split)
        if m:
            between = f"{scale.number(m['low'])} to {scale.number(m['high'])}"
            lines.append(f"| {scale.metric} | {split} | {scale.value(m['value'])} | {between} | {m['n']} |")
    if len(lines) == 2:
        return ["It was not measured."]
    looks = verdict.get("test_looks", 0)
    opened = f"The test split was opened {words.times(looks)}" if looks else "No test split was opened"
    better = "higher" if scale.higher_is_better else "lower"
    said = f"{opened}. Measured on {log.started.time[:10]}; {better} is better."
    if row.get("test") and row.get("dev"):
        said += " The race chose on dev, so the dev value is likely too good."
    elif not row.get("test"):
        said += " The race chose on dev, so this value is likely too good."
    if row.get("failed_items"):
        said += f" Items that failed: {row['failed_items']}."
    latency = row.get("latency_ms") or {}
    speed = ""
    if latency.get("p50") is not None:
        where = log.started.environment.get("device")
        slow = (
            f", 95% of requests within {words.milliseconds(latency['p95'])}" if latency.get("p95") is not None else ""
        )
        place = f" ({where})" if where else ""
        speed = f"Median latency of a single request{place}: {words.milliseconds(latency['p50'])}{slow}."
    return ["\n".join(lines), said, speed]


def _against(verdict: Mapping[str, Any], trial: str, scale: Scale) -> str:
    """Every paired comparison that this candidate is part of, seen from its side."""
    lines = []
    for c in verdict["comparisons"]:
        if trial not in (c["a"], c["b"]):
            continue
        if c["a"] == trial:
            other, seen = c["b"], c
        else:
            turned = {"difference": "difference", "low": "high", "high": "low"}
            other = c["a"]
            seen = {key: None if c[of] is None else -c[of] for key, of in turned.items()}
        lines.append(f"- {_plain(str(other))}: {scale.between(seen)}, paired, {words.count(c['n'], 'example')}")
    best = words.name_of(verdict.get("best"))
    head = "This is the best of the run." if trial == best else f"The best of the run is {_plain(str(best))}."
    if not lines:
        return f"{head} This candidate was compared with no other on the test."
    return f"{head} Difference of this candidate to each other one (positive: this one is better):\n\n" + "\n".join(
        lines
    )


def _limits(candidate: Candidate) -> list[str]:
    limits = ["On inputs unlike the examples it was measured on, these numbers say nothing."]
    if isinstance(candidate, Function):
        limits.append(f"The function's code is not in this export: it is looked for in {candidate.folder!r}.")
    elif isinstance(candidate, Single):
        limits.append("The base model's weights are not in this export; its licence is its own.")
    return limits


def _use(candidate: Candidate) -> list[str]:
    uses = ["With tuningfork, on a file of new rows:", "```\ntuningfork predict THIS_FOLDER -i new.csv\n```"]
    if not isinstance(candidate, Single):
        return uses
    if candidate.adapter:
        uses += _adapter(candidate)
    if candidate.head:
        uses += [
            "The head: `head.safetensors` holds `weight` (labels, d) and `bias` (labels,); the label of an embedding "
            f"`x` is `labels.json[argmax(weight @ x + bias)]`. Embeddings: layer {candidate.head.layer}, pooling "
            f"{candidate.head.pooling or 'as the model declares'}, "
            f"{'normalised to unit length' if candidate.head.normalise else 'not normalised'}."
        ]
    if candidate.prompt:
        said = (
            "`prompt.json` holds plain chat messages with `{{column}}` places; fill the places and send `messages` to "
        )
        said += "any chat model"
        if candidate.answer_by == "score":
            said += ". The numbers above hold for reading the answer as `answer` there says, not for writing it"
        elif candidate.answer_by == "generate":
            said += " with the `decoding` settings that stand there"
        uses.append(said + ". `prompt.txt` is the same to read.")
    if isinstance(candidate.shots, Nearest):
        vectors = f", `vectors.safetensors` their unit vectors (made by `{candidate.shots.model}`) in the same order"
        vectors = vectors if candidate.shots.vectors else ""
        uses.append(f"`pool.jsonl` holds the demonstrations{vectors}; `prompt.json` says how they are picked.")
    return uses


NOT_PEFTS = ("FULL", "BOTTLENECK")
"""Kinds of adapters that PEFT has not."""


def _adapter(candidate: Single) -> list[str]:
    """How the adapter is loaded elsewhere, where it can be."""
    assert candidate.adapter is not None
    if _config(candidate).get("peft_type") in NOT_PEFTS:
        return ["The adapter holds weights of a kind that PEFT does not load; tuningfork does."]
    if candidate.adapter.under is not None:
        return ["The adapter in `adapter/` lies over the one in `adapter-under/`: both are worn, the latter first."]
    return ["The adapter alone, with PEFT:", _peft(candidate)]


def _config(candidate: Single) -> dict[str, Any]:
    blob = candidate.adapter.files.get("adapter_config.json") if candidate.adapter else None
    found: dict[str, Any] = json.loads(blob.read()) if blob else {}
    return found


def _peft(candidate: Single) -> str:
    """Code that loads the adapter on its base, by what the adapter's own config says."""
    config = _config(candidate)
    causal = candidate.head is None or config.get("task_type") == "CAUSAL_LM"
    kind = "AutoModelForCausalLM" if causal else "AutoModel"
    base = candidate.model
    hint = "  # the folder of its weights: see `tuningfork models`" if "/" not in base else ""
    return (
        "```python\n"
        f"from peft import PeftModel\nfrom transformers import {kind}, AutoTokenizer\n\n"
        f"base = {base!r}{hint}\n"
        f"model = PeftModel.from_pretrained({kind}.from_pretrained(base), 'adapter')\n"
        "tokenizer = AutoTokenizer.from_pretrained(base)\n```"
    )


def _made(log: RunLog, born: Born) -> str:
    environment = ", ".join(
        f"{key} {value}" for key, value in log.started.environment.items() if isinstance(value, str | int | float)
    )
    lines = [
        f"- candidate `{born.candidate}`, seed {born.seed}, stage {born.stage}",
        f"- learned from {words.count(born.examples_used, 'example')}",
        f"- chosen on {words.count(born.examples_chosen_on, 'example')}",
        f"- settings: {_plain(words.settings_line(born.settings)) or 'none'}",
        f"- environment: {_plain(environment) or 'not recorded'}",
        f"- run: {_plain(log.folder.name)}",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text of users, so that it can't become markup in Markdown."""
    for sign in "\\`*<>[]|#":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())
