"""How a candidate lies in files that need no tuningfork: plain messages, PEFT folders, arrays, JSON lines.

One that is made of others has a folder for each part, `parts/1`, `parts/2` and so on, laid out the same way, and a
prompt.json that says in words and as data how the parts come to one answer. Nothing here opens a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..candidate import Candidate, Cascade, Constant, FindBy, Function, Nearest, Passages, Single, Steps, Vote, to_dict
from ..model import Adapter
from ..predict.prompt import PASSAGES, columns_of, render
from ..task import plain_text

FILES = (
    "prompt.json",
    "prompt.txt",
    "head.safetensors",
    "labels.json",
    "pool.jsonl",
    "vectors.safetensors",
    "passages.jsonl",
    "passages.safetensors",
)
FOLDERS = ("adapter", "adapter-under", "adapter-under-under", "parts")
NEAR: Mapping[FindBy, str] = {
    "embedding": "whose vectors are nearest to the input's (cosine)",
    "bm25": "that share the most telling words with the input (BM25)",
    "both": "that stand highest in two orders together, by vectors (cosine) and by words (BM25), each counting"
    " 1 / (60 + rank)",
}


def files_of(candidate: Candidate) -> dict[str, bytes]:
    """Place in the folder -> bytes, for all that this candidate has."""
    match candidate:
        case Single():
            texts = {place: text.encode("utf-8", "replace") for place, text in _texts(candidate).items()}
            return texts | _arrays(candidate)
        case Steps() | Cascade() | Vote():
            found = {"prompt.json": as_json(composition(candidate)).encode("utf-8", "replace")}
            for number, part in enumerate(parts(candidate), start=1):
                found |= {f"parts/{number}/{place}": data for place, data in files_of(part).items()}
            return found
        case Constant() | Function():
            return {}


def parts(candidate: Steps | Cascade | Vote) -> tuple[Candidate, ...]:
    """What it is made of, in order."""
    if isinstance(candidate, Steps):
        return tuple(stage.candidate for stage in candidate.parts)
    return candidate.parts


def composition(candidate: Steps | Cascade | Vote) -> dict[str, Any]:
    """How the parts come to one answer, in words and as data."""
    found: dict[str, Any] = {"made_of": type(candidate).__name__.lower(), "how": how(candidate)}
    found["parts"] = [_part(part, number) for number, part in enumerate(parts(candidate), start=1)]
    match candidate:
        case Steps(stages):
            for entry, stage in zip(found["parts"], stages, strict=True):
                entry["column"] = stage.name
        case Cascade(_, thresholds):
            for entry, threshold in zip(found["parts"], thresholds, strict=False):
                entry["threshold"] = threshold
            if candidate.guarantee:
                found["guarantee"] = to_dict(candidate)["guarantee"]
        case Vote(_, by, weights):
            found["by"] = by
            for entry, weight in zip(found["parts"], weights or (1.0,) * len(found["parts"]), strict=True):
                entry["weight"] = weight
    return found


def how(candidate: Steps | Cascade | Vote) -> str:
    """How the parts come to one answer, in words."""
    match candidate:
        case Steps():
            return (
                "Ask the parts in order. What a part answers is an input column of the parts after it, by the name"
                " under `column`; the last one's answer is the answer."
            )
        case Cascade():
            return (
                "Ask the parts in order. The first whose confidence (the probability of its answer) is at least its"
                " `threshold` answers; one that fails is not sure. The last one answers what comes to it."
            )
        case Vote(by="probability"):
            return (
                "Ask every part. The answer is the label of the highest mean probability, each part counting by its"
                " `weight`; one that fails has no vote."
            )
        case Vote():
            return (
                "Ask every part. The answer is what the greatest `weight` of them says, of equals what an earlier part"
                " says; one that fails has no vote."
            )


def as_json(value: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _part(part: Candidate, number: int) -> dict[str, Any]:
    match part:
        case Constant():
            return {"always": part.answer}
        case Function():
            return {"function": part.path, "folder_of_function": part.folder}
    return {"folder": f"parts/{number}"}


def _texts(candidate: Single) -> dict[str, str]:
    """File name -> text, for the parts that this candidate has."""
    texts: dict[str, str] = {}
    if candidate.prompt is not None:
        prompt = _prompt(candidate)
        texts["prompt.json"] = as_json(prompt)
        texts["prompt.txt"] = "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in prompt["messages"]) + "\n"
    if candidate.head:
        texts["labels.json"] = as_json(list(candidate.labels))
    if isinstance(candidate.shots, Nearest):
        texts["pool.jsonl"] = _lines(
            {"inputs": dict(shot.inputs), "answer": shot.answer} for shot in candidate.shots.pool
        )
    if candidate.passages:
        texts["passages.jsonl"] = _lines(json.loads(candidate.passages.texts.read()))
    return texts


def _lines(entries: Any) -> str:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def _arrays(candidate: Single) -> dict[str, bytes]:
    """Place in the folder -> bytes, for the adapter's files and the arrays of head, pool and passages."""
    found: dict[str, bytes] = {}
    for folder, adapter in _stack(candidate.adapter):
        # names come from a candidate's data: only their last part, so that none can leave the folder
        found |= {f"{folder}/{Path(name).name}": blob.read() for name, blob in adapter.files.items()}
    if candidate.head:
        found["head.safetensors"] = candidate.head.weights.read()
    if isinstance(candidate.shots, Nearest) and candidate.shots.vectors:
        found["vectors.safetensors"] = candidate.shots.vectors.read()
    if candidate.passages and candidate.passages.vectors:
        found["passages.safetensors"] = candidate.passages.vectors.read()
    return found


