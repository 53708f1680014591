"""All that decides behaviour, as data.

A Candidate is what methods make, `predict` runs, the log records and a user ships. It holds no code and no live model:
models are named, what is large is a blob. `Single` asks one model (with any of: adapter, prompt, demonstrations, head,
calibration); `Constant` always says the same; `Function` calls the user's own Python. Nobody may ask which method made
a candidate; ask what parts it has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import DataError
from .model import Adapter, Constraint, Failure, JsonSchema, OneOf, Pooling, Regex, Usage
from .store.blobs import Blob
from .task import Message, Overlong, plain_text

AnswerBy = Literal["score", "generate", "head"]


@dataclass(frozen=True)
class Template:
    """Chat messages with `{{column}}` places. The last one is the user's turn; demonstrations come before it."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Shot:
    """One demonstration: inputs by column, and the answer as the model should say it."""

    inputs: tuple[tuple[str, str], ...]
    answer: str


@dataclass(frozen=True)
class Nearest:
    """Demonstrations picked for each input: the `k` of `pool` nearest by `model`'s embedding, nearest last.

    `vectors` holds one array `vectors` of shape (len(pool), d), unit length.
    """

    model: str
    pool: tuple[Shot, ...]
    vectors: Blob
    k: int


@dataclass(frozen=True)
class Head:
    """A linear layer on the model's embedding: arrays `weight` (labels, d) and `bias` (labels,)."""

    weights: Blob
    layer: int = -1
    pooling: Pooling | None = None
    normalise: bool = True


@dataclass(frozen=True)
class Calibration:
    """Nats to take off each label's log-probability before comparing. Fitted on train inputs, then frozen."""

    offset_nats: tuple[float, ...]


@dataclass(frozen=True)
class Decoding:
    """How text is written where the answer is generated; the words are those of a GenerateRequest."""

    max_tokens: int = 128
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    top_p: float = 1.0
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Single:
    """One model and how it is used. `labels` empty: free text. `words[i]` is what the model says for `labels[i]`."""

    model: str
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    prompt: Template | None = None
    shots: tuple[Shot, ...] | Nearest = ()
    adapter: Adapter | None = None
    head: Head | None = None
    calibration: Calibration | None = None
    decoding: Decoding = Decoding()
    answer_by: AnswerBy = "score"
    overlong: Overlong = "fail"


@dataclass(frozen=True)
class Constant:
    """Says the same to everything."""

    answer: str
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Function:
    """The user's own `module:function`, called with a dict of inputs. It returns a str, or a dict with `answer`
    and optionally `confidence`. `folder` is where its module is looked for."""

    path: str
    folder: str = "."
    labels: tuple[str, ...] = ()


Candidate = Single | Constant | Function


@dataclass(frozen=True)
class Prediction:
    """What a candidate says of one input. With a `failure` the answer is empty and counts for nothing but a failure."""

    answer: str
    nats: tuple[float, ...] | None = None
    confidence: float | None = None
    abstained: bool = False
    failure: Failure | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    citations: tuple[str, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict)


def to_dict(candidate: Candidate) -> dict[str, Any]:
    """Plain JSON data; blobs as `{"blob": sha256}`. `from_dict` reads it back."""
    return {"type": type(candidate).__name__.lower(), **_plain_fields(candidate)}


def from_dict(data: Mapping[str, Any], blob: Callable[[str], Blob]) -> Candidate:
    """The candidate of a `to_dict`; `blob` finds a blob by its SHA-256. Raises DataError for an unknown type."""
    fields = {key: value for key, value in data.items() if key != "type"}
    match data.get("type"):
        case "single":
            return _single(fields, blob)
        case "constant":
            return Constant(fields["answer"], tuple(fields["labels"]), tuple(fields["probabilities"]))
        case "function":
            return Function(fields["path"], fields["folder"], tuple(fields["labels"]))
        case other:
            raise DataError(f"This version of tuningfork knows no candidate of type {other!r}. Update tuningfork.")


