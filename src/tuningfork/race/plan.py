"""The plan of a race: what runs, how fast this machine is, how the budget is dealt out. Written to the log before the
race.

A short probe measures each model's rates on a few of the task's own inputs; they are rounded down to steps of a
quarter, so that a repetition on the same machine mostly makes the same plan, and `--plan RUN` repeats one exactly. From
the rates, shares are dealt on the planned clock (`meter`): part of the budget is kept for the final before anything is
spent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..candidate import Candidate, Single
from ..method import Method, needs_met, no_model
from ..model import (
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    TuneItem,
    Usage,
)
from ..predict.each import YES_NO, question
from ..predict.prompt import default_template, plain_input, render, words_of
from ..price import Price
from ..stats.power import minimum_detectable_difference
from ..task import Budget, Example, Inputs, Message, Prompt, Split, Task
from . import paid
from .meter import Rates

OVERHEAD_SECONDS = 75.0
"""Of a budget in seconds, at most a quarter and so many: opening and probing models, latency, writing. Not planned by
tokens."""
FINAL_SHARE = 0.4
"""Of the budget: finalists adapted again on train and dev together, the test, the probes."""
TUNE_SHARE = 0.6
"""Of the racing part: what trials that train get among them, in equal parts. The rest is for trials that only read."""
READ_MOST = 0.3
"""A trial that only reads may use up to this part of what is left for its kind: most need far less than an equal
part."""
READ_LEAST = 0.1
"""And so much of all that is left is its kind's in any case: where answers are written, measuring the first ones may
have taken more than their kind's part."""
FOLDS_SHARE = 0.75
"""Of the budget, where there are folds: all of them, for every trial. The rest is for adapting on all examples."""
SEEDS = 3
LIGHT_REPEATS = 2
"""How often folds are taken where a budget keeps nothing for it: fitting heads takes time that no token counts."""
RUNGS = (0.25, 0.5)
"""Parts of train that a learning curve is measured at, beside all of it."""
KEPT: Mapping[str, tuple[float, float]] = {"medium": (0.08, 0.12), "heavy": (0.12, 0.25)}
"""Of the budget, kept for rungs and for further seeds of the final. A light one keeps nothing: there only what costs
next to nothing is done."""
USUAL_DISCORDANCE = 0.2
"""The share of items that exactly one of two candidates gets right, before any was seen."""
BLOCK_ITEMS = 32
PROBE_INPUTS = 16
PROBE_CALLS = 3


@dataclass(frozen=True)
class Trial:
    """One method on one model (or on none), and how it is dealt with."""

    name: str
    method: Method
    model: str | None
    start: Candidate

    @property
    def trains(self) -> bool:
        """Whether weights move in it."""
        return "tune" in self.method.needs

    @property
    def waits(self) -> bool:
        """Whether it is made of other trials' candidates, and so comes after them."""
        return "known" in self.method.needs


@dataclass(frozen=True)
class Plan:
    """All that fixes a race beside its seed. `seconds` is the budget on the planned clock.

    `rungs` are the parts of train that curves are measured at, `rung_seconds` and `seed_seconds` what is kept for them
    and for up to `seeds` seeds of a finalist; `folds` is 0 where there is a test of its own. `detectable` is the
    smallest difference that the test shows in four cases of five, as a share of the metric's range. `usd` is the most
    that models behind an API may cost (None: none of them costs), `probe_usd` what making the plan has cost of it.
    """

    seconds: float
    rates: Mapping[str, Rates]
    trials: tuple[str, ...]
    skipped: Mapping[str, str]
    race_seconds: float
    final_seconds: float
    block_items: int
    dev_items: int
    test_items: int
    finalists: int
    latency_requests: int
    budget: Mapping[str, Any]
    rungs: tuple[float, ...] = ()
    rung_seconds: float = 0.0
    seeds: int = 1
    seed_seconds: float = 0.0
    folds: int = 0
    detectable: float | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    usd: float | None = None
    probe_usd: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For the log."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """From a log."""
        fields = dict(data)
        fields["rates"] = {name: Rates(**rates) for name, rates in data["rates"].items()}
        fields["trials"] = tuple(data["trials"])
        fields["rungs"] = tuple(data.get("rungs", ()))
        fields["prices"] = {name: Price(**price) for name, price in data.get("prices", {}).items()}
        return cls(**fields)


def trials(
    task: Task, methods: Sequence[Method], capabilities: Mapping[str, frozenset[Capability]]
) -> tuple[list[Trial], dict[str, str]]:
    """Every method on every model that it can work on, cheapest kind first; and why the others can't run here."""
    found: list[Trial] = []
    skipped: dict[str, str] = {}
    race: frozenset[Capability] = frozenset().union(*capabilities.values())
    documents = task.data.documents is not None
    for method in methods:
        if not method.needs - {"known"}:
            reason = needs_met(method, task.kind, frozenset(), race)
            if reason:
                skipped[method.name] = reason
            else:
                found.append(Trial(method.name, method, None, no_model(task.labels)))
            continue
        for model, can in capabilities.items():
            reason = needs_met(method, task.kind, can, race, documents)
            name = f"{method.name}@{model}"
            if reason:
                skipped[name] = reason
            else:
                found.append(Trial(name, method, model, start(task, model, can)))
    return sorted(found, key=_cheap_first), skipped


