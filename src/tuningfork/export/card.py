"""The card of an export: what it is, how it was measured and against what, what it holds for, how to load it.

Markdown, from the log and the verdict alone. A number never stands without its interval, its count and its date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..candidate import (
    Candidate,
    Cascade,
    Constant,
    Function,
    Guarantee,
    Nearest,
    Passages,
    Single,
    Steps,
    Vote,
    parts_of,
)
from ..log import Born, RunLog
from ..report import words
from ..report.words import Scale
from .layout import composition, how, parts


def card(log: RunLog, verdict: Mapping[str, Any], trial: str, born: Born, candidate: Candidate) -> str:
    """README.md of an export. `born` is the event of the exported candidate, `verdict` in its `to_dict` form."""
    row = words.row_of(verdict, trial) or {}
    scale = words.scale_of(log, verdict)
    sections = [
        f"# {trial}",
        _what(log, born, candidate),
        *_composition(candidate),
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
    return "\n\n".join(section for section in sections if section) + "\n"


def _what(log: RunLog, born: Born, candidate: Candidate) -> str:
    task = log.started.task
    said = f"Made by tuningfork for the task **{_plain(str(task['name']))}** ({task.get('kind', 'unknown kind')})"
    instruction = str(task.get("instruction") or "").strip()
    said += f": {_plain(instruction)}" if instruction else "."
    holds = ", ".join(_holds(candidate))
    family = words.FAMILIES.get(born.family, born.family)
    return f"{said}\n\nRoad: {_plain(born.method)} (family: {family}). It consists of {holds}."


def _holds(candidate: Candidate) -> list[str]:
    """What it consists of, each thing in a few words."""
    match candidate:
        case Constant():
            return [f"one constant answer, `{_plain(candidate.answer)}`"]
        case Function():
            return [f"your own Python function `{_plain(candidate.path)}`"]
        case Single():
            return _single(candidate)
    kind = {Steps: "steps, one after the other", Cascade: "candidates from cheap to dear", Vote: "candidates that vote"}
    return [f"{len(parts(candidate))} {kind[type(candidate)]}"]


def _single(candidate: Single) -> list[str]:
    found = [f"the model `{_plain(candidate.model)}`"]
    if candidate.adapter:
        found.append(f"an adapter of {words.size(candidate.adapter.bytes)}")
    if candidate.head:
        found.append("a linear classification head")
    if candidate.prompt:
        found.append("a prompt")
    if isinstance(candidate.shots, Nearest):
        pool = len(candidate.shots.pool)
        found.append(f"{candidate.shots.k} demonstrations picked for each input from a pool of {pool}")
    elif candidate.shots:
        found.append(words.count(len(candidate.shots), "fixed demonstration"))
    if candidate.passages:
        found.append(f"{words.count(candidate.passages.k, 'passage')} of your documents found for each input")
    if candidate.calibration:
        found.append("a frozen calibration of its labels")
    if candidate.answer_by == "generate" and candidate.decoding.samples > 1:
        found.append(f"{candidate.decoding.samples} samples of each answer, of which the most common counts")
    return found


def _composition(candidate: Candidate) -> list[str]:
    """How the parts of a candidate that is made of others come to one answer, and what was promised of it."""
    if not isinstance(candidate, Steps | Cascade | Vote):
        return []
    lines = []
    for number, (part, entry) in enumerate(
        zip(parts(candidate), composition(candidate)["parts"], strict=True), start=1
    ):
        marks = [f"{key} {_plain(str(entry[key]))}" for key in ("column", "threshold", "weight") if key in entry]
        lines.append(f"{number}. {', '.join([*_holds(part), *marks])}")
    found = ["## How its parts work together", how(candidate), "\n".join(lines)]
    if isinstance(candidate, Cascade) and candidate.guarantee:
        found.append(_promise(candidate.guarantee))
    return found


def _promise(shown: Guarantee) -> str:
    items = words.count(shown.items, "example")
    said = (
        f"When its thresholds were chosen, it was shown to lose at most {100 * shown.epsilon:g} points to its last"
        f" part, at a risk of {shown.delta:g} of being wrong in that (learn then test, {items} that no part had learnt"
        f" from). There {shown.passed_up:.0%} of the inputs were passed up, at {shown.cost:.0%} of what the last part"
        " costs alone."
    )
    if shown.earlier_parts:
        said += " Its parts were adapted again on more examples since, with the same thresholds: it was shown of their"
        said += " earlier forms."
    return said


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
    asked = list(parts_of(candidate))
    for folder in dict.fromkeys(part.folder for part in asked if isinstance(part, Function)):
        limits.append(f"The function's code is not in this export: it is looked for in {folder!r}.")
    if any(isinstance(part, Single) for part in asked):
        limits.append("The base model's weights are not in this export; its licence is its own.")
    return limits


def _use(candidate: Candidate) -> list[str]:
    uses = ["With tuningfork, on a file of new rows:", "```\ntuningfork predict THIS_FOLDER -i new.csv\n```"]
    if isinstance(candidate, Steps | Cascade | Vote):
        uses.append(
            "Without it: `prompt.json` says how the parts come to one answer, in words and as data. Each part lies in a"
            " folder of its own, `parts/1` and so on: `prompt.json` there holds plain chat messages and how the answer"
            " is read, `adapter/` weights in the layout of PEFT, `head.safetensors` and `labels.json` a linear head on"
            " the embedding, `pool.jsonl` demonstrations and `passages.jsonl` passages to find for each input."
        )
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
        uses.append(_found("pool.jsonl", "demonstrations", "vectors.safetensors", candidate.shots))
    if candidate.passages:
        uses.append(_found("passages.jsonl", "passages", "passages.safetensors", candidate.passages))
    return uses


def _found(file: str, what: str, vectors: str, how_found: Nearest | Passages) -> str:
    made = (
        f", `{vectors}` their unit vectors (made by `{how_found.model}`) in the same order" if how_found.vectors else ""
    )
    return f"`{file}` holds the {what}{made}; `prompt.json` says how they are picked."


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
