"""The searched prompts: what they choose among, on what, within which share, and what they leave alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_task import bench, start

from tuningfork.candidate import Calibration, Nearest, Shot, Single
from tuningfork.errors import MethodError
from tuningfork.method import Bench, Share
from tuningfork.methods import open_method
from tuningfork.methods.calibrate import Calibrate
from tuningfork.methods.calibrations import batch, contextual, left_out_nats, vector
from tuningfork.methods.choosing import beats, choose, unshown_by_all
from tuningfork.methods.draws import draw
from tuningfork.methods.few_shot import FewShot, drawn_prompts
from tuningfork.methods.gepa_adapter import text_of
from tuningfork.methods.instructions import Instructions
from tuningfork.methods.many_shot import ManyShot
from tuningfork.methods.nearest_shots import NearestShots
from tuningfork.methods.prompt_search import PromptSearch
from tuningfork.methods.reflect import Reflect
from tuningfork.methods.wordings import EXPLICIT, PARTS, PLAIN, Wording, keywords, template_of, worded
from tuningfork.methods.zero_shot import asking
from tuningfork.model import Answer, Failure, GenerateRequest, Scores
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.prompt import default_template, render
from tuningfork.task import Example, plain_text


def noted(at: Bench) -> tuple[Bench, dict[str, Any]]:
    notes: dict[str, Any] = {}
    return replace(at, note=notes.__setitem__), notes


def shots_of(candidate: Any) -> tuple[Shot, ...]:
    assert isinstance(candidate, Single) and isinstance(candidate.shots, tuple)
    return candidate.shots


class Meter:
    """A share of tokens that goes down with what the fake reads."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def left(self) -> Share:
        return Share(self.tokens, 10**6, 1000.0)

    def model(self, **about: Any) -> FakeModel:
        meter = self

        class Counted(FakeModel):
            def score(self, requests: Any) -> list[Scores | Failure]:
                replies = super().score(requests)
                meter.tokens -= sum(r.usage.tokens_in for r in replies if isinstance(r, Scores))
                return replies

        return Counted("fake", **about)


def metered(tokens: int, **about: Any) -> tuple[Bench, Meter]:
    meter = Meter(tokens)
    return bench(models={"fake": meter.model()}, left=meter.left, **about), meter


# choosing


def test_prompts_are_chosen_on_hold_and_on_train_that_none_of_them_shows() -> None:
    at = bench(3, 10, 6)
    prompts = drawn_prompts(start(at), at, [(1, None), (2, None)], 2, 6000)
    asked = unshown_by_all(at, prompts)
    shown = {shot.inputs for prompt in prompts for shot in shots_of(prompt)}
    assert asked[:6] == at.hold and len({e.id for e in asked}) == len(asked) == 36 - len(shown)
    assert not any(tuple(example.inputs.items()) in shown for example in asked)
    near = NearestShots(by="bm25", k=2, diversity=0.0)(start(at), at)
    assert unshown_by_all(at, [near]) == at.hold  # type: ignore[list-item]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60))
