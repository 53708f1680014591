"""Several labels an input on small random weights: learnt by an encoder with a head, and by asking about each."""

from __future__ import annotations

import pytest

from tuningfork.candidate import Single
from tuningfork.method import Bench, Share
from tuningfork.methods import open_method
from tuningfork.metrics import open_metric, value
from tuningfork.predict import predict
from tuningfork.predict.prompt import default_template
from tuningfork.task import Columns, Example, Sources, Task

LABELS = ("damage", "late", "refund")
TASK = Task("t", "multilabel", Sources("x"), Columns(("text",), "labels"), "Which apply?", LABELS)


def rows(count: int) -> tuple[Example, ...]:
    """Every label is said by its own word."""
    made = []
    for number in range(count):
        labels = frozenset(label for i, label in enumerate(LABELS) if number >> i & 1)
        made.append(Example(f"e{number}", {"text": " ".join(["it", *sorted(labels), f"n{number % 5}"])}, labels))
    return tuple(made)


@pytest.mark.parametrize(("base", "spec"), [("bert", "lora(epochs=20)"), ("bert", "head"), ("llama", "lora(epochs=6)")])
def test_sets_are_learnt(tiny, base: str, spec: str) -> None:  # type: ignore[no-untyped-def]
    model = tiny(base).model
    encoder = base == "bert"
    at = Bench(
        TASK, rows(48), rows(16), {base: model}, open_metric("samples_f1"), lambda: Share(10**7, 10**6, 60.0),
        capabilities={base: model.capabilities},
    )  # fmt: skip
    prompt = None if encoder else default_template(TASK)
    made = open_method(spec)(Single(base, LABELS, LABELS, prompt, exclusive=False), at)
    answers = list(predict(made, {base: model}, [e.inputs for e in at.train]))
    assert all(p.failure is None and p.nats is not None and len(p.nats) == 3 for p in answers)
    majority = open_method("majority")(Single(base, LABELS, LABELS, exclusive=False), at)
    floor = value(at.metric, at.train, list(predict(majority, {}, [e.inputs for e in at.train])))
    assert value(at.metric, at.train, answers) > floor + (0.1 if encoder else 0.0)  # type: ignore[operator]
