"""The same items, asked in other ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Cascade, Constant, Decoding, Function, Shot, Single, Stage, Steps, Template
from tuningfork.metrics import open_metric
from tuningfork.model import Answer, EmbedRequest, Failure
from tuningfork.models.fake import FakeModel
from tuningfork.predict.head import head_of
from tuningfork.predict.rewording import FIELDS, INPUTS, MESSAGES, orderings, reword, rewordings
from tuningfork.predict.shots import nearest_of
from tuningfork.probes import open_probe
from tuningfork.probes.consistency import Consistency
from tuningfork.task import Example, Message, plain_text

LABELS = ("a", "b")
ACCURACY = open_metric("accuracy")
TEMPLATE = Template((Message("system", "Which? One of: a, b."), Message("user", "Text: {{text}}")))
ASKING = Single("fake", LABELS, LABELS, TEMPLATE, answer_by="score")
EXAMPLES = [Example(f"e{n}", {"text": f"thing {n}"}, "a") for n in range(16)]


def found(candidate: Any, model: Any = None, **settings: Any) -> dict[str, float]:
    probe = Consistency(**{"most_seconds": 60.0, **settings})
    model = model or FakeModel("fake", answers=lambda text: "a")
    models = {"fake": model, "fake-encoder": FakeModel("fake-encoder", kind="encoder")}
    return dict(probe(candidate, models, EXAMPLES, ACCURACY))


def last(template: Template) -> str:
    return plain_text(template.messages[-1].content)


def test_it_is_on_the_menu() -> None:
    assert open_probe("consistency") == Consistency()


def test_what_always_says_the_same_is_steady() -> None:
    assert found(ASKING) == {
        "flips": 0.0,
        "failed": 0.0,
        "mean": 1.0,
        "worst": 1.0,
        "spread": 0.0,
        "formats": 12.0,
        "items": 16.0,
    }


def test_one_form_that_breaks_some_items_is_seen() -> None:
    """The model errs on a quarter of the items where its input stands in quotes."""

    def told(text: str) -> str:
        return "b" if '"' in text and any(f"thing {n}" in text for n in (2, 5)) and text[-3] != "1" else "a"

    wrong = sum(told(f'Text: "thing {n}"') == "b" for n in range(16))
    assert 0 < wrong < 16
    seen = found(ASKING, FakeModel("fake", answers=told))
    assert seen["flips"] == wrong / 16 and seen["worst"] == 1 - wrong / 16 == 1 - seen["spread"]
    assert seen["mean"] == pytest.approx(1 - wrong / 16 / 13)


def test_a_metric_that_is_better_when_lower() -> None:
    class Wrong:
        name, range, higher_is_better = "wrong", (0.0, 1.0), False

        def item(self, example: Example, prediction: Any) -> float:
            return float(prediction.answer != example.target)

    model = FakeModel("fake", answers=lambda text: "b" if "=" in text else "a")
    seen = Consistency(most_seconds=60.0)(ASKING, {"fake": model}, EXAMPLES, Wrong())
    assert (seen["worst"], seen["spread"]) == (1.0, 1.0)


def test_orders_of_fixed_demonstrations() -> None:
    class First(FakeModel):
        """Says what the first demonstration says."""

        def _script(self, text: str) -> str | None:
            return self.first

        def _scored(self, request: Any) -> Any:
            self.first = plain_text(request.prompt.messages[2].content)
            return super()._scored(request)

    shots = tuple(Shot((("text", f"shown {n}"),), LABELS[n % 2]) for n in range(4))
    seen = found(replace(ASKING, shots=shots), First("fake"))
    assert seen["orders"] == 3 and seen["order_flips"] == 1.0 and seen["order_worst"] == 0.0
    assert seen["flips"] == 0.0 and seen["spread"] == 0.0
    alike = (shots[0],) * 3
    assert orderings(replace(ASKING, shots=alike), 3) == []
    assert all(
        sorted(map(hash, other.shots)) == sorted(map(hash, shots))
        for other in orderings(replace(ASKING, shots=shots), 3)
    )  # type: ignore[union-attr,arg-type]


def test_repeats_only_where_answers_are_drawn() -> None:
    class Lot(FakeModel):
        """An answer by the request's seed."""

        def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
            return [Answer(LABELS[request.seed % 2]) for request in requests]

    written = replace(ASKING, answer_by="generate")
    assert "repeats" not in found(written, Lot("fake"))
    seen = found(replace(written, decoding=Decoding(temperature=0.7)), Lot("fake"))
    assert seen["repeats"] == 3 and seen["repeat_flips"] == 1.0


