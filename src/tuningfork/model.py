"""The one narrow door to every model: lists in, lists out.

A model can `score` given choices, `generate` text, `embed` content and `tune` itself, or some of these: `capabilities`
says which. Each call takes a list of requests and returns a list of the same length and order; a request that fails
gives a `Failure` in its place and never spoils its neighbours. Batching, caching and devices are the business of
whoever stands behind the door. Types only: no model is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .store.blobs import Blob
from .task import Content, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Capability = Literal["score", "generate", "embed", "tune"]
Pooling = Literal["mean", "last", "first"]


@dataclass(frozen=True)
class Usage:
    """What a call cost. `tokens_reused` are read from a shared prefix or a cache and were not computed again;
    `tokens_cut` were left out of inputs that were too long, as the task said."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_reused: int = 0
    tokens_trained: int = 0
    tokens_cut: int = 0
    seconds: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.tokens_reused + other.tokens_reused,
            self.tokens_trained + other.tokens_trained,
            self.tokens_cut + other.tokens_cut,
            self.seconds + other.seconds,
            self.usd + other.usd,
        )


@dataclass(frozen=True)
class Failure:
    """One request that got no answer. `kind` is a short word to count by, `message` a sentence, `usage` what it cost
    all the same."""

    kind: str
    message: str
    usage: Usage = Usage()


@dataclass(frozen=True)
class ScoreRequest:
    """How likely is each choice as the whole answer to this prompt?"""

    prompt: Prompt
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """Natural-log probability (nats) of every choice, all its tokens counted, end of answer included."""

    nats: tuple[float, ...]
    tokens: tuple[int, ...]
    exclusive: bool = True
    usage: Usage = Usage()


@dataclass(frozen=True)
class OneOf:
    """The answer is one of these texts, whole."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Regex:
    """The answer matches this regular expression, whole."""

    pattern: str


@dataclass(frozen=True)
class JsonSchema:
    """The answer is a JSON document of this schema, which is itself JSON text."""

    schema: str


Constraint = OneOf | Regex | JsonSchema
"""What an answer may be. Tokens that would leave it are never written."""


@dataclass(frozen=True)
class GenerateRequest:
    """Write the next turn. `temperature=0` is greedy; `top_p` keeps the likeliest tokens of that much probability;
    `seed` belongs to the request, not to its batch."""

    prompt: Prompt
    max_tokens: int = 128
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    constraint: Constraint | None = None


@dataclass(frozen=True)
class Answer:
    """A generated text, its log-probability in nats where known, and why it ended (`end`, `stop`, `length`)."""

    text: str
    nats: float | None = None
    why_stopped: str = "end"
    usage: Usage = Usage()


@dataclass(frozen=True)
class EmbedRequest:
    """A vector for a text or, for a causal model, for a rendered prompt. `layer=-1` is the last one."""

    content: Content | Prompt
    layer: int = -1
    pooling: Pooling | None = None
    normalise: bool = True


@dataclass(frozen=True)
class Vector:
    """One embedding: `values` is float32 of shape (d,)."""

    values: NDArray[np.float32]
    usage: Usage = Usage()


@dataclass(frozen=True)
class Adapter:
    """Weights that moved, in the PEFT layout: file name to blob. `base` names the weights they belong to (a hash);
    `under` is the adapter that they were tuned on top of, where there was one: both are worn."""

    base: str
    files: Mapping[str, Blob]
    under: Adapter | None = None

    @classmethod
    def of(cls, base: str, files: Mapping[str, bytes]) -> Adapter:
        """An adapter of these files' contents."""
        return cls(base, {name: Blob.of(data) for name, data in files.items()})

    @property
    def bytes(self) -> int:
        """Size on disk, with what lies under."""
        return sum(blob.size for blob in self.blobs())

    def blobs(self) -> list[Blob]:
        """Its files, and those of what lies under."""
        return [*self.files.values(), *(self.under.blobs() if self.under else ())]

    @property
    def identity(self) -> str:
        """What tells it from every other: its files by name, then what lies under, in order."""
        own = "+".join(f"{name}:{self.files[name].sha256[:16]}" for name in sorted(self.files))
        return f"{own}/{self.under.identity}" if self.under else own


Moves = Literal[
    "lora",
    "full",
    "last_layers",
    "ia3",
    "bottleneck",
    "bias",
    "prompt_tuning",
    "p_tuning",
    "prefix_tuning",
    "start",
]
"""Which weights a training moves; `start`: those that the adapter it starts from moved."""


@dataclass(frozen=True)
class Recipe:
    """Which weights move, how far and for how long. Rates are per step of `batch` items.

    `rank` is that of LoRA and the size of a bottleneck; `layers` how many of the last ones move; `tokens` how many
    virtual ones a soft prompt has, which starts as the tokens of `start_text` (random ones without). With `pairs` an
    encoder learns that texts with the same target are alike, and others are not; of texts without a target, that each
    is like itself.

    `epochs`, `max_steps` and `max_tokens` (tokens through the loop) fix the number of steps before the first one, so
    that the rate schedule fits; `max_seconds` only cuts it short. After `patience` looks at hold without a better loss
    it stops too, and it always returns the best state it has seen on hold.
    """

    kind: Moves = "lora"
    rank: int = 8
    alpha: float = 16.0
    rslora: bool = False
    dora: bool = False
    layers: int = 2
    tokens: int = 16
    start_text: str = ""
    pairs: bool = False
    learning_rate: float = 5e-4
    head_learning_rate: float = 5e-3
    epochs: float = 8.0
    batch: int = 16
    warmup: float = 0.06
    weight_decay: float = 0.0
    max_steps: int | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    patience: int = 3
    seed: int = 0


@dataclass(frozen=True)
class TuneItem:
    """One thing to learn. With `choices` the loss is over these choices only; without, over the target's tokens;
    without a target too, over the prompt's own tokens. `shares` (one a choice) take the place of the target: how
    likely each choice should be, or, where choices are not `exclusive`, which of them hold."""

    prompt: Prompt
    target: str | None
    choices: tuple[str, ...] = ()
    weight: float = 1.0
    shares: tuple[float, ...] = ()
    exclusive: bool = True


@dataclass(frozen=True)
class CurvePoint:
    """One look at the training: mean loss in nats an item on train since the last look, and on hold."""

    step: int
    train_nats: float
    hold_nats: float | None
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """What tuning gives back. `head` (for encoders) is a blob of arrays `weight` (labels, d) and `bias` (labels,)."""

    adapter: Adapter
    head: Blob | None = None
    curve: tuple[CurvePoint, ...] = ()
    usage: Usage = Usage()
    why_stopped: str = "epochs"
    notes: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Model(Protocol):
    """Anything that can score, generate, embed or tune. Calling what is not in `capabilities` raises ModelError."""

    @property
    def id(self) -> str:
        """The name it was opened by."""
        ...

    @property
    def identity(self) -> str:
        """A hash of what decides its answers: weights, adapter, tokenizer, dtype."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]: ...

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]: ...

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]: ...

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned: ...

    def adapted(self, adapter: Adapter) -> Model:
        """The same base weights, shared and not copied, with the adapter on. Refused if `adapter.base` is not ours."""
        ...


OpenModel = Callable[[str], Model]
"""name -> Model; what a race is given instead of the room of models."""
