"""Answers that a model gave before, given again: one wrapper round any Model, one file on disk for all races.

A request is known by a SHA-256 over the model's identity (weights, adapter, tokenizer, dtype), the kind of call and the
whole request. Its `seed` is also the repeat index: the same question with the same seed has one answer, and who wants
another draw asks with another seed, also of a model that has no seed of its own.

An answer costs what it cost the first time, and a question that stands twice in one call is asked once and charged
twice; so a race that is run again is charged the same, token by token. (A model may charge what the requests of a call
share to the first of them. Where *another* race has asked a part of a call, or the cache is off, that first one may be
another, and the charge a little different.) Failures are not kept, and tuning is not. What measures time must ask the
model itself.

    with AnswerCache(path) as cache:
        model = cache.before(open_model("smollm2-135m"))

Settings: `TUNINGFORK_NO_CACHE=1`, and `TUNINGFORK_ANSWERS_GIB`, the most that the file takes (1 where nothing is said).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any

from .. import __version__
from ..errors import UserError
from ..model import (
    Adapter,
    Answer,
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Usage,
    Vector,
)
from ..store.bounded import Bounded
from ..task import Message
from .bundled import cache_folder

GIB = 1 << 30
Request = ScoreRequest | GenerateRequest | EmbedRequest
Result = Scores | Answer | Vector
KINDS: Mapping[str, type[Result]] = {kind.__name__: kind for kind in (Scores, Answer, Vector)}
FORMAT = (1, *(field.name for kind in (*KINDS.values(), Usage) for field in fields(kind)))
"""Of what is kept: a number, to be raised when `pack` changes, and all that an answer holds. It is in the key, as the
version of tuningfork is, since an engine that is mended answers otherwise."""


class AnswerCache:
    """The answers on disk, and how many of those asked for were there. Usable from several threads."""

    def __init__(self, path: Path | None = None, most_bytes: int | None = None) -> None:
        """Raises UserError when a setting can't be read."""
        self.store = Bounded(path or answers_file(), _most_bytes() if most_bytes is None else most_bytes)
        self._lock = threading.Lock()
        self._asked = self._found = 0

    def before(self, model: Model) -> Model:
        """The model with this cache before it; itself where it says `cacheable = False`, as the fakes do."""
        return Cached(model, self) if getattr(model, "cacheable", True) else model

    @property
    def counts(self) -> Mapping[str, int]:
        """Requests `asked`, and `found` of them without asking a model; empty when nothing was asked."""
        return {"asked": self._asked, "found": self._found} if self._asked else {}

    @property
    def troubles(self) -> Sequence[str]:
        """Sentences about what went wrong with the file."""
        return tuple(f"The cache of answers: {text}" for text in self.store.troubles)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Result]:
        """Key -> answer, of those that are known."""
        return {key: unpack(data) for key, data in self.store.get(keys).items()}

    def keep(self, results: Mapping[bytes, Result | Failure]) -> None:
        """Keep all that are answers."""
        self.store.put({key: pack(result) for key, result in results.items() if not isinstance(result, Failure)})

    def count(self, asked: int, found: int) -> None:
        """Requests that came, and those of them that no model was asked."""
        with self._lock:
            self._asked, self._found = self._asked + asked, self._found + found

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Cached:
    """A model that is asked only what it was not asked before. Its adapted models have the same cache before them."""

    def __init__(self, model: Model, cache: AnswerCache) -> None:
        self._model, self._cache = model, cache

    @property
    def id(self) -> str:
        return self._model.id

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._model.capabilities

    @property
    def parameters(self) -> int | None:
        """How many weights it has, where it says so."""
        return getattr(self._model, "parameters", None)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        return self._through("score", requests, lambda missed, places: self._model.score(missed))

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        """`on_text` gets an answer that was known whole, after the others."""
        if on_text is None:
            return self._through("generate", requests, lambda missed, places: self._model.generate(missed))
        show, asked = on_text, set[int]()

        def ask(missed: list[GenerateRequest], places: list[int]) -> list[Answer | Failure]:
            asked.update(places)
            return self._model.generate(missed, lambda index, piece: show(places[index], piece))

        found = self._through("generate", requests, ask)
        for index, answer in enumerate(found):
            if index not in asked and isinstance(answer, Answer) and answer.text:
                show(index, answer.text)
        return found

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        return self._through("embed", requests, lambda missed, places: self._model.embed(missed))

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        return self._model.tune(recipe, items, hold, start)

    def adapted(self, adapter: Adapter) -> Cached:
        return Cached(self._model.adapted(adapter), self._cache)

    def _through(
        self, call: Capability, requests: Sequence[Any], ask: Callable[[list[Any], list[int]], list[Any]]
    ) -> list[Any]:
        """All answers in order; `ask` is given what is not known, each once, and at which places it was asked."""
        keys = keys_of(self.identity, call, requests)
        known: dict[bytes, Any] = dict(self._cache.find(list(dict.fromkeys(keys))))
        first: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if key not in known:
                first.setdefault(key, index)
        places = list(first.values())
        if places or not requests:  # a call with nothing in it still says what the model can't do
            new = dict(zip(first, ask([requests[index] for index in places], places), strict=True))
            self._cache.keep(new)
            known |= new
        self._cache.count(len(requests), len(requests) - len(places))
        return [known[key] for key in keys]


