"""A candidate as plain JSON data and back, its name, and what it holds.

Reading goes by the types of the fields, so that a new part of a candidate costs nothing here. A field that came later
is written only where it differs from its default: older candidates keep the names they had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import DataError
from ..model import Adapter, Constraint, JsonSchema, OneOf, Regex
from ..store.blobs import Blob
from ..task import Message, plain_text
from .parts import (
    Calibration,
    Candidate,
    Cascade,
    Constant,
    Decoding,
    Function,
    Nearest,
    Single,
    Steps,
    Vote,
)

FindBlob = Callable[[str], Blob]

TYPES: Mapping[str, type] = {cls.__name__.lower(): cls for cls in (Single, Constant, Function, Steps, Cascade, Vote)}
LATER = {
    Single: ("overlong", "passages", "exclusive"),
    Function: ("exclusive",),
    Adapter: ("under",),
    Nearest: ("by", "diversity"),
    Calibration: ("scale",),
    Cascade: ("guarantee",),
    Decoding: ("top_p", "constraint", "samples", "first_sample"),
}


def to_dict(candidate: Candidate) -> dict[str, Any]:
    """Plain JSON data; blobs as `{"blob": sha256}`. `from_dict` reads it back."""
    data: dict[str, Any] = _plain(candidate)
    return data


def from_dict(data: Mapping[str, Any], blob: FindBlob) -> Candidate:
    """The candidate of a `to_dict`; `blob` finds a blob by its SHA-256. Raises DataError for an unknown type."""
    kind = TYPES.get(str(data.get("type")))
    if kind is None:
        raise DataError(
            f"This version of tuningfork knows no candidate of type {data.get('type')!r}. Update tuningfork."
        )
    candidate: Candidate = _record(kind, data, blob)
    return candidate


def identity(candidate: Candidate) -> str:
    """Twelve hex digits that name a candidate by all that it holds."""
    text = json.dumps(to_dict(candidate), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def parts_of(candidate: Candidate) -> Iterator[Candidate]:
    """The candidates that are made of no others, in the order in which they are asked."""
    match candidate:
        case Steps(stages):
            for stage in stages:
                yield from parts_of(stage.candidate)
        case Cascade(parts) | Vote(parts):
            for part in parts:
                yield from parts_of(part)
        case _:
            yield candidate


def changed_parts(candidate: Candidate, change: Callable[[Candidate], Candidate]) -> Candidate:
    """The candidate with `change` made to each part that is made of no others."""
    match candidate:
        case Steps(stages):
            return Steps(tuple(replace(stage, candidate=changed_parts(stage.candidate, change)) for stage in stages))
        case Cascade(parts) | Vote(parts):
            return replace(candidate, parts=tuple(changed_parts(part, change) for part in parts))
        case _:
            return change(candidate)


def labels_of(candidate: Candidate) -> tuple[str, ...]:
    """The labels that it chooses from; none for free text."""
    match candidate:
        case Steps(stages):
            return labels_of(stages[-1].candidate)
        case Cascade(parts) | Vote(parts):
            return labels_of(parts[0])
        case _:
            return candidate.labels


def models_of(candidate: Candidate) -> tuple[str, ...]:
    """Every model that it asks, each once."""
    found: list[str] = []
    for part in parts_of(candidate):
        if isinstance(part, Single):
            found += [part.model]
            found += [part.shots.model] if isinstance(part.shots, Nearest) else []
            found += [part.passages.model] if part.passages else []
    return tuple(dict.fromkeys(filter(None, found)))


def blobs_of(candidate: Candidate) -> list[Blob]:
    """Every blob that a candidate names, so that a store can keep them."""
    found: list[Blob | None] = []
    for part in parts_of(candidate):
        if not isinstance(part, Single):
            continue
        found += part.adapter.blobs() if part.adapter else []
        found += [part.head.weights] if part.head else []
        found += [part.shots.vectors] if isinstance(part.shots, Nearest) else []
        found += [part.passages.texts, part.passages.vectors] if part.passages else []
    return [blob for blob in found if blob is not None]


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


def _plain(value: Any) -> Any:
    match value:
        case Blob():
            return {"blob": value.sha256}
        case Message():
            return {"role": value.role, "content": plain_text(value.content)}
        case OneOf(texts):
            return {"one_of": list(texts)}
        case Regex(pattern):
            return {"regex": pattern}
        case JsonSchema(schema):
            return {"json_schema": schema}
        case Mapping():
            return {key: _plain(entry) for key, entry in value.items()}
        case tuple():
            return [_plain(entry) for entry in value]
    return _plain_record(value) if is_dataclass(value) else value


def _plain_record(value: Any) -> dict[str, Any]:
    later = LATER.get(type(value), ())
    tag = type(value).__name__.lower()
    data: dict[str, Any] = {"type": tag} if TYPES.get(tag) is type(value) else {}
    for field in fields(value):
        held = getattr(value, field.name)
        if field.name not in later or held != field.default:
            data[field.name] = _plain(held)
    return data


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: type, data: Mapping[str, Any], blob: FindBlob) -> Any:
    hints = _hints(kind)
    return kind(**{f.name: _read(hints[f.name], data[f.name], blob) for f in fields(kind) if f.name in data})


def _read(kind: Any, data: Any, blob: FindBlob) -> Any:
    """Data as a value of that type."""
    if kind is Blob:
        return blob(data["blob"])
    if is_dataclass(kind):
        return _record(kind, data, blob)  # type: ignore[arg-type]
    arguments, origin = get_args(kind), get_origin(kind)
    if origin is tuple:
        kinds = arguments[:1] * len(data) if arguments[1:] == (...,) else arguments
        return tuple(_read(each, entry, blob) for each, entry in zip(kinds, data, strict=True))
    if origin is Mapping:
        return {key: _read(arguments[1], entry, blob) for key, entry in data.items()}
    if (data is not None and NoneType in arguments) or (len(arguments) > 1 and isinstance(data, Mapping | list)):
        return _one_of(arguments, data, blob)
    return data


def _one_of(kinds: tuple[Any, ...], data: Any, blob: FindBlob) -> Any:
    """Data as a value of the one of several types that it can be."""
    if isinstance(data, Mapping):
        if "type" in data:
            return from_dict(data, blob)
        if OneOf in kinds:
            return constraint_of(data)
        return _read(next(kind for kind in kinds if kind is Blob or is_dataclass(kind)), data, blob)
    if isinstance(data, list):
        return _read(next(kind for kind in kinds if get_origin(kind) is tuple), data, blob)
    return data