def _stack(adapter: Adapter | None) -> Iterator[tuple[str, Adapter]]:
    """An adapter's folder, and those of what lies under it."""
    folder = "adapter"
    while adapter is not None:
        yield folder, adapter
        folder, adapter = f"{folder}-under", adapter.under


def _prompt(candidate: Single) -> dict[str, Any]:
    """The prompt as chat messages with open places, fixed demonstrations as turns, and how its answer is read."""
    assert candidate.prompt is not None
    places = {name: "{{" + name + "}}" for name in columns_of(candidate.prompt)}
    shots = () if isinstance(candidate.shots, Nearest) else candidate.shots
    passages = places.get(PASSAGES) if candidate.passages else None
    messages = render(candidate.prompt, places, shots, passages).messages
    prompt: dict[str, Any] = {
        "model": candidate.model,
        "messages": [{"role": m.role, "content": plain_text(m.content)} for m in messages],
        "answer": _answer(candidate),
    }
    if isinstance(candidate.shots, Nearest):
        prompt["demonstrations"] = _demonstrations(candidate.shots)
    if candidate.passages:
        prompt["passages"] = _passages(candidate.passages)
    return prompt


def _demonstrations(shots: Nearest) -> dict[str, Any]:
    varied = (
        f" One after the other, each by {1 - shots.diversity:g} of its likeness to the input less {shots.diversity:g}"
        " of its greatest likeness to those already picked (maximal marginal relevance)."
    )
    said: dict[str, Any] = {
        "how": f"For each input, the {shots.k} of the pool {NEAR[shots.by]}, nearest last, each a user turn (the last "
        f"message, filled) and an assistant turn, before that message.{varied if shots.diversity else ''}",
        "k": shots.k,
        "by": shots.by,
        "pool": "pool.jsonl",
    }
    if shots.diversity:
        said["diversity"] = shots.diversity
    if shots.vectors:
        said |= {"vectors": "vectors.safetensors", "embedder": shots.model}
    return said


def _passages(passages: Passages) -> dict[str, Any]:
    said: dict[str, Any] = {
        "how": f"For each input, the {passages.k} of the passages {NEAR[passages.by]}, best first, fill the place "
        "{{passages}}: `[number] source`, a line break, the text, an empty line between them.",
        "k": passages.k,
        "by": passages.by,
        "texts": "passages.jsonl",
    }
    if passages.vectors:
        said |= {"vectors": "passages.safetensors", "embedder": passages.model}
    return said


def _answer(candidate: Single) -> dict[str, Any]:
    """How an answer is read off the model."""
    calibration, decoding = candidate.calibration, candidate.decoding
    scaled = ", times its scale" if calibration and calibration.scale else ""
    most = f" Of {decoding.samples} samples the most common text." if decoding.samples > 1 else ""
    ways = {
        "score": "The label whose word is the most probable whole answer: sum of the log-probabilities of all its "
        f"tokens, end of the turn included{scaled}, less its offset in nats.",
        "generate": f"The text that the model writes.{most}",
        "head": "The label with the largest value of weight x embedding + bias.",
    }
    each = {
        "score": "Asked once for every label: it applies where the log-probability of `yes` less that of `no` is above "
        "its offset in nats.",
        "generate": "Asked once for every label: it applies where the model writes `yes`.",
        "head": "Every label whose value of weight x embedding + bias is above its offset.",
    }
    how = (ways if candidate.exclusive else each)[candidate.answer_by]
    answer: dict[str, Any] = {"by": candidate.answer_by, "how": how}
    if candidate.labels:
        answer["labels"] = list(candidate.labels)
        answer["words"] = list(candidate.words or candidate.labels)
    if calibration:
        answer["offset_nats"] = list(calibration.offset_nats)
        if calibration.scale:
            answer["scale"] = list(calibration.scale)
    if candidate.answer_by == "generate":
        answer["decoding"] = to_dict(candidate)["decoding"]
    return answer
