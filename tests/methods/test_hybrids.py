"""Methods whose candidates are made of several: votes, cascades, steps, and chains of prompts and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_task import TOPICS, bench, start

from tuningfork.candidate import (
    Candidate,
    Cascade,
    Constant,
    Guarantee,
    Prediction,
    Single,
    Steps,
    Template,
    Vote,
    parts_of,
)
from tuningfork.errors import BudgetSpent, MethodError, TaskError, UnknownName
from tuningfork.method import Bench, Known
from tuningfork.methods import open_method
from tuningfork.methods.cascade import choose
from tuningfork.methods.ensemble import wordings
from tuningfork.methods.partners import Heard, heard
from tuningfork.model import Answer, Failure, Scores, Usage
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.stats.ltt import p_worse
from tuningfork.task import Message


class Scripted(FakeModel):
    """Scores two labels by the template's first word: `P:3 ...` is wrong on every third input, and `sure` or not."""

    def score(self, requests: Sequence[Any]) -> list[Scores | Failure]:
        return [self._said(request) for request in requests]

    def _said(self, request: Any) -> Scores:
        system, number = (
            str(request.prompt.messages[0].content),
            int(str(request.prompt.messages[-1].content).split()[-1]),
        )
        kind, every, tokens = system.split()
        wrong = number % int(every) == 0 if int(every) else False
        right = number % 2
        nats = [-0.05, -3.0] if kind == "sure" or not wrong else [-0.6, -0.8]
        said = right if not wrong else 1 - right
        return Scores(tuple(nats if said == 0 else nats[::-1]), (1, 1), usage=Usage(tokens_in=int(tokens)))


def prompted(text: str) -> Single:
    template = Template((Message("system", text), Message("user", "{{text}}")))
    return Single("fake", ("label_0", "label_1"), ("zero", "one"), template)


def race(*texts: str, hold: int = 300, model: type[FakeModel] = Scripted, **about: Any) -> Bench:
    at = bench(2, 2, hold, models={"fake": model("fake")}, **about)
    known = tuple(Known(f"m{i}@fake", prompted(text), 1 - i / 10) for i, text in enumerate(texts))
    return replace(at, known=(Known("majority", Constant("label_0", at.task.labels), 0.99), *known))


NONE = Constant("", ("label_0", "label_1"))


# --- vote


def test_a_vote_takes_in_who_helps_and_nobody_else() -> None:
    at = race("unsure 3 10", "sure 7 10", "unsure 5 10", "sure 2 10")
    made = open_method("vote")(NONE, at)
    assert isinstance(made, Vote) and made.by == "probability"
    alone = max(sum(one.scores) for one in heard(at, [known.candidate for known in at.known[1:]]))
    (together,) = heard(at, [made])
    assert sum(together.scores) > alone
    assert made.parts[0] == prompted("sure 7 10")  # the best one first


def test_a_vote_that_gains_nothing_says_so() -> None:
    with pytest.raises(MethodError, match=r"No vote with others was better than m0@fake alone on 300 hold examples"):
        open_method("vote")(NONE, race("sure 0 10", "sure 2 10"))
    with pytest.raises(MethodError, match="this race has 1 so far"):
        open_method("vote")(NONE, race("sure 0 10"))
    with pytest.raises(MethodError, match="there are none"):
        open_method("vote")(NONE, race("sure 0 10", "sure 2 10", hold=0))


def test_a_vote_of_what_gives_no_probabilities_is_by_answer() -> None:
    class Writes(Scripted):
        def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
            said = [self._said(request) for request in requests]
            return [Answer("zero" if s.nats[0] > s.nats[1] else "one", -1.0, usage=s.usage) for s in said]

    at = race(model=Writes)
    writers = [replace(prompted(f"sure {n} 10"), answer_by="generate") for n in (3, 5, 7)]
    at = replace(at, known=tuple(Known(f"m{i}", one, 0.5) for i, one in enumerate(writers)))
    made = open_method("vote")(NONE, at)
    assert isinstance(made, Vote) and made.by == "answer" and set(made.parts) == set(writers)