def start(task: Task, model: str, can: frozenset[Capability]) -> Single:
    """The plain candidate that methods on a model start from."""
    scores = bool(task.labels) and "score" in can
    return Single(
        model=model,
        labels=task.labels,
        words=words_of(task.labels),
        prompt=default_template(task) if {"score", "generate"} & can else None,
        answer_by="score" if scores else "generate",
        overlong=task.overlong,
        exclusive=task.kind != "multilabel",
    )


def make(
    task: Task,
    split: Split,
    running: Sequence[Trial],
    skipped: Mapping[str, str],
    open_model: Callable[[str], Model],
    doing: Callable[[str], None],
    judges: Sequence[str] = (),
) -> Plan:
    """Probe the models that run, and those that judge, and deal the budget."""
    names = dict.fromkeys([*(t.model for t in running if t.model), *task.models, *judges])
    models = {name: open_model(name) for name in names}
    prices = paid.prices_of(models)
    trained = {t.model for t in running if t.trains}
    rates, probe_usd = _measured(task, _middle(split), models, prices, trained, doing)
    seconds = _seconds(task.budget, rates)
    size = {"light": 5, "medium": 7, "heavy": 9}.get(task.budget.name, 5)
    for_rungs, for_seeds = KEPT.get(task.budget.name, (0.0, 0.0))
    folds = len(split.folds[0]) if split.folds else 0
    race_share, final_share = (FOLDS_SHARE, 0.95 - FOLDS_SHARE) if folds else (0.95 - FINAL_SHARE, FINAL_SHARE)
    return Plan(
        seconds=seconds,
        rates=rates,
        trials=tuple(t.name for t in running),
        skipped=dict(skipped),
        race_seconds=round(seconds * race_share, 1),
        final_seconds=round(seconds * final_share, 1),
        block_items=BLOCK_ITEMS,
        dev_items=len(split.dev),
        test_items=len(split.test),
        finalists=size,
        latency_requests=50,
        budget=asdict(task.budget),
        rungs=() if folds else RUNGS,
        rung_seconds=round(seconds * for_rungs, 1),
        seeds=LIGHT_REPEATS if folds and task.budget.name not in KEPT else SEEDS,
        seed_seconds=round(seconds * for_seeds, 1),
        folds=folds,
        detectable=_detectable(len(split.test), split.folds),
        prices=prices,
        usd=paid.limit_usd(task.budget, prices, rates, seconds),
        probe_usd=probe_usd,
    )


def _measured(
    task: Task,
    middle: Sequence[Example],
    models: Mapping[str, Model],
    prices: Mapping[str, Price],
    trained: Collection[str | None],
    doing: Callable[[str], None],
) -> tuple[dict[str, Rates], float]:
    """Every model's rates, and what measuring them cost in USD, with what opening them had cost."""
    rates: dict[str, Rates] = {}
    usd = sum((getattr(models[name], "opening", Usage()).usd for name in prices), 0.0)
    for name, model in models.items():
        doing(f"measuring the speed of {name}")
        if name in prices:
            found = paid.probe(task, middle, model, prices[name])
            rates[name] = Rates(_rounded(found.read), _rounded(found.write), _rounded(found.read))
            usd += found.usage.usd
        else:
            rates[name] = _probe(task, middle, model, name in trained)
    return rates, usd


def of_split(plan: Plan, split: Split) -> Plan:
    """The plan for these items, where the race that it was made for had others."""
    folds = len(split.folds[0]) if split.folds else 0
    if (plan.folds, plan.dev_items, plan.test_items) == (folds, len(split.dev), len(split.test)):
        return plan
    return replace(
        plan,
        folds=folds,
        dev_items=len(split.dev),
        test_items=len(split.test),
        detectable=_detectable(len(split.test), split.folds),
    )


def _detectable(items: int, folds: Sequence[Sequence[Any]]) -> float | None:
    """What this many test items can show; folds that share their examples show less."""
    if not items:
        return None
    wider = math.sqrt(1 / len(folds) + len(folds[0]) / (len(folds[0]) - 1)) if folds else 1.0
    return round(wider * minimum_detectable_difference(items, USUAL_DISCORDANCE), 4)