def open_cache(wanted: bool = True) -> AbstractContextManager[AnswerCache | None]:
    """The user's cache; None where it is not wanted or TUNINGFORK_NO_CACHE says so. Raises UserError when a setting
    can't be read."""
    return AnswerCache() if wanted and not is_switched_off() else nullcontext()


def is_switched_off() -> bool:
    """Whether TUNINGFORK_NO_CACHE says so."""
    return os.environ.get("TUNINGFORK_NO_CACHE", "0") not in ("", "0")


def answers_file() -> Path:
    """Where answers lie."""
    return cache_folder() / "answers.sqlite"


def keys_of(identity: str, call: Capability, requests: Sequence[Request]) -> list[bytes]:
    """The keys of requests: equal for equal requests of one kind to models of one identity, else different."""
    known: dict[Message, bytes] = {}
    start = hashlib.sha256(_spelt((FORMAT, __version__, identity, call), known))
    keys = []
    for request in requests:
        digest = start.copy()
        digest.update(_spelt(request, known))
        keys.append(digest.digest())
    return keys


def pack(result: Result) -> bytes:
    """An answer as bytes: a line of JSON, then for a vector its values as little-endian float32."""
    values = {field.name: getattr(result, field.name) for field in fields(result)} | {"usage": astuple(result.usage)}
    tail = b""
    if isinstance(result, Vector):
        values["values"], tail = None, result.values.astype("<f4").tobytes()
    return _text([type(result).__name__, *values.values()]) + b"\n" + tail


def unpack(data: bytes) -> Result:
    """What `pack` packed."""
    line, _, tail = data.partition(b"\n")
    kind, *packed = json.loads(line.decode("utf-8", "surrogatepass"))
    names = [field.name for field in fields(KINDS[kind])]
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in zip(names, packed, strict=True)}
    values["usage"] = Usage(*values["usage"])
    if kind == "Vector":
        import numpy as np

        values["values"] = np.frombuffer(tail, "<f4").astype(np.float32)
    return KINDS[kind](**values)


def _spelt(value: Any, known: dict[Message, bytes]) -> bytes:
    """A request as bytes that only its equals have: each part begins with its kind and says where it ends. 1, 1.0 and
    True are equal. `known`: messages that were spelt before, since the requests of a call share most of theirs."""
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return b"%d:%b" % (len(text), text)
    if isinstance(value, Message):
        if value not in known:
            known[value] = _parts(value, known)
        return known[value]
    if is_dataclass(value):
        return _parts(value, known)
    if isinstance(value, tuple | list):
        return b"(%b)" % b"".join([_spelt(part, known) for part in value])
    if isinstance(value, Integral):
        return b"=%d," % int(value)
    if isinstance(value, Real):
        number = float(value)
        return b"=%d," % number if number.is_integer() else b"=%b," % repr(number).encode()
    if value is None:
        return b"-"
    raise TypeError(f"a request holds a {type(value).__name__}, which has no place in the key of a cache: {value!r}")


def _parts(value: Any, known: dict[Message, bytes]) -> bytes:
    fields_of = [_spelt(getattr(value, field.name), known) for field in fields(value)]
    return b"<%b %b>" % (type(value).__name__.encode(), b"".join(fields_of))


def _text(value: Any) -> bytes:
    """One line of JSON. A lone surrogate, which has no place in UTF-8, comes back as it was, two of them as two."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=lambda number: number.item())
    return text.encode("utf-8", "surrogatepass")


def _most_bytes() -> int:
    said = os.environ.get("TUNINGFORK_ANSWERS_GIB", "1")
    try:
        gib = float(said)
    except ValueError:
        gib = math.nan
    if not 0 < gib < math.inf:
        raise UserError(
            f"TUNINGFORK_ANSWERS_GIB is {said!r}; it must be a number of GiB above 0, such as 0.5. To race without the"
            " cache of answers, set TUNINGFORK_NO_CACHE=1 or say --no-cache."
        )
    return int(gib * GIB)