def test_a_share_that_ends_half_way_is_enough_to_choose_by() -> None:
    class Ends(Scripted):
        def _said(self, request: Any) -> Scores:
            self.left = getattr(self, "left", 200) - 1
            if self.left < 0:
                raise BudgetSpent("spent")
            return super()._said(request)

    at = race("unsure 3 10", "sure 7 10", "unsure 5 10", model=Ends)
    found = heard(at, [known.candidate for known in at.known[1:]])
    assert [len(one.predictions) for one in found] == [64, 64, 64]
    with pytest.raises(MethodError, match="share was spent before"):
        heard(at, [prompted("sure 3 10")])


# --- cascade


def test_the_cascade_takes_the_boldest_threshold_that_is_shown() -> None:
    at = race("sure 0 100", "unsure 9 20", hold=600)  # the cheap one knows when it errs
    made = open_method("cascade")(NONE, at)
    assert isinstance(made, Cascade) and made.parts == (prompted("unsure 9 20"), prompted("sure 0 100"))
    assert open_method("cascade")(NONE, replace(at, known=at.known[::-1])) == made  # whatever dev's first block said
    shown = made.guarantee
    assert shown is not None and (shown.epsilon, shown.delta, shown.items) == (0.01, 0.1, 600)
    assert shown.passed_up == pytest.approx(67 / 600, abs=1e-3)
    assert shown.cost == pytest.approx((20 + 100 * 67 / 600) / 100, abs=1e-3)
    assert 0.5 < made.thresholds[0] < 0.95
    found = list(predict(made, at.models, [e.inputs for e in at.hold]))
    assert all(p.answer == e.answer for p, e in zip(found, at.hold, strict=True))
    assert sum(p.usage.tokens_in for p in found) == pytest.approx(shown.cost * 100 * 600, rel=1e-3)


def test_a_cascade_that_is_not_shown_says_how_many_examples_would_do() -> None:
    with pytest.raises(
        MethodError, match=r"Before m0@fake, m1@fake gives no cascade.*at most 1 points.*about 258 exam"
    ):
        open_method("cascade")(NONE, race("sure 0 100", "unsure 9 20", hold=200))
    with pytest.raises(MethodError, match="no number of examples like these would show it"):
        open_method("cascade")(NONE, race("sure 0 100", "sure 9 20", hold=600))
    with pytest.raises(MethodError, match="costs at most half of m0@fake"):
        open_method("cascade")(NONE, race("sure 0 100", "unsure 9 60"))
    with pytest.raises(MethodError, match="has 1"):
        open_method("cascade")(NONE, race("sure 0 100"))
    with pytest.raises(MethodError, match=r"0\.01 is one point"):
        open_method("cascade(epsilon=1.0)")(NONE, race("sure 0 100", "unsure 9 20"))

    class Boundless:
        name, range, higher_is_better = "boundless", (float("-inf"), 0.0), True

    with pytest.raises(MethodError, match="boundless has no bounds"):
        open_method("cascade")(NONE, replace(race("sure 0 100", "unsure 9 20"), metric=Boundless()))  # type: ignore[arg-type]


def test_thresholds_are_tested_in_order_and_the_first_that_fails_ends_it() -> None:
    at = race("sure 0 100", "unsure 9 20", hold=600)
    cheap, dear = heard(at, [prompted("unsure 9 20"), prompted("sure 0 100")])
    gaps = [b - a for a, b in zip(cheap.scores, dear.scores, strict=True)]
    threshold, shown = choose(cheap.predictions, gaps, cheap.cost_beside(dear), 0.01, 0.1)
    kept = [(p.confidence or 0) >= threshold for p in cheap.predictions]
    assert p_worse([g * k for g, k in zip(gaps, kept, strict=True)], 0.01) <= 0.1
    assert shown.passed_up == pytest.approx(1 - sum(kept) / 600, abs=1e-4)
    # one point more is lost by whoever lets the unsure ones pass
    assert p_worse(gaps, 0.01) > 0.1