def test_one_beats_another_by_more_than_the_standard_error(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    gaps = np.subtract(a, b)
    assert beats(a, b) == (gaps.mean() - 1e-9 > gaps.std(ddof=1) / math.sqrt(len(gaps)))
    assert not (beats(a, b) and beats(b, a)) and not beats(a, a)


@pytest.mark.parametrize("tokens", [300, 1500, 6000, 10**6])
def test_no_more_is_asked_than_the_share_allows(tokens: int) -> None:
    at, meter = metered(tokens, labels=3, per_label=20, hold=9)
    prompts = drawn_prompts(start(at), at, [(1, None), (2, None)], 4, 6000)
    choice = choose(at, prompts, part=0.8)
    assert meter.tokens >= 0 and choice.best in prompts
    assert len(choice.asked) in (0, *range(2, len(prompts) + 1))
    assert tokens > 10**5 or len(choice.asked) < len(prompts)


def test_an_incumbent_stays_unless_it_is_beaten_beyond_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    at = bench(3, 10, 6)
    prompts = drawn_prompts(start(at), at, [(1, None)], 2, 6000)
    for gap, best in ((0.0, 0), (0.05, 0), (0.6, 1)):
        first, second = [0.3] * 50, [0.3 + gap + 0.4 * (-1) ** i for i in range(50)]
        monkeypatch.setattr(Bench, "race", lambda *a, f=first, s=second, **k: [tuple(f), tuple(s)])
        assert choose(at, prompts, incumbent=True).best is prompts[best]
    short, long = replace(prompts[0], shots=()), prompts[1]
    monkeypatch.setattr(Bench, "race", lambda *a, **k: [(1.0, 0.0) * 20, (1.0, 0.0) * 19 + (1.0, 1.0)])
    assert choose(at, [short, long]).best is long and choose(at, [short, long], penalty=0.2).best is short


# demonstrations


def test_few_shot_searches_numbers_draws_and_orders_and_says_how_far_apart_they_lay() -> None:
    at, notes = noted(bench(3, 60, 12))
    found = shots_of(FewShot()(start(at), at))
    said = [shot.answer for shot in found]
    assert len(found) in (3, 6, 12, 24) and set(map(said.count, set(said))) == {len(found) // 3}
    assert notes["few_shot.draws"] >= 6 and 0 <= notes["few_shot.spread_over_draws"] <= 1
    assert notes["few_shot.orders"] == 2 and 0 <= notes["few_shot.spread_over_orders"] <= 1


def test_few_shot_is_no_worse_than_the_mean_draw() -> None:
    at = bench(3, 40, 12)
    test = tuple(Example(f"t{i}", {"text": f"{e.inputs['text']} again"}, e.target) for i, e in enumerate(at.train))
    drawn = drawn_prompts(start(at), at, [(2, None)], 6, 6000)

    def right(prompt: Any) -> float:
        answers = predict(prompt, at.models, [e.inputs for e in test])
        return float(np.mean([p.answer == e.answer for p, e in zip(answers, test, strict=True)]))

    assert right(FewShot()(start(at), at)) >= np.mean([right(prompt) for prompt in drawn])


def test_one_shot_shows_one_of_each_label() -> None:
    at = bench(5, 6, 6)
    found = shots_of(open_method("one_shot")(start(at), at))
    assert sorted(shot.answer for shot in found) == [f"label {i}" for i in range(5)]
    written = bench(kind="generation")
    assert len(shots_of(open_method("one_shot")(start(written), written))) == 1


@given(st.integers(1, 4), st.integers(1, 6), st.integers(40, 4000))
@settings(max_examples=30)
def test_a_draw_is_balanced_short_enough_and_seeded(labels: int, each: int, characters: int) -> None:
    at = bench(labels, 8, 0)
    found = draw(start(at), at, "seed", each, characters)
    said = [shot.answer for shot in found]
    size = sum(len(text) for shot in found for _, text in shot.inputs) + sum(map(len, said))
    assert size <= characters and max(map(said.count, said)) <= each
    assert found == draw(start(at), at, "seed", each, characters)
    if characters > 40 * labels * each:
        assert set(map(said.count, said)) == {each} and len(set(said)) == labels


class Short(FakeModel):
    """Reads at most so many messages."""

    most = 13

    def score(self, requests: Any) -> list[Scores | Failure]:
        replies = super().score(requests)
        too_long = Failure("too_long", "The prompt is longer than the context.")
        return [too_long if len(r.prompt.messages) > self.most else a for r, a in zip(requests, replies, strict=True)]


def test_many_shot_fills_the_context_and_a_length_failure_only_makes_it_shorter() -> None:
    at, notes = noted(bench(3, 20, 9, models={"fake": Short("fake")}))
    found = shots_of(ManyShot()(start(at), at))
    assert (2 * len(found) + 2 <= Short.most and len(found) in (3, 9)) or len(found) == 3
    assert notes["many_shot.per_label"] == 1
    free, notes = noted(bench(3, 20, 9))
    assert len(shots_of(ManyShot()(start(free), free))) >= 30 and notes["many_shot.per_label"] == 20

    class Tiny(Short):
        most = 2

    none = bench(3, 20, 9, models={"fake": Tiny("fake")})
    with pytest.raises(MethodError, match=r"one example a label.*longer than the context"):
        ManyShot()(start(none), none)


def test_many_shot_keeps_to_its_share() -> None:
    at, meter = metered(3000, labels=3, per_label=60, hold=9)
    found = shots_of(ManyShot()(start(at), at))
    assert 3 <= len(found) < 100 and meter.tokens >= 0


def test_nearest_shots_without_an_encoder_go_by_words_alone() -> None:
    at = bench(models={"fake": FakeModel("fake")})
    found = NearestShots()(start(at), at)
    assert isinstance(found, Single) and isinstance(found.shots, Nearest)
    assert (found.shots.by, found.shots.model, found.shots.vectors) == ("bm25", "", None)
    assert at.models["fake"].calls["embed"] == 0  # type: ignore[attr-defined]
    answers = list(predict(found, {"fake": at.models["fake"]}, [{"text": "soup with bread"}]))
    assert answers[0].failure is None


def test_nearest_shots_choose_their_way_on_hold_and_on_a_part_of_train() -> None:
    at, notes = noted(bench(3, 30, 9))
    found = NearestShots()(start(at), at)
    assert isinstance(found, Single) and isinstance(found.shots, Nearest)
    assert len(found.shots.pool) == 90 and found.shots.k in (2, 4, 8)  # all of train is shown again at the end
    assert f"by {found.shots.by}, {found.shots.k} shown" in notes["nearest_shots.way"]
    assert 0 <= notes["nearest_shots.spread_over_ways"] <= 1
    with pytest.raises(MethodError, match="'magic'"):
        NearestShots(by="magic")(start(at), at)


def test_nearest_shots_keep_their_way_and_show_what_came_to_train() -> None:
    at = bench(3, 30, 9)
    first = NearestShots()(start(at), at)
    more = replace(at, train=(*at.train, *at.hold), mine=first, rung=1)
    again = NearestShots()(start(at), more)
    assert isinstance(first, Single) and isinstance(again, Single)
    assert isinstance(first.shots, Nearest) and isinstance(again.shots, Nearest)
    assert (again.shots.by, again.shots.k, again.shots.diversity) == (
        first.shots.by,
        first.shots.k,
        first.shots.diversity,
    )
    assert len(again.shots.pool) == len(first.shots.pool) + 9


# wordings


@given(st.builds(Wording, *(st.sampled_from(PARTS[name]) for name in ("lead", "labels", "inputs", "spelling"))))
@settings(max_examples=60)
def test_every_wording_asks_about_the_input_and_keeps_demonstrations(wording: Wording) -> None:
    at = bench(3, 4, 3)
    shown = replace(start(at), shots=draw(start(at), at, "x", 1, 6000))
    found = worded(shown, at, wording)
    prompt = render(found.prompt, {"text": "soup {{text}}"}, shots_of(found))  # type: ignore[arg-type]
    assert "soup {{text}}" in plain_text(prompt.messages[-1].content)
    assert [shot.inputs for shot in shots_of(found)] == [shot.inputs for shot in shots_of(shown)]
    assert {shot.answer for shot in shots_of(found)} == set(found.words) and len(set(found.words)) == 3
    assert all(word in str(prompt) for word in found.words)


def test_the_plain_wording_is_the_tasks_own_prompt() -> None:
    at = bench()
    assert worded(start(at), at, PLAIN) == start(at)
    assert template_of(at.task, PLAIN, start(at).words, at.train) == default_template(at.task)
    assert PLAIN not in EXPLICIT


def test_keywords_are_words_that_a_label_has_more_often_in_any_script() -> None:
    texts = {
        "essen": ("свежий хлеб и суп", "суп и рис", "рис и хлеб"),
        "reisen": ("поезд и лес", "поезд утром", "лес и река"),
    }
    train = [Example(f"{label}{i}", {"text": t}, label) for label, all_ in texts.items() for i, t in enumerate(all_)]
    found = keywords(("essen", "reisen"), train)
    assert set(found["essen"]) == {"суп", "рис", "хлеб"} and set(found["reisen"]) == {"поезд", "лес"}


def test_instructions_take_what_is_better_beyond_noise_and_keep_the_demonstrations() -> None:
    at, notes = noted(bench(3, 30, 12))
    shown = FewShot()(start(at), at)
    found = Instructions()(shown, at)
    assert [shot.inputs for shot in shots_of(found)] == [shot.inputs for shot in shots_of(shown)]
    assert "inputs=" in notes["instructions.wording"]
    poor, _ = metered(200)
    assert Instructions()(start(poor), poor) == asking(start(poor), poor)  # nothing could be compared: nothing changes


class Wants(FakeModel):
    """Answers right only where the prompt names the fields, and where some demonstration is shown."""

    def _logits(self, prompt: Any, text: str, choices: Any) -> list[float]:
        right = [float(choice[-1:] in text) for choice in choices]
        good = text.endswith("label:") and len(prompt.messages) > 2
        return [5.0 * r if good else -5.0 * r for r in right]


def test_a_wording_that_the_model_wants_is_found() -> None:
    at = bench(3, 30, 12, models={"fake": Wants("fake")})
    shown = replace(start(at), shots=draw(start(at), at, "x", 1, 6000))
    for method in (Instructions(), PromptSearch()):
        found = method(shown, at)
        assert plain_text(found.prompt.messages[-1].content) == "text: {{text}}\nlabel:"  # type: ignore[union-attr]


# prompt_search and reflect


def test_prompt_search_breeds_what_no_single_step_finds_and_counts_it() -> None:
    at, notes = noted(bench(3, 30, 12, models={"fake": FakeModel("fake")}))
    found = PromptSearch()(start(at), at)
    assert shots_of(found) and notes["prompt_search.prompts"] > 8  # demonstrations help the fake


def test_where_there_is_nothing_to_gain_the_start_stays_and_the_reason_is_noted() -> None:
    class Set(FakeModel):
        def _logits(self, prompt: Any, text: str, choices: Any) -> list[float]:
            return [float(len(text) % 7 == i) for i, _ in enumerate(choices)]

    at, notes = noted(bench(models={"fake": Set("fake")}))
    assert PromptSearch()(start(at), at) == asking(start(at), at)
    assert "more than noise" in notes["prompt_search.stopped"]
    helped = {"fake": Set("fake"), "writer": FakeModel("writer")}
    at, notes = noted(bench(models=helped))
    assert Reflect("writer")(start(at), at) == asking(start(at), at)
    assert "more than noise" in notes["reflect.stopped"] and helped["writer"].calls["generate"] == 0
    poor, notes = noted(metered(100)[0])
    assert PromptSearch()(start(poor), poor) == asking(start(poor), poor)
    assert "share is too small" in notes["prompt_search.stopped"]


class Told(FakeModel):
    """Answers right where its instruction holds the magic word; the explicit wordings help a little."""

    def _logits(self, prompt: Any, text: str, choices: Any) -> list[float]:
        system = plain_text(prompt.messages[0].content)
        asked = prompt.messages[-1].content
        wanted = "sesame" in system or ("label:" in asked and len(asked) % 2)
        return [(5.0 if wanted else -5.0) * (choice[-1:] in text.split()) for choice in choices]


class Half(Told):
    """Errs on one text in five whatever it is told, so that there is always more to reflect on."""

    def _logits(self, prompt: Any, text: str, choices: Any) -> list[float]:
        found = super()._logits(prompt, text, choices)
        return [-value for value in found] if re.search(r"[05]$", text.removesuffix("\nlabel:")) else found


class Writer(FakeModel):
    """Always writes the same instruction."""

    text = "```\nOpen sesame. Answer with label 0, label 1 or label 2.\n```"

    def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
        self.asked: list[GenerateRequest] = [*getattr(self, "asked", []), *requests]
        self.calls["generate"] += 1
        return [Answer(self.text) for _ in requests]


def test_reflect_takes_the_helpers_instruction_where_it_is_shown_better() -> None:
    models = {"fake": Told("fake"), "writer": Writer("writer")}
    at, notes = noted(bench(3, 30, 20, models=models))
    found = Reflect("writer", proposals=3)(start(at), at)
    assert isinstance(found, Single) and text_of(found).startswith("Open sesame")
    assert notes["reflect.proposals"] <= 3 and models["writer"].calls["generate"] <= 3  # type: ignore[operator]
    read = plain_text(models["writer"].asked[0].prompt.messages[0].content)  # type: ignore[attr-defined]
    assert "Wanted: label_" in read and "Wrong" in read and "Which?" in read


def test_an_instruction_that_asks_for_what_is_not_there_is_not_taken() -> None:
    class Odd(Writer):
        text = "```\nOpen sesame for {{customer}}.\n```"

    at = bench(3, 30, 20, models={"fake": Told("fake"), "writer": Odd("writer")})
    assert "customer" not in text_of(Reflect("writer", proposals=2)(start(at), at))  # type: ignore[arg-type]


def test_what_was_written_before_the_helper_fell_silent_is_kept() -> None:
    class Once(Writer):
        def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
            found = super().generate(requests)
            return found if self.calls["generate"] == self.after else [Failure("offline", "It is offline.")]

        after = 1

    class Never(Once):
        after = 0

    at, notes = noted(bench(3, 30, 20, models={"fake": Half("fake"), "writer": Once("writer")}))
    assert text_of(Reflect("writer")(start(at), at)).startswith("Open sesame")  # type: ignore[arg-type]
    assert "offline" in notes["reflect.stopped"]
    with pytest.raises(MethodError, match="offline"):
        mute = bench(3, 30, 20, models={"fake": Told("fake"), "writer": Never("writer")})
        Reflect("writer")(start(mute), mute)


def test_reflect_needs_a_helper_that_writes() -> None:
    at = bench()
    with pytest.raises(MethodError, match="helper=openai"):
        Reflect()(start(at), at)
    with pytest.raises(MethodError, match="can't generate"):
        Reflect("fake-encoder")(start(at), at)


# calibration


def rows(n: int, labels: int = 3, seed: int = 0) -> list[Any]:
    random = np.random.default_rng(seed)
    bias = random.normal(0, 2, labels)
    found = []
    for i in range(n):
        logits = 2.0 * (np.arange(labels) == i % labels) + bias + random.normal(0, 1, labels)
        nats = logits - np.log(np.exp(logits).sum())
        found.append((Example(str(i), {"text": "t"}, f"l{i % labels}"), tuple(map(float, nats))))
    return found


LABELS = ("l0", "l1", "l2")


def right(made: Calibration, at: list[Any]) -> float:
    scales = made.scale or (1.0,) * 3
    found = [np.argmax(np.array(nats) * scales - made.offset_nats) == int(e.answer[1]) for e, nats in at]
    return float(np.mean(found))


def test_every_calibration_mends_a_liking() -> None:
    train, test = rows(100), rows(200)
    none = Calibration((0.0,) * 3)
    empty = [tuple(np.log(np.mean([np.exp(nats) for _, nats in train], axis=0)))]
    for made in (batch(train), vector(train, LABELS), contextual(empty)):  # type: ignore[arg-type]
        assert right(made, test) > right(none, test) + 0.05
    assert left_out_nats(lambda r: vector(r, LABELS), train, LABELS) > left_out_nats(batch, train, LABELS)


def test_vector_scaling_is_at_its_best_and_near_batch_where_there_is_little_to_learn_from() -> None:
    from scipy.special import log_softmax

    train = rows(60)
    made = vector(train, LABELS)
    x, y = np.array([nats for _, nats in train]), np.arange(60) % 3
    usual = x.mean(axis=0)

    def loss(scale: Any, offset: Any) -> float:
        nats = log_softmax(x * scale - offset, axis=1)[np.arange(60), y].mean()
        return float(0.02 * ((scale - 1) ** 2).sum() + 0.005 * ((offset - usual) ** 2).sum() - nats)

    scale, offset = np.array(made.scale), np.array(made.offset_nats)
    random = np.random.default_rng(1)
    for _ in range(50):
        assert loss(scale, offset) <= loss(scale + random.normal(0, 0.1, 3), offset + random.normal(0, 0.1, 3))
    few = vector(rows(3), LABELS)
    np.testing.assert_allclose(few.offset_nats, batch(rows(3)).offset_nats, atol=3.0)


@pytest.mark.parametrize("how", ["auto", "batch", "contextual", "vector"])
def test_ways_to_calibrate(how: str) -> None:
    at, notes = noted(bench(3, 20, 6))
    plain = open_method("zero_shot")(start(at), at)
    found = Calibrate(how)(plain, at)
    assert isinstance(found, Single)
    assert (how == "auto") == ("calibrate.how" in notes)
    assert found.calibration is not None or notes["calibrate.how"] == "none"
    if how == "vector":
        assert found.calibration and len(found.calibration.scale) == 3
    if how == "contextual":
        empty = predict(plain, at.models, [{"text": text} for text in ("N/A", "[MASK]", "")])
        means = np.mean([np.exp(p.nats) for p in empty], axis=0)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.calibration.offset_nats, np.log(means), rtol=1e-9)  # type: ignore[union-attr]


def test_an_unknown_way_to_calibrate_is_answered_with_the_ways() -> None:
    at = bench()
    with pytest.raises(MethodError, match=r"'platt'.*auto, batch, contextual or vector"):
        Calibrate("platt")(start(at), at)


def test_without_hold_few_shot_takes_its_first_draw_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any) -> None:
        raise AssertionError("it asked")

    monkeypatch.setattr("tuningfork.models.fake.FakeModel.score", asked)
    at = bench(3, 60, 12)
    assert shots_of(FewShot()(start(at), replace(at, hold=())))


def test_retrieve_refuses_pieces_of_no_length() -> None:
    at = replace(bench(3, 10, 2), documents=bench(3, 10, 2).train)
    with pytest.raises(MethodError, match="size and a k of at least 1"):
        replace(open_method("retrieve"), size=0)(start(at), at)  # type: ignore[type-var]