def identity(candidate: Candidate) -> str:
    """Twelve hex digits that name a candidate by all that it holds."""
    text = json.dumps(to_dict(candidate), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def blobs_of(candidate: Candidate) -> list[Blob]:
    """Every blob that a candidate names, so that a store can keep them."""
    if not isinstance(candidate, Single):
        return []
    found = candidate.adapter.blobs() if candidate.adapter else []
    if candidate.head:
        found.append(candidate.head.weights)
    if isinstance(candidate.shots, Nearest):
        found.append(candidate.shots.vectors)
    return found


def _plain_fields(value: Any) -> dict[str, Any]:
    data = {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    for late, silent in (("overlong", "fail"), ("under", None)):  # written only where it says something: older
        if late in data and data[late] == silent:  # candidates keep their names
            del data[late]
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, Blob):
        return {"blob": value.sha256}
    if isinstance(value, Message):
        return {"role": value.role, "content": plain_text(value.content)}
    if isinstance(value, Decoding):
        return _decoding_data(value)
    if hasattr(value, "__dataclass_fields__"):
        return _plain_fields(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value


def _single(data: Mapping[str, Any], blob: Callable[[str], Blob]) -> Single:
    prompt, shots, adapter, head = data["prompt"], data["shots"], data["adapter"], data["head"]
    calibration = data["calibration"]
    return Single(
        model=data["model"],
        labels=tuple(data["labels"]),
        words=tuple(data["words"]),
        prompt=Template(tuple(Message(m["role"], m["content"]) for m in prompt["messages"])) if prompt else None,
        shots=_nearest(shots, blob) if isinstance(shots, Mapping) else _shots(shots),
        adapter=_adapter(adapter, blob),
        head=Head(blob(head["weights"]["blob"]), head["layer"], head["pooling"], head["normalise"]) if head else None,
        calibration=Calibration(tuple(calibration["offset_nats"])) if calibration else None,
        decoding=_decoding(data["decoding"]),
        answer_by=data["answer_by"],
        overlong=data.get("overlong", "fail"),
    )


def _adapter(data: Mapping[str, Any] | None, blob: Callable[[str], Blob]) -> Adapter | None:
    if data is None:
        return None
    files = {name: blob(file["blob"]) for name, file in data["files"].items()}
    return Adapter(data["base"], files, _adapter(data.get("under"), blob))


def _decoding(data: Mapping[str, Any]) -> Decoding:
    constraint = data.get("constraint")
    return Decoding(
        data["max_tokens"],
        data["temperature"],
        tuple(data["stop"]),
        data.get("top_p", 1.0),
        constraint_of(constraint) if constraint else None,
    )


def _decoding_data(decoding: Decoding) -> dict[str, Any]:
    """What came later is written only where it says something, so that candidates keep the names they had."""
    data: dict[str, Any] = {"max_tokens": decoding.max_tokens, "temperature": decoding.temperature}
    data["stop"] = list(decoding.stop)
    if decoding.top_p != 1.0:
        data["top_p"] = decoding.top_p
    if decoding.constraint is not None:
        data["constraint"] = _constraint_data(decoding.constraint)
    return data


def _constraint_data(constraint: Constraint) -> dict[str, Any]:
    match constraint:
        case OneOf(texts):
            return {"one_of": list(texts)}
        case Regex(pattern):
            return {"regex": pattern}
        case JsonSchema(schema):
            return {"json_schema": schema}


def constraint_of(data: Mapping[str, Any]) -> Constraint:
    """The constraint that plain data names: `one_of` a list of texts, a `regex`, or a `json_schema` (JSON text). Raises
    DataError for anything else."""
    match data:
        case {"one_of": [*texts]} if len(data) == 1 and all(isinstance(text, str) for text in texts):
            return OneOf(tuple(texts))
        case {"regex": str(pattern)} if len(data) == 1:
            return Regex(pattern)
        case {"json_schema": str(schema)} if len(data) == 1:
            return JsonSchema(schema)
    raise DataError(
        f"The constraint {data!r:.200} is none that this version knows. Give one of: one_of, regex, json_schema."
    )


def _nearest(data: Mapping[str, Any], blob: Callable[[str], Blob]) -> Nearest:
    return Nearest(data["model"], _shots(data["pool"]), blob(data["vectors"]["blob"]), data["k"])


def _shots(data: list[Any]) -> tuple[Shot, ...]:
    return tuple(Shot(tuple((k, v) for k, v in shot["inputs"]), shot["answer"]) for shot in data)
