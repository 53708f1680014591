"""A method, and all that it is given.

A Method takes a start Candidate and a Bench and returns a better Candidate. The Bench holds what the method may learn
from (`train`) and choose on (`hold`) and models that refuse past its share. It has no dev and no test examples: what
must not be touched is not in the room. `chain(a, b)` is a method again, so a hybrid costs no code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from .candidate import Candidate, Constant, Prediction, Single
from .errors import BudgetSpent, MethodError
from .metrics import Metric, item_range, scores
from .model import Capability, Failure, Model
from .predict import predict
from .stats.sequential import still_in
from .task import Example, Kind, Task

Family = Literal["baseline", "prompt", "soft", "tune", "hybrid", "yours"]
Need = Capability | Literal["answer", "encoder", "documents", "known"]
"""What a method needs of its model: a capability, or one of two more. `answer`: it can say what is asked, by
`generate`, or by `score` where there are labels to choose from. `encoder`: it can `embed` and can't `score`. Two are no
needs of a model. `documents`: the task names some. `known`: the method is made of other methods' candidates, so a race
lets it run after these."""
Note = float | str
"""A number or a sentence about how a candidate was chosen."""


@dataclass(frozen=True)
class Share:
    """What is left to a method. All of `tokens` on reading, or all of `trained_tokens` on training, uses it up."""

    tokens: int
    trained_tokens: int
    seconds: float
    usd: float | None = None


@dataclass(frozen=True)
class Known:
    """A candidate born earlier in this race and its mean item score on hold or dev so far. Where its trial was adapted
    again since, it is the newest one, and `before` the one that was raced."""

    trial: str
    candidate: Candidate
    value: float
    before: Candidate | None = None


def _unheard(key: str, value: Note) -> None:
    """Where nobody keeps what a method notes."""


@dataclass(frozen=True)
class Bench:
    """All that a method is given.

    `models` are metered; `mine` is this method's own candidate of its last rung (to continue from, or to keep);
    `left()` says what remains of its share, `spent()` how many seconds of the race's planned clock it has used (0 where
    no such clock runs); `capabilities` says what each model can, without opening it. With `note` a method says what its
    choosing showed, such as the spread over draws: it stands in the log beside the candidate.
    """

    task: Task
    train: tuple[Example, ...]
    hold: tuple[Example, ...]
    models: Mapping[str, Model]
    metric: Metric
    left: Callable[[], Share]
    seed: int = 0
    rung: int = 0
    unlabelled: tuple[Example, ...] = ()
    documents: tuple[Example, ...] = ()
    known: tuple[Known, ...] = ()
    mine: Candidate | None = None
    capabilities: Mapping[str, frozenset[Capability]] = field(default_factory=dict)
    spent: Callable[[], float] = lambda: 0.0
    note: Callable[[str, Note], None] = _unheard

    @property
    def share(self) -> Share:
        """What is left of this method's share now."""
        return self.left()

    def helper(self, capability: Capability) -> Model:
        """The first model of the race that can do this and cannot score, else the first that can.

        An encoder embeds better than a chat model does. Raises MethodError when there is none.
        """
        able = [name for name, can in self.capabilities.items() if capability in can]
        best = sorted(able, key=lambda name: "score" in self.capabilities[name])
        if not best:
            raise MethodError(f"No model of this race can {capability}. Add one, such as minilm-l6, under `models:`.")
        return self.models[best[0]]

    def pick(self, candidates: Sequence[Candidate], block: int = 16, alpha: float = 0.1) -> Candidate:
        """The best of several on `hold`, by the paired racing of `race`. Ties go to the earlier candidate."""
        if not candidates:
            raise ValueError("pick needs at least one candidate")
        return candidates[leader(self.race(candidates, block, alpha))]

    def race(
        self,
        candidates: Sequence[Candidate],
        block: int = 16,
        alpha: float = 0.1,
        halving: bool = False,
        stay: int = 0,
    ) -> list[tuple[float, ...]]:
        """What each scored on `hold`, item by item in one order, higher is better whatever the metric.

        Paired racing: blocks of hold items go to all that are still in, and one that is shown worse than the leader (an
        anytime-valid test at `alpha` over all) is asked no more, so it has fewer scores. With `halving` the worse half
        goes out after every block too, and the next block is twice as long (sequential halving, Karnin and others
        2013: of a fixed number of questions most go to those that may be best). The first `stay` never go out. Failed
        items count as the worst score here, where nothing is reported. When the share is spent half-way, the blocks
        that all had are what there is.
        """
        low, high = item_range(self.metric)
        bounds = (low, high) if self.metric.higher_is_better else (-high, -low)
        known: list[list[float]] = [[] for _ in candidates]
        alive = [True] * len(candidates)
        begin = 0
        while begin < len(self.hold) and sum(alive) > 1:
            items = self.hold[begin : begin + block]
            try:
                found = [self._item_scores(c, items) if alive[i] else [] for i, c in enumerate(candidates)]
            except BudgetSpent:
                break
            known = [old + new for old, new in zip(known, found, strict=True)]
            begin += block
            alive = still_in(known, alive, bounds, alpha)
            if halving:
                alive, block = _better_half(known, alive), 2 * block
            alive[:stay] = [True] * stay
        return [tuple(each) for each in known]

    def _item_scores(self, candidate: Candidate, items: Sequence[Example]) -> list[float]:
        return self.scores(items, predict(candidate, self.models, [item.inputs for item in items]))

    def scores(self, items: Sequence[Example], predictions: Iterable[Prediction]) -> list[float]:
        """The item scores by which methods choose: higher is better; an item that failed, or can't be scored, has the
        worst one."""
        low, high = item_range(self.metric)
        sign = 1.0 if self.metric.higher_is_better else -1.0
        worst = low if self.metric.higher_is_better else high
        found = scores(self.metric, items, list(predictions))
        return [sign * (worst if isinstance(score, Failure) else score) for score in found]