def test_cost_is_money_then_planned_time_then_tokens() -> None:
    def cost(**used: Any) -> Heard:
        seconds = used.pop("planned", 0.0)
        return Heard(NONE, [Prediction("", usage=Usage(**used))], [1.0], seconds)

    assert cost(tokens_in=10, usd=0.0, planned=1).cost_beside(cost(tokens_in=10, usd=0.5, planned=2)) == 0.0
    assert cost(tokens_in=10, planned=1).cost_beside(cost(tokens_in=10, planned=4)) == 0.25
    assert cost(tokens_in=5, tokens_out=3).cost_beside(cost(tokens_in=10)) == 0.8
    assert cost(tokens_in=5).cost_beside(cost()) == 1.0
    clock = iter(range(100))
    at = replace(race("sure 0 100", "sure 2 10"), spent=lambda: float(next(clock)))
    assert [one.seconds for one in heard(at, [k.candidate for k in at.known[1:]], 32)] == [2.0, 2.0]


def test_in_the_final_the_parts_are_the_newest_and_the_thresholds_stay() -> None:
    old, new = prompted("sure 0 100"), prompted("sure 0 90")
    shown = Guarantee(0.01, 0.1, 300, 0.2, 0.4)
    mine = Cascade((prompted("unsure 9 20"), old), (0.7,), shown)
    at = race("unsure 9 20", mine=mine, rung=1)
    same = open_method("cascade")(NONE, at)
    assert same == mine
    known = (*at.known, Known("m9@fake", new, 0.9, before=old))
    made = open_method("cascade")(NONE, replace(at, known=known))
    assert made == Cascade((mine.parts[0], new), (0.7,), replace(shown, earlier_parts=True))
    vote = open_method("vote")(NONE, replace(at, known=known, mine=Vote((old, mine))))
    assert vote == Vote((new, replace(mine, parts=(mine.parts[0], new))))


# --- ensemble, self-consistency


def test_wordings_say_the_same_in_another_order() -> None:
    prompt = Template((Message("system", "Which?"), Message("user", "{{text}}")))
    texts = [[str(m.content) for m in way.messages] for way in wordings(prompt)]
    assert texts == [["Which?", "{{text}}"], ["Which?\n\n{{text}}"], ["{{text}}\n\nWhich?"]]
    turn = Template((Message("user", "{{text}}"),))
    assert wordings(turn) == [turn]


def test_an_ensemble_votes_where_that_is_better_and_keeps_its_ways() -> None:
    at = bench(5, 6, 40)
    made = open_method("ensemble")(start(at), at)
    (said,) = heard(at, [made])
    ways = [open_method("zero_shot")(start(at), at), *parts_of(made)]
    assert sum(said.scores) >= max(sum(one.scores) for one in heard(at, ways))
    tuned = open_method("lora")(start(at), at)
    again = open_method("ensemble")(tuned, replace(at, mine=made))
    assert [(p.prompt, p.shots) for p in parts_of(again)] == [(p.prompt, p.shots) for p in parts_of(made)]  # type: ignore[union-attr]
    assert all(isinstance(p, Single) and p.adapter == tuned.adapter for p in parts_of(again))  # type: ignore[union-attr]
    empty = bench(3, 2, 0, train=())
    assert isinstance(open_method("ensemble")(start(empty), empty), Single)


class Wavers(FakeModel):
    """Greedily wrong; with chance in it, right in three samples of five."""

    def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
        return [
            Answer("right" if r.temperature > 0.5 and i % 5 < 3 else f"wrong {i}", -1.0) for i, r in enumerate(requests)
        ]


def test_self_consistency_samples_where_that_is_better_and_stays_greedy_where_not() -> None:
    at = bench(kind="generation", hold=40, models={"fake": Wavers("fake")})
    right = tuple(replace(e, target="right") for e in at.hold)
    made = open_method("self_consistency")(start(at), replace(at, hold=right))
    assert isinstance(made, Single) and made.decoding.samples == 5 and made.decoding.temperature == 0.7
    again = open_method("self_consistency")(start(at), replace(at, mine=made))
    assert again == made
    greedy = open_method("self_consistency")(start(at), at)
    assert greedy == open_method("zero_shot")(start(at), at)


# --- steps and reasoning


STAGES = """
- name: notes
  prompt: "What matters in {{text}}?"
  decoding: {max_tokens: 9}
- name: answer
  messages:
    - {role: system, content: Decide.}
    - {role: user, content: "{{text}} and {{notes}}"}
"""


def in_folder(tmp_path: Path, text: str, at: Bench) -> Bench:
    (tmp_path / "stages.yaml").write_text(text)
    return replace(at, task=at.task.with_(folder=str(tmp_path)))