def _cheap_first(trial: Trial) -> tuple[bool, bool, bool, bool, int]:
    """What reads before what trains, small models that read no prompt first, a chain after its parts; what is made of
    the others' candidates last."""
    prompted = isinstance(trial.start, Single) and trial.start.prompt is not None
    return (trial.waits, trial.trains, prompted, bool(trial.method.uses), trial.method.name.count("+"))


def _seconds(budget: Budget, rates: Mapping[str, Rates]) -> float:
    limits = [] if budget.seconds is None else [max(0.75 * budget.seconds, budget.seconds - OVERHEAD_SECONDS)]
    if budget.tokens is not None and rates:
        limits.append(budget.tokens / (sum(r.read for r in rates.values()) / len(rates)))
    return min(limits, default=5400.0)


def _middle(split: Split) -> Sequence[Example]:
    """A few inputs of middling length."""
    examples = sorted(split.train[:64], key=lambda e: len(plain_input(e.inputs)))
    return examples[max(0, len(examples) // 2 - PROBE_INPUTS // 2) :][:PROBE_INPUTS]


def _probe(task: Task, middle: Sequence[Example], model: Model, trains: bool) -> Rates:
    """Rates on a few real inputs: one warm-up, then the best of a few measured calls of each kind, since other work on
    the machine only ever slows one down."""
    template = default_template(task)
    prompts = [render(template, _asked(task, e.inputs)) for e in middle]
    can = model.capabilities
    write = read = math.inf
    if "score" in can:
        choices = task.labels[:8] if task.kind == "classification" else YES_NO
        read = _rate(lambda: model.score([ScoreRequest(p, choices) for p in prompts]))
    else:
        read = _rate(lambda: model.embed([EmbedRequest(plain_input(e.inputs)) for e in middle]))
    if "generate" in can and task.kind == "generation":
        write = _rate(lambda: model.generate([GenerateRequest(p, max_tokens=12) for p in prompts]), written=True)
    train = read / 4
    if trains and "tune" in can:
        train = _train_rate(task, model, middle)
    return Rates(_rounded(read), _rounded(write if math.isfinite(write) else read / 20), _rounded(train))


def _train_rate(task: Task, model: Model, examples: Sequence[Any]) -> float:
    encoder = "score" not in model.capabilities and "generate" not in model.capabilities
    items = [_encoded(task, e) if encoder else _answered(task, e) for e in examples]
    tuned = model.tune(Recipe(max_steps=3, batch=len(items), epochs=3), items, [])
    if not tuned.curve:
        return tuned.usage.tokens_trained / max(1e-6, tuned.usage.seconds)
    first, last = tuned.curve[0], tuned.curve[-1]
    steady = (last.seconds - first.seconds) / max(1, last.step - first.step) * last.step  # the first step warms up
    seconds = min(tuned.usage.seconds, steady) if last.step > first.step and steady > 0 else tuned.usage.seconds
    return tuned.usage.tokens_trained / max(1e-6, seconds)


def _asked(task: Task, inputs: Inputs) -> Inputs:
    """What a prompt asks about; where each label is, the first one."""
    return question(inputs, words_of(task.labels)[0]) if task.kind == "multilabel" else inputs


def _encoded(task: Task, example: Example) -> TuneItem:
    """An example as an encoder learns it."""
    prompt = Prompt((Message("user", plain_input(example.inputs)),))
    if not isinstance(example.target, frozenset):
        return TuneItem(prompt, example.answer, task.labels)
    shares = tuple(float(label in example.target) for label in task.labels)
    return TuneItem(prompt, None, task.labels, shares=shares, exclusive=False)


def _answered(task: Task, example: Example) -> TuneItem:
    """An example as a model that answers learns it."""
    prompt = render(default_template(task), _asked(task, example.inputs))
    if task.kind == "multilabel":
        return TuneItem(prompt, YES_NO[0], YES_NO)
    return TuneItem(prompt, example.answer, task.labels if 0 < len(task.labels) <= 16 else ())


def _rate(call: Callable[[], Sequence[Any]], written: bool = False) -> float:
    call()
    best = 1.0
    for _ in range(1 if written else PROBE_CALLS):
        start = time.perf_counter()
        used = Usage()
        for result in call():
            if not isinstance(result, Failure):
                used = used + result.usage
        seconds = max(1e-6, time.perf_counter() - start)
        best = max(best, (used.tokens_out if written else used.tokens_in) / seconds)
    return best


def _rounded(rate: float) -> float:
    """Down to a power of 1.25: repetitions on one machine land on the same step mostly."""
    return float(f"{1.25 ** math.floor(math.log(max(1.0, rate), 1.25)):.4g}")