def leader(scores: Sequence[Sequence[float]]) -> int:
    """Who leads of those with the most scores: the best mean, ties to the earlier one."""
    most = max(map(len, scores))
    return max(range(len(scores)), key=lambda i: (len(scores[i]) == most, sum(scores[i]) / max(1, most), -i))


def _better_half(scores: Sequence[Sequence[float]], alive: Sequence[bool]) -> list[bool]:
    ranked = sorted((i for i, living in enumerate(alive) if living), key=lambda i: (-sum(scores[i]), i))
    stays = set(ranked[: (len(ranked) + 1) // 2])
    return [i in stays for i in range(len(alive))]


@runtime_checkable
class Method(Protocol):
    """A way of adapting: a frozen dataclass whose fields are its settings, with these class attributes.

    `needs`: what the start's model must be able to do (see `Need`); empty, or `known` alone, for a method without a
    model. `uses`: what a model of the race must be able to do. `kinds`: the task kinds it can work on. The first line
    of its docstring is its menu line. It may raise MethodError with a reason; it never changes its inputs.
    """

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> Family: ...
    @property
    def needs(self) -> frozenset[Need]: ...
    @property
    def uses(self) -> frozenset[Capability]: ...
    @property
    def kinds(self) -> frozenset[Kind]: ...

    def __call__(self, start: Candidate, bench: Bench) -> Candidate: ...


@dataclass(frozen=True)
class Chain:
    """Two methods, one after the other, as one method: `chain(few_shot, calibrate)` is named `few_shot+calibrate`."""

    first: Method
    second: Method

    @property
    def name(self) -> str:
        return f"{self.first.name}+{self.second.name}"

    @property
    def family(self) -> Family:
        """That of its parts; two roads of different families are a hybrid."""
        parts = {self.first.family, self.second.family} - {"baseline"}
        return parts.pop() if len(parts) == 1 else "hybrid"

    @property
    def needs(self) -> frozenset[Need]:
        return self.first.needs | self.second.needs

    @property
    def uses(self) -> frozenset[Capability]:
        return self.first.uses | self.second.uses

    @property
    def kinds(self) -> frozenset[Kind]:
        return self.first.kinds & self.second.kinds

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return self.second(self.first(start, bench), bench)


@dataclass(frozen=True)
class WithSettings:
    """A method with settings that the user chose, named as the user wrote it: `lora(rank=16)` beside `lora`."""

    method: Method
    name: str

    @property
    def family(self) -> Family:
        return self.method.family

    @property
    def needs(self) -> frozenset[Need]:
        return self.method.needs

    @property
    def uses(self) -> frozenset[Capability]:
        return self.method.uses

    @property
    def kinds(self) -> frozenset[Kind]:
        return self.method.kinds

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return self.method(start, bench)


def chain(first: Method, *rest: Method) -> Method:
    """Methods, one after the other, as one method."""
    made = first
    for method in rest:
        made = Chain(made, method)
    return made


def needs_met(
    method: Method,
    kind: Kind,
    capabilities: frozenset[Capability],
    race: frozenset[Capability] | None = None,
    documents: bool = True,
) -> str | None:
    """Why a method can't work on a model with these capabilities, as a sentence for the report; None when it can.

    `race`: what all models of the race can together, to check `uses` against; None leaves `uses` unchecked.
    `documents`: whether the task names documents.
    """
    if kind not in method.kinds:
        return f"{method.name} is for {' and '.join(sorted(method.kinds))}, and this task is {kind}."
    if "documents" in method.needs and not documents:
        return f"{method.name} looks things up, and this task has no documents. Name them under `data: documents:`."
    needs = method.needs - {"known", "documents"}
    if kind == "generation" and needs and "generate" not in capabilities:
        return f"{method.name} needs a model that can generate, because this task wants a written answer."
    for need in sorted(needs):
        if need == "answer" and not capabilities & {"score", "generate"}:
            return f"{method.name} needs a model that can score or generate."
        if need == "encoder" and ("embed" not in capabilities or "score" in capabilities):
            return f"{method.name} needs an encoder: a model made to embed, not to answer."
        if need not in ("answer", "encoder", "documents", *capabilities):
            return f"{method.name} needs a model that can {need}."
    for use in sorted(method.uses - race) if race is not None else ():
        return f"{method.name} also uses a model that can {use}, and this race has none. Add one, such as minilm-l6."
    return None


def settings(method: Method) -> dict[str, Any]:
    """A method's settings as plain data, for the log and the docs."""
    if isinstance(method, Chain):
        return {**settings(method.first), **settings(method.second)}
    if isinstance(method, WithSettings):
        return settings(method.method)
    return asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}


def single(start: Candidate, method: str) -> Single:
    """The start as a Single, for methods that change a part of one. Raises MethodError for other kinds."""
    if isinstance(start, Single):
        return start
    raise MethodError(f"{method} changes how one model is used, and can't change a {type(start).__name__.lower()}.")


def no_model(labels: tuple[str, ...]) -> Constant:
    """Where a method that uses no model starts from."""
    return Constant("", labels)