def test_steps_come_from_a_file_and_feed_each_other(tmp_path: Path) -> None:
    at = in_folder(tmp_path, STAGES, bench())
    lora = open_method("lora")(start(at), at)
    made = open_method("steps(file=stages.yaml)")(lora, at)
    assert isinstance(made, Steps) and [stage.name for stage in made.parts] == ["notes", "answer"]
    notes, answer = (stage.candidate for stage in made.parts)
    assert isinstance(notes, Single) and isinstance(answer, Single)
    assert notes.decoding.max_tokens == 9 and not notes.labels and notes.adapter is None
    assert answer.labels == at.task.labels and answer.adapter == lora.adapter  # type: ignore[union-attr]
    (found,) = predict(made, at.models, [{"text": "cats"}])
    assert found.answer in at.task.labels and "notes" in found.trace
    assert open_method("steps(file=stages.yaml)")(lora, replace(at, mine=made)) == made


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (STAGES.replace("{{notes}}", "{{note}}"), UnknownName, r"'note'.*stage 'answer'.*Did you mean 'notes'"),
        (STAGES.replace("in {{text}}", "in {{answer}}"), UnknownName, r"'answer'.*stage 'notes'"),
        (STAGES.replace("name: notes", "name: text"), TaskError, "stage 1: its name is 'text'"),
        (STAGES.replace("name: answer", "name: notes"), TaskError, "stage 2: its name is 'notes'"),
        (STAGES.replace("role: user", "role: us"), UnknownName, "stage 'answer'"),
        ("- name: one\n  prompt: '{{text}}'\n", TaskError, "two or more"),
        ("a: [", TaskError, "can't be read"),
        (STAGES.replace("max_tokens: 9", "max_tokens: 0"), TaskError, "stage 'notes'.*max_tokens"),
    ],
)
def test_what_is_wrong_with_stages_is_said_with_their_name(
    tmp_path: Path, text: str, kind: type[Exception], why: str
) -> None:
    at = in_folder(tmp_path, text, bench())
    with pytest.raises(kind, match=why):
        open_method("steps(file=stages.yaml)")(start(at), at)


def test_a_file_of_stages_that_is_not_there() -> None:
    with pytest.raises(TaskError, match=r"nowhere.yaml"):
        open_method("steps(file=nowhere.yaml)")(start(bench()), bench())


def test_without_a_file_steps_say_what_matters_first() -> None:
    at = bench()
    made = open_method("steps")(start(at), at)
    assert isinstance(made, Steps) and [stage.name for stage in made.parts] == ["notes", "answer"]
    assert made.parts[1].candidate.answer_by == "score"  # type: ignore[union-attr]


class Thinks(FakeModel):
    """Answers rightly once its own reasoning stands in the prompt, and wrongly before; or never."""

    helps = True

    def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
        return [Answer("it is number " + str(r.prompt.messages[-1].content).split()[-1], -1.0) for r in requests]

    def score(self, requests: Any) -> list[Scores | Failure]:
        return [self._said(r) for r in requests]

    def _said(self, request: Any) -> Scores:
        turn = str(request.prompt.messages[-1].content)
        number = int(turn.split()[-1])
        good = number % 3 if "Reasoning:" in turn and self.helps else (number + 1) % 3
        return Scores(tuple(-0.1 if i == good else -3.0 for i in range(3)), (1,) * 3, usage=Usage(tokens_in=10))


class ThinksInVain(Thinks):
    helps = False


def test_reasoning_is_raced_where_a_probe_shows_a_gain() -> None:
    at = bench(hold=12, models={"fake": Thinks("fake")})
    made = open_method("reasoning")(start(at), at)
    assert isinstance(made, Steps) and [stage.name for stage in made.parts] == ["reasoning", "answer"]
    assert sum(heard(at, [made])[0].scores) == 12
    vain = bench(hold=12, models={"fake": ThinksInVain("fake")})
    with pytest.raises(MethodError, match=r"gained 0.0 points on 42 items at 1.0 times the tokens"):
        open_method("reasoning")(start(vain), vain)
    assert isinstance(open_method("reasoning(probe=false)")(start(vain), vain), Steps)


