"""The parts of a candidate: frozen data, no code, no live model.

`Single` asks one model (with any of: adapter, prompt, demonstrations, passages, head, calibration); `Constant` always
says the same; `Function` calls the user's own Python. `Steps`, `Cascade` and `Vote` are made of candidates again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..model import Adapter, Constraint, Failure, Pooling, Usage
from ..store.blobs import Blob
from ..task import Message, Overlong

AnswerBy = Literal["score", "generate", "head"]
FindBy = Literal["embedding", "bm25", "both"]
"""How texts like an input are found: by an encoder's cosine, by words (BM25), or by both orders joined."""


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
    """Demonstrations picked for each input: the `k` of `pool` nearest to it, nearest last.

    `vectors` holds one array `vectors` of shape (len(pool), d), unit length, by `model`'s embedding; both are empty
    where `by` is words alone. `diversity` (0 to 1) takes that much of an entry's likeness to those already picked off
    its likeness to the input (maximal marginal relevance, Carbonell and Goldstein 1998).
    """

    model: str
    pool: tuple[Shot, ...]
    vectors: Blob | None
    k: int
    by: FindBy = "embedding"
    diversity: float = 0.0


@dataclass(frozen=True)
class Passages:
    """Pieces of the user's documents found for each input, the `k` nearest, best first; they fill `{{passages}}`.

    `texts` is a JSON list of objects `text` and `source` (what is cited); `vectors` as in `Nearest`.
    """

    texts: Blob
    model: str
    vectors: Blob | None
    k: int
    by: FindBy = "both"


@dataclass(frozen=True)
class Head:
    """A linear layer on the model's embedding: arrays `weight` (labels, d) and `bias` (labels,)."""

    weights: Blob
    layer: int = -1
    pooling: Pooling | None = None
    normalise: bool = True


@dataclass(frozen=True)
class Calibration:
    """Nats to take off each label's log-probability before comparing, after it was multiplied with its `scale` (empty:
    with 1). Fitted on train inputs, then frozen."""

    offset_nats: tuple[float, ...]
    scale: tuple[float, ...] = ()


@dataclass(frozen=True)
class Decoding:
    """How text is written where the answer is generated; the words are those of a GenerateRequest. With more `samples`
    than one, so many are written and the most common answer wins. Samples are numbered from `first_sample` on, and each
    number has chances of its own."""

    max_tokens: int = 128
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    top_p: float = 1.0
    constraint: Constraint | None = None
    samples: int = 1
    first_sample: int = 0


@dataclass(frozen=True)
class Single:
    """One model and how it is used. `labels` empty: free text. `words[i]` is what the model says for `labels[i]`.
    Where labels are not `exclusive`, any number of them may hold: an answer is a set (`task.set_text`)."""

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
    passages: Passages | None = None
    exclusive: bool = True


@dataclass(frozen=True)
class Constant:
    """Says the same to everything."""

    answer: str
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Function:
    """The user's own `module:function`, called with a dict of inputs. It returns a str, or a dict with `answer`
    and optionally `confidence`; where labels are not `exclusive`, the answer is a list of them. `folder` is where its
    module is looked for."""

    path: str
    folder: str = "."
    labels: tuple[str, ...] = ()
    exclusive: bool = True


@dataclass(frozen=True)
class Stage:
    """One of several steps. Later stages see its answer as the input column `name`."""

    name: str
    candidate: Candidate


@dataclass(frozen=True)
class Steps:
    """Candidates one after the other; the last one's answer is the answer."""

    parts: tuple[Stage, ...]


@dataclass(frozen=True)
class Guarantee:
    """What was shown of a cascade when its thresholds were chosen: with a probability of at least 1 - `delta` over the
    draw of `items` examples, its mean item score is at most `epsilon` (of the metric's range) under that of its last
    part. On these examples it passed the share `passed_up` on, at `cost` times what the last part costs (in money,
    else in planned time, else in tokens).
    `earlier_parts`: its parts were adapted again since, so this was shown of their earlier forms."""

    epsilon: float
    delta: float
    items: int
    passed_up: float
    cost: float
    earlier_parts: bool = False


@dataclass(frozen=True)
class Cascade:
    """Candidates from cheap to dear. One answers when its confidence reaches its threshold, else the next is asked;
    the last one always answers. One threshold fewer than parts."""

    parts: tuple[Candidate, ...]
    thresholds: tuple[float, ...]
    guarantee: Guarantee | None = None


@dataclass(frozen=True)
class Vote:
    """Several that are all asked. By `probability`: the label of the highest mean probability; by `answer`: what most
    of them say. Ties go to the earlier part; `weights` empty: all count alike."""

    parts: tuple[Candidate, ...]
    by: Literal["probability", "answer"] = "probability"
    weights: tuple[float, ...] = ()


Candidate = Single | Constant | Function | Steps | Cascade | Vote


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
