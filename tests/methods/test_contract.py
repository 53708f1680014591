"""One suite for every method of the menu, and for hybrids, on the fake models: same seed same result, nothing mutated,
never over its share, and a model that fails costs a reason, never a crash."""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tuningfork.candidate import Candidate, Constant, Shot, Single, from_dict, identity, to_dict
from tuningfork.candidate import blobs_of as blobs
from tuningfork.errors import BudgetSpent, MethodError
from tuningfork.method import Bench, Chain, Known, Method, Share, needs_met, no_model, settings
from tuningfork.methods import MENU, menu, open_method
from tuningfork.metrics import open_metric
from tuningfork.model import Adapter, Failure, Model, Recipe, TuneItem
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.prompt import default_template, words_of
from tuningfork.task import Columns, Example, Kind, Message, Prompt, Sources, Task, set_of

LABELS = ("billing_team", "bugs", "ideas")
TEXTS = {
    "billing_team": "the invoice {0} charged my card twice for {1} seats",
    "bugs": "the export crashes with error {0} on the {1} page",
    "ideas": "it would be lovely to sort the {1} list by colour {0}",
}
DOCUMENTS = (
    Example("teams.md", {"text": "# billing team\n\nIt mends an invoice and a card.\n\n# bugs\n\nIt mends a crash."}),
    Example("faq.csv#1", {"text": "Ideas: sort a list by colour."}),
)
CHAINS = (
    "few_shot+retrieve",
    "retrieve+few_shot",
    "retrieve+lora",
    "few_shot+calibrate",
    "nearest_shots+calibrate",
    "few_shot+lora",
    "nearest_shots+lora",
    "lora+calibrate",
    "continued_pretraining+lora",
    "lora(rank=2)+calibrate",
    "few_shot+instructions",
    "instructions+few_shot",
    "nearest_shots+instructions",
    "prompt_search+lora",
    "few_shot+prompt_search+calibrate",
    "nearest_shots+prompt_search",
)


def adapter_folder() -> Path:
    """An adapter of the fake model, as another task left it."""
    items = [TuneItem(Prompt((Message("user", text),)), label) for label, text in TEXTS.items()]
    adapter = FakeModel("fake").tune(Recipe(max_steps=2), items, []).adapter
    folder = Path(tempfile.mkdtemp())
    for name, blob in adapter.files.items():
        (folder / name).write_bytes(blob.read())
    return folder


WITH_SETTINGS = {
    "transfer": f"transfer(source={adapter_folder()})",
    "cascade": "cascade(epsilon=0.9)",  # so few examples show no less
    "reasoning": "reasoning(probe=false)",
    "reasoning_shots": "reasoning_shots(probe=false)",
    "reflect": "reflect(helper=fake)",
}
SPECS = (*(WITH_SETTINGS.get(name, name) for name in MENU), *CHAINS)
PLENTY = Share(10**9, 10**9, 1e6)


def task(kind: Kind = "classification") -> Task:
    labels = () if kind == "generation" else LABELS
    return Task("t", kind, Sources("x"), Columns(("text",), "label"), "Which team?", labels, ("accuracy",))


def examples(kind: Kind, begin: int, count: int) -> tuple[Example, ...]:
    made = []
    for number in range(begin, begin + count):
        label = LABELS[number % 3]
        text = TEXTS[label].format(number, "abcdefg"[number % 7])
        targets = {"classification": label, "multilabel": some_of(number), "generation": f'{{"n": {number}}}'}
        if kind == "multilabel":
            text = " and ".join(TEXTS[name].format(number, "here") for name in sorted(some_of(number))) or "nothing"
        made.append(Example(f"e{number}", {"text": text}, targets[kind]))
    return tuple(made)


def some_of(number: int) -> frozenset[str]:
    """None, one or two labels."""
    return frozenset(label for i, label in enumerate(LABELS) if (number + i) % 4 < number % 3)