def test_only_reasoning_that_reached_the_answer_is_shown() -> None:
    class Half(Thinks):
        def _said(self, request: Any) -> Scores:
            self.helps = int(str(request.prompt.messages[-1].content).split()[-1]) % 2 == 0
            return super()._said(request)

    at = bench(hold=12, per_label=20, models={"fake": Half("fake")})
    made = open_method("reasoning_shots")(start(at), at)
    think, answer = (stage.candidate for stage in made.parts)  # type: ignore[union-attr]
    shown = answer.shots
    assert 0 < len(shown) <= 4
    for thought, shot in zip(think.shots, shown, strict=True):
        inputs = dict(shot.inputs)
        number = int(inputs["text"].split()[-1])
        assert number % 2 == 0 and thought.answer == inputs["reasoning"] == f"it is number {number}"
        assert shot.answer == f"label {number % 3}"
    tuned = replace(start(at), overlong="keep_start")
    again = open_method("reasoning_shots")(tuned, replace(at, mine=made))
    assert [s.candidate.shots for s in again.parts] == [think.shots, answer.shots]  # type: ignore[union-attr]
    assert all(s.candidate.overlong == "keep_start" for s in again.parts)  # type: ignore[union-attr]
    with pytest.raises(MethodError, match="on none of 48 train examples"):
        vain = replace(at, models={"fake": ThinksInVain("fake")})
        open_method("reasoning_shots")(start(at), vain)


# --- chains of prompts and weights


@pytest.mark.parametrize(
    "spec", ["lora+few_shot", "few_shot+lora+few_shot", "lora+ensemble", "lora+reasoning(probe=false)"]
)
def test_prompts_and_weights_in_a_row(spec: str) -> None:
    at = bench(3, 10, 12)
    method = open_method(spec)
    assert (method.name, method.family, method.needs >= {"tune"}) == (spec, "hybrid", True)
    made = method(start(at), at)
    worn = [part.adapter for part in parts_of(made) if isinstance(part, Single) and part.labels]
    assert worn and all(adapter is not None for adapter in worn)
    (said,) = heard(at, [made])
    assert sum(said.scores) / 12 > 0.9
    again = method(start(at), replace(at, mine=made, rung=1))
    assert type(again) is type(made)


def test_what_is_shown_in_training_is_shown_in_answering() -> None:
    at = bench(3, 10, 12)
    few: Candidate = open_method("few_shot")(start(at), at)
    made = open_method("few_shot+lora+few_shot")(start(at), at)
    assert isinstance(made, Single) and isinstance(few, Single) and made.shots and made.adapter
    recipe, items, _, begun = at.models["fake"].tuned  # type: ignore[attr-defined]
    turns = [m.content for m in items[0].prompt.messages if m.role == "assistant"]
    assert turns == [shot.answer for shot in few.shots] and begun is None  # type: ignore[union-attr]
    assert TOPICS[0].split()[0] in " ".join(str(m.content) for m in items[0].prompt.messages)
    assert recipe.kind == "lora"


def test_every_sample_of_steps_reasons_anew() -> None:
    class Thinks(FakeModel):
        """Greedy reasoning is wrong; of the samples three in five are right."""

        def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
            return [Answer("good" if r.temperature and r.seed % 5 else "bad", -1.0) for r in requests]

        def score(self, requests: Any) -> list[Scores | Failure]:
            return [self._said(str(r.prompt.messages[-1].content)) for r in requests]

        def _said(self, turn: str) -> Scores:
            wanted = int(turn.split("\n")[0].split()[-1]) % 3
            wanted = wanted if turn.endswith("good") else (wanted + 1) % 3
            return Scores(tuple(-0.1 if i == wanted else -3.0 for i in range(3)), (1,) * 3, usage=Usage(tokens_in=1))

    at = bench(hold=30, models={"fake": Thinks("fake")})
    method = open_method("reasoning(probe=false)+self_consistency")
    made = method(start(at), at)
    assert isinstance(made, Vote) and made.by == "probability" and len(made.parts) == 5 and len(set(made.parts)) == 5
    assert sum(heard(at, [made])[0].scores) > 25
    again = method(start(at), replace(at, mine=made))
    assert again == made