def test_failures_are_counted_and_flip() -> None:
    written = replace(ASKING, answer_by="generate")
    model = FakeModel("fake", answers=lambda text: "no label" if "###" in text else "a")
    seen = found(written, model)
    assert seen["failed"] == pytest.approx(1 / 12) and seen["flips"] == 1.0 and seen["worst"] == 1.0


def test_an_encoder_is_asked_about_other_forms_of_the_input() -> None:
    import numpy as np

    seen: list[str] = []

    class Encoder(FakeModel):
        def embed(self, requests: Any) -> Any:
            seen.extend(str(request.content) for request in requests)
            return super().embed(requests)

    head = head_of(np.ones((2, 64)), np.zeros(2))
    one = Single("fake", LABELS, answer_by="head", head=head)
    assert found(one, Encoder("fake", kind="encoder"))["formats"] == len(INPUTS) >= 8
    assert {"thing 0", '"thing 0"', "thing 0.", "  thing 0", "thing  0"} <= set(seen)
    assert INPUTS["full stop"]("Done. ") == "Done"


def test_no_item_is_its_own_demonstration() -> None:
    encoder = FakeModel("fake-encoder", kind="encoder")
    texts = [*(str(e.inputs["text"]) for e in EXAMPLES), "another"]
    vectors = [reply.values for reply in encoder.embed([EmbedRequest(text) for text in texts])]  # type: ignore[union-attr]
    pool = [Shot((("text", text),), "a" if text == "another" else "b") for text in texts]
    picked = replace(ASKING, shots=nearest_of("fake-encoder", pool, vectors, 1))

    class Shown(FakeModel):
        def _script(self, text: str) -> str | None:
            return self.shown

        def _scored(self, request: Any) -> Any:
            self.shown = plain_text(request.prompt.messages[-2].content)
            return super()._scored(request)

    assert found(picked, Shown("fake"))["mean"] == 1.0  # only `another` is left to be shown
    fixed = replace(ASKING, shots=tuple(pool[:4]))
    assert found(fixed)["items"] == 12


def test_time_is_kept_to_and_one_way_is_always_tried() -> None:
    seen = found(ASKING, most_seconds=0.0)
    assert seen["formats"] == 1.0 and found(ASKING, items=3)["items"] == 3.0


def test_what_reads_nothing_has_nothing_to_tell() -> None:
    assert found(Constant("a", LABELS)) == {}
    assert Consistency()(ASKING, {}, [], ACCURACY) == {}
    assert rewordings(Function("m:f")).keys() == INPUTS.keys()


def test_parts_are_reworded_together() -> None:
    steps = Steps((Stage("why", ASKING), Stage("answer", Cascade((Constant("a"), ASKING), (0.5,)))))
    other, change = rewordings(steps)["equals"]
    assert isinstance(other, Steps) and isinstance(other.parts[1].candidate, Cascade)
    for part in (other.parts[0].candidate, other.parts[1].candidate.parts[1]):
        assert isinstance(part, Single) and part.prompt and last(part.prompt) == "Text = {{text}}"
    assert change({"text": "x"}) == {"text": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "{{text}}",
        "Text: {{text}}",
        "质问: {{text}}\ntitle: {{title}}",
        "See:\n{{passages}}\n\n{{text}}",
        "Is {{text}} so?",
    ],
)
def test_there_are_eight_forms_at_least_and_no_place_is_lost(text: str) -> None:
    from tuningfork.predict.prompt import columns_of

    own = Template((Message("user", text),))
    forms = rewordings(Single("fake", prompt=own))
    assert len(forms) >= 8
    for name in (*FIELDS, *MESSAGES):
        assert columns_of(reword(own, name)) == columns_of(own)
    if "passages" in text:
        assert all("See:\n{{passages}}\n\n" in last(reword(own, name)) for name in (*FIELDS, *MESSAGES))
    assert last(reword(Template((Message("user", "{{text}}"),)), "equals")) == "text = {{text}}"