class Metered:
    """A model that refuses past `tokens` read in all, and writes down what it was asked to train on."""

    def __init__(self, model: Model, tokens: int = 10**9) -> None:
        self.model, self.left, self.trained = model, [tokens], []
        self.id, self.identity, self.capabilities = model.id, model.identity, model.capabilities

    def _settle(self, replies: Sequence[Any]) -> list[Any]:
        cost = sum(r.usage.tokens_in + r.usage.tokens_out for r in replies if not isinstance(r, Failure))
        if cost > self.left[0]:
            raise BudgetSpent(f"{cost} tokens asked, {self.left[0]} left")
        self.left[0] -= cost
        return list(replies)

    def score(self, requests: Any) -> list[Any]:
        return self._settle(self.model.score(requests))

    def generate(self, requests: Any, on_text: Any = None) -> list[Any]:
        return self._settle(self.model.generate(requests, on_text))

    def embed(self, requests: Any) -> list[Any]:
        return self._settle(self.model.embed(requests))

    def tune(self, recipe: Recipe, items: Any, hold: Any, start: Any = None) -> Any:
        self.trained.append((recipe, list(items), list(hold), start))
        return self.model.tune(recipe, items, hold, start)

    def adapted(self, adapter: Adapter) -> Metered:
        other = copy.copy(self)
        other.model = self.model.adapted(adapter)
        return other


def bench(
    kind: Kind = "classification", tokens: int = 10**9, make: Callable[..., Model] = FakeModel, **about: Any
) -> Bench:
    models = {
        "fake": Metered(make("fake"), tokens),
        "fake-encoder": Metered(make("fake-encoder", kind="encoder"), tokens),
    }
    metric = {"classification": "accuracy", "multilabel": "samples_f1", "generation": "field_f1"}[kind]
    about = {"train": examples(kind, 0, 30), "hold": examples(kind, 30, 9)} | about
    about = {"unlabelled": examples(kind, 40, 12), "known": known(kind), "documents": DOCUMENTS} | about
    return Bench(
        task=task(kind),
        models=models,
        metric=open_metric(metric),
        left=lambda: Share(min(m.left[0] for m in models.values()), 2000, 100.0),
        capabilities={name: model.capabilities for name, model in models.items()},
        **about,
    )


def known(kind: Kind) -> tuple[Known, ...]:
    """Prompts as earlier trials left them: shown two labels only, shown the third and one wrong, shown nothing. They
    err on different inputs."""
    labels = task(kind).labels
    shots = [Shot(tuple(e.inputs.items()), e.answer.replace("_", " ")) for e in examples(kind, 0, 15)]
    by = "generate" if kind == "generation" else "score"
    bare = Single("fake", labels, words_of(labels), default_template(task(kind)), answer_by=by)
    two = dataclasses.replace(bare, shots=tuple(shots[i] for i in (0, 1, 3, 4)))
    third = dataclasses.replace(bare, shots=(*(shots[i] for i in (2, 5, 8)), Shot(shots[0].inputs, shots[2].answer)))
    return (
        Known("majority", Constant("bugs", labels), 0.9),
        Known("few_shot@fake", two, 0.8),
        Known("many_shot@fake", third, 0.7),
        Known("zero_shot@fake", bare, 0.6),
    )


def start(method: Method, kind: Kind, model: str) -> Candidate:
    if not method.needs - {"known"}:
        return no_model(task(kind).labels)
    labels = task(kind).labels
    return Single(model, labels, words_of(labels), default_template(task(kind)), exclusive=kind != "multilabel")


CASES = [
    (spec, kind, model)
    for spec in SPECS
    for kind in ("classification", "multilabel", "generation")
    for model in ("fake", "fake-encoder")
    if needs_met(open_method(spec), kind, FakeModel(kind="encoder" if "-" in model else "causal").capabilities) is None
    and not (kind == "generation" and spec.startswith(("reasoning_shots", "vote")))  # the fake writes no right answer
]


def shown(value: str) -> str:
    """A case's name, which is the same in every process: without the folder that this one made."""
    return value.split("(source=")[0]


every_case = pytest.mark.parametrize(("spec", "kind", "model"), CASES, ids=shown)
each_method = pytest.mark.parametrize(
    ("spec", "kind", "model"),
    [case if case[1] == "classification" else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
    ids=shown,
)
"""As `every_case`; other kinds of task than the most usual one wait for test-all."""


def run(spec: str, kind: Kind, model: str, at: Bench) -> Candidate:
    method = open_method(spec)
    return method(start(method, kind, model), at)


def test_every_method_has_a_case() -> None:
    assert {spec for spec, _, _ in CASES} == set(SPECS)


@every_case
def test_it_gives_a_candidate_that_answers_and_can_be_kept(spec: str, kind: Kind, model: str) -> None:
    at = bench(kind)
    made = run(spec, kind, model, at)
    found = {blob.sha256: blob for blob in blobs(made)}
    assert identity(from_dict(to_dict(made), found.__getitem__)) == identity(made)
    answers = list(predict(made, at.models, [e.inputs for e in examples(kind, 60, 4)]))
    assert all(p.failure is None for p in answers)
    said = {p.answer for p in answers}
    if kind == "multilabel":
        said = {label for text in said for label in set_of(text)}
    assert kind == "generation" or said <= set(LABELS)


@each_method
def test_same_seed_same_result(spec: str, kind: Kind, model: str) -> None:
    assert identity(run(spec, kind, model, bench(kind))) == identity(run(spec, kind, model, bench(kind)))


@each_method
def test_nothing_it_was_given_is_changed(spec: str, kind: Kind, model: str) -> None:
    at = bench(kind)
    method = open_method(spec)
    given = start(method, kind, model)
    before = copy.deepcopy((method, given, at.train, at.hold, at.task, dict(at.capabilities)))
    method(given, at)
    assert (method, given, at.train, at.hold, at.task, dict(at.capabilities)) == before
    assert dataclasses.is_dataclass(method) and type(method).__dataclass_params__.frozen  # type: ignore[attr-defined]


@each_method
@pytest.mark.parametrize("tokens", [0, 400, *(pytest.param(more, marks=pytest.mark.slow) for more in (60, 3000))])
def test_it_never_passes_its_share(spec: str, kind: Kind, model: str, tokens: int) -> None:
    at = bench(kind, tokens)
    try:
        run(spec, kind, model, at)
    except (BudgetSpent, MethodError) as error:
        assert str(error)
    for metered in at.models.values():
        assert metered.left[0] >= 0  # type: ignore[attr-defined]
        assert all(recipe.max_tokens <= 1800 for recipe, *_ in metered.trained)  # type: ignore[attr-defined]
        assert all(recipe.max_seconds <= 90 for recipe, *_ in metered.trained)  # type: ignore[attr-defined]


@each_method
@pytest.mark.parametrize(
    "fail_on", ["crashes", pytest.param("", marks=pytest.mark.slow)], ids=["some fail", "all fail"]
)
def test_it_survives_a_model_that_fails(spec: str, kind: Kind, model: str, fail_on: str) -> None:
    at = bench(kind, make=lambda *a, **k: FakeModel(*a, fail_on=fail_on, **k))
    try:
        made = run(spec, kind, model, at)
    except MethodError as error:
        assert str(error)
    else:
        assert len(list(predict(made, at.models, [e.inputs for e in examples(kind, 60, 3)]))) == 3


@each_method
def test_it_survives_almost_no_data(spec: str, kind: Kind, model: str) -> None:
    for train, hold in [((), ()), (examples(kind, 0, 1), ()), (examples(kind, 0, 4), examples(kind, 30, 1))]:
        try:
            assert run(spec, kind, model, bench(kind, train=train, hold=hold))
        except MethodError as error:
            assert str(error)


@each_method
def test_a_second_rung_goes_on_from_the_first(spec: str, kind: Kind, model: str) -> None:
    first = run(spec, kind, model, bench(kind))
    again = run(spec, kind, model, bench(kind, mine=first, rung=1))
    if isinstance(first, Single) and isinstance(again, Single):
        assert again.shots == first.shots and again.prompt == first.prompt  # what was chosen stays chosen
        assert (again.adapter is None) == (first.adapter is None)


def test_the_menu_says_what_each_needs() -> None:
    lines = {info.name: info for info in menu()}
    assert set(MENU) <= set(lines)
    assert all(info.about.endswith(".") and len(info.about) < 110 for info in lines.values())
    assert lines["nearest_shots"].uses == frozenset() and lines["calibrate"].needs == {"score"}


@pytest.mark.parametrize("spec", CHAINS)
def test_a_chain_is_named_and_needs_what_its_parts_do(spec: str) -> None:
    method = open_method(spec)
    assert isinstance(method, Chain) and method.name == spec
    assert method.family == ("tune" if "continued" in spec else "hybrid" if "lora" in spec else "prompt")


@pytest.mark.parametrize("spec", SPECS, ids=shown)
def test_settings_are_plain_data(spec: str) -> None:
    made = settings(open_method(spec))
    assert json.loads(json.dumps(made)).keys() == made.keys() and not {"name", "family", "needs"} & set(made)
