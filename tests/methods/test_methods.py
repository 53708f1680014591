"""What each method does besides what all do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_task import bench, start

from tuningfork.candidate import Calibration, Constant, Decoding, Nearest, Single
from tuningfork.errors import MethodError
from tuningfork.method import Bench, Share, needs_met
from tuningfork.methods import open_method
from tuningfork.methods.calibrate import Calibrate
from tuningfork.methods.draws import draw
from tuningfork.methods.few_shot import FewShot
from tuningfork.methods.head import UNSEEN_NATS, FitHead
from tuningfork.methods.lora import Lora
from tuningfork.methods.nearest_shots import NearestShots
from tuningfork.model import EmbedRequest
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.prompt import words_of
from tuningfork.predict.shots import prompter
from tuningfork.task import Example, Kind


def labels_of(candidate: Single) -> list[str]:
    assert isinstance(candidate.shots, tuple)
    return [shot.answer for shot in candidate.shots]


def test_majority_says_the_commonest_with_the_shares() -> None:
    at = bench()
    train = tuple(Example(str(i), {"text": "x"}, label) for i, label in enumerate(["label_1"] * 3 + ["label_2"]))
    found = open_method("majority")(Constant("", at.task.labels), replace(at, train=train))
    assert found == Constant("label_1", at.task.labels, (0.0, 0.75, 0.25))


def test_label_similarity_has_the_labels_vectors_as_its_rows() -> None:
    at = bench()
    found = open_method("label_similarity")(start(at, "fake-encoder"), at)
    vectors = at.models["fake-encoder"].embed([EmbedRequest(word) for word in found.words])  # type: ignore[union-attr]
    weight = found.head.weights.arrays()["weight"]  # type: ignore[union-attr]
    np.testing.assert_allclose(weight, 20 * np.stack([v.values for v in vectors]), rtol=1e-6)  # type: ignore[union-attr]
    with pytest.raises(MethodError, match="encoder"):
        open_method("label_similarity")(start(at), at)


def test_zero_shot_scores_where_the_model_can_and_writes_where_not() -> None:
    at = bench()
    assert open_method("zero_shot")(start(at), at).answer_by == "score"  # type: ignore[union-attr]
    writer = bench(models={"fake": FakeModel(capabilities=["generate"])})
    assert open_method("zero_shot")(start(writer), writer).answer_by == "generate"  # type: ignore[union-attr]


def test_room_to_write_fits_the_longest_answer_known() -> None:
    at = bench(kind="generation")
    long = replace(at, train=(*at.train, Example("x", {"text": "t"}, "y" * 500)))
    assert open_method("zero_shot")(start(long), long).decoding.max_tokens == 216  # type: ignore[union-attr]
    mine = replace(start(long), decoding=Decoding(max_tokens=7))
    assert open_method("zero_shot")(mine, long).decoding.max_tokens == 7  # type: ignore[union-attr]


PLAIN = FewShot(per_class=2, most=16, draws=3, orders=1, train_too=False)
"""Few shots as they were before they were searched."""


@pytest.mark.parametrize(("labels", "shots", "each"), [(2, 4, 2), (5, 10, 2), (12, 12, 1), (20, 20, 1), (40, 32, 1)])
def test_few_shot_is_balanced(labels: int, shots: int, each: int) -> None:
    at = bench(labels, 4, 0)
    said = labels_of(PLAIN(start(at), at))  # type: ignore[arg-type]
    assert len(said) == shots and set(map(said.count, said)) == {each}
    assert set(said) <= set(words_of(at.task.labels))


def test_few_shot_keeps_the_draw_that_does_best_on_hold() -> None:
    at = bench(3, 10, 12)
    draws = [draw(start(at), at, f"few_shot 0 {number}", 2, 6000) for number in range(3)]
    assert len(set(draws)) == 3
    asked: list[int] = []

    def pick(candidates: Any) -> Any:
        asked.append(len(candidates))
        return candidates[2]

    object.__setattr__(at, "pick", pick)
    assert PLAIN(start(at), at).shots == draws[2] and asked == [3]  # type: ignore[union-attr]
    empty = bench(3, 10, 0)
    assert PLAIN(start(empty), empty).shots == draw(start(empty), empty, "few_shot 0 0", 2, 6000)  # type: ignore[union-attr]


def test_few_shot_prefers_short_examples_where_texts_are_long() -> None:
    at = bench(2, 4, 0)
    long = tuple(replace(e, inputs={"text": "word " * 4000}) for e in at.train[:6])
    found = PLAIN(start(at), replace(at, train=(*long, *at.train)))
    assert sum(len(t) for shot in found.shots for _, t in shot.inputs) < 6000  # type: ignore[union-attr]
    assert sorted(labels_of(found)) == ["label 0", "label 0", "label 1", "label 1"]  # type: ignore[arg-type]
    with pytest.raises(MethodError, match="too long"):
        PLAIN(start(at), replace(at, train=long))


def test_few_shot_for_written_answers_shows_eight() -> None:
    at = bench(kind="generation")
    assert len(FewShot()(start(at), at).shots) == 8  # type: ignore[union-attr, arg-type]


def test_nearest_shots_uses_the_encoder_and_a_seeded_pool() -> None:
    at = bench()
    found = NearestShots(k=4, pool=20)(start(at), at)
    assert isinstance(found, Single) and isinstance(found.shots, Nearest)
    assert found.shots.model == "fake-encoder" and found.shots.k == 4 and len(found.shots.pool) == 20
    assert at.models["fake"].calls["embed"] == 0  # type: ignore[attr-defined]
    vectors = found.shots.vectors.arrays()["vectors"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nearest_shots_shows_fewer_where_texts_are_long_and_cuts_none() -> None:
    at = bench()
    long = tuple(replace(e, inputs={"text": f"{e.inputs['text']} " + "x" * 2500}) for e in at.train)
    huge = Example("huge", {"text": "y" * 5000}, "label_0")
    found = NearestShots()(start(at), replace(at, train=(*long, huge)))
    assert found.shots.k == 2 and len(found.shots.pool) == len(long)  # type: ignore[union-attr]
    assert all(len(text) > 2500 for shot in found.shots.pool for _, text in shot.inputs)  # type: ignore[union-attr]


def test_calibration_is_the_mean_over_train_inputs_that_are_not_shown() -> None:
    at = bench()
    shown = PLAIN(start(at), at)
    found = Calibrate("batch")(shown, at)
    texts = {dict(shot.inputs)["text"] for shot in shown.shots}  # type: ignore[union-attr]
    rest = [e.inputs for e in at.train if e.inputs["text"] not in texts]
    assert len(rest) == len(at.train) - 6
    rows = [p.nats for p in predict(shown, at.models, rest)]
    offset = found.calibration.offset_nats  # type: ignore[union-attr]
    np.testing.assert_allclose(offset, np.mean(rows, axis=0), rtol=1e-9)
    assert Calibrate("batch")(replace(found, calibration=Calibration((5.0, 0.0, 0.0))), at) == found  # type: ignore[type-var]


def test_calibration_takes_off_a_liking() -> None:
    at = bench(5, 20, 0)
    plain = open_method("zero_shot")(start(at), at)
    mended = Calibrate("batch")(plain, at)
    inputs = [e.inputs for e in at.train]
    means = np.mean([p.nats for p in predict(mended, at.models, inputs)], axis=0)  # type: ignore[misc]
    before = np.mean([p.nats for p in predict(plain, at.models, inputs)], axis=0)  # type: ignore[misc]
    assert means.max() - means.min() < 1e-6 < before.max() - before.min()


def test_only_scores_can_be_calibrated() -> None:
    at = bench()
    with pytest.raises(MethodError, match="answers by head"):
        Calibrate()(FitHead()(start(at), at), at)


def accuracy(candidate: Any, at: Bench, examples: Any) -> float:
    found = predict(candidate, at.models, [e.inputs for e in examples])
    return float(np.mean([p.answer == e.answer for p, e in zip(found, examples, strict=True)]))


@pytest.mark.parametrize("model", ["fake", "fake-encoder"])
@pytest.mark.parametrize("labels", [2, 3])
def test_a_head_learns_and_its_probabilities_are_scikit_learns(model: str, labels: int) -> None:
    at = bench(labels, 10, labels * 2)
    found = FitHead(strengths=(1.0,))(start(at, model), at)
    assert accuracy(found, at, at.train) == 1.0
    assert found.prompt is None if "encoder" in model else found.prompt is not None  # type: ignore[union-attr]
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from tuningfork.predict.head import embedder

    plain = "encoder" in model
    embed = embedder(found, at.models[model], at.models, -1, None if plain else "last", plain)  # type: ignore[arg-type]
    both = (*at.train, *at.hold)
    x = np.stack([v.values for v in embed([e.inputs for e in both])]).astype(float)  # type: ignore[union-attr]
    if not plain:
        x = StandardScaler().fit(x[: len(at.train)]).transform(x) / math.sqrt(x.shape[1])
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(x, [e.answer for e in both])
    nats = [p.nats for p in predict(found, at.models, [e.inputs for e in both])]
    np.testing.assert_allclose(nats, fitted.predict_log_proba(x), atol=2e-3)


def test_the_strength_is_chosen_on_hold_or_else_by_folds() -> None:
    at = bench(3, 10, 6)
    seen: list[int] = []

    class Spy(FitHead):
        def _choose(self, x: Any, y: Any, hold: Any, hold_y: Any, labels: int, seed: int) -> float:
            seen.append(len(hold_y))
            return super()._choose(x, y, hold, hold_y, labels, seed)

    assert Spy()(start(at, "fake-encoder"), at) and seen == [6]
    x = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    y = np.array([0, 0, 1, 1])
    turned = FitHead()._choose(x, y, x, 1 - y, 2, 0)  # hold says the contrary: the weakest fit errs least surely
    assert turned == 0.1
    assert FitHead()._choose(x, y, x[:1], y[:1], 2, 0) == 100.0  # too little hold: folds, where the data is clean
    assert FitHead()._choose(x[1:3], y[1:3], x[:0], y[:0], 2, 0) == 10.0


def test_a_label_without_examples_is_never_said_and_stays_finite() -> None:
    at = bench(3, 10, 0)
    two = replace(at, train=tuple(e for e in at.train if e.target != "label_1"))
    found = FitHead()(start(at, "fake-encoder"), two)
    arrays = found.head.weights.arrays()  # type: ignore[union-attr]
    assert arrays["bias"][1] == UNSEEN_NATS and not arrays["weight"][1].any()
    answers = list(predict(found, at.models, [e.inputs for e in at.train]))
    assert "label_1" not in {p.answer for p in answers} and all(math.isfinite(n) for p in answers for n in p.nats or ())
    with pytest.raises(MethodError, match="fewer than two labels"):
        one = tuple(e for e in at.train if e.target == "label_0")
        FitHead()(start(at, "fake-encoder"), replace(at, train=one))


def test_lora_trains_on_the_very_prompts_that_predict_asks() -> None:
    at = bench()
    shown = PLAIN(start(at), at)
    found = Lora()(shown, at)
    recipe, items, hold, begun = at.models["fake"].tuned  # type: ignore[attr-defined]
    assert begun is None and recipe.rank == 8 and recipe.learning_rate == 1e-3
    assert recipe.max_tokens == 900_000 and recipe.max_seconds == 900.0
    assert len(items) == len(at.train) - 6 and len(hold) == len(at.hold)  # what is shown is not trained on
    asked = prompter(found, at.models)([e.inputs for e in at.hold])  # type: ignore[arg-type]
    assert [item.prompt for item in hold] == [r.prompt for r in asked]
    assert hold[0].choices == found.words and hold[0].target == "label 0"  # type: ignore[union-attr]
    assert found.shots == shown.shots and found.adapter and found.answer_by == "score"  # type: ignore[union-attr]


def test_lora_with_nearest_shots_shows_no_example_its_own_answer() -> None:
    at = bench()
    Lora()(NearestShots()(start(at), at), at)
    _, items, _, _ = at.models["fake"].tuned  # type: ignore[attr-defined]
    assert len(items) == len(at.train)
    for item in items:
        asked = [m.content for m in item.prompt.messages if m.role == "user"]
        assert len(asked) == 5 and asked[-1] not in asked[:-1]


def test_many_labels_are_learned_as_text() -> None:
    at = bench(20, 3, 0)
    Lora()(start(at), at)
    assert at.models["fake"].tuned[1][0].choices == ()  # type: ignore[attr-defined]


def test_an_encoder_learns_with_a_head() -> None:
    at = bench()
    found = Lora(epochs=3, learning_rate=0.01)(start(at, "fake-encoder"), at)
    recipe, items, _, _ = at.models["fake-encoder"].tuned  # type: ignore[attr-defined]
    assert (recipe.epochs, recipe.learning_rate) == (3, 0.01)
    assert items[0].choices == at.task.labels and items[0].target in at.task.labels
    assert [m.content for m in items[0].prompt.messages] == [at.train[0].inputs["text"]]
    assert found.answer_by == "head" and found.head and found.prompt is None  # type: ignore[union-attr]
    full = Lora()(start(at, "fake-encoder"), at)
    assert accuracy(full, at, at.train) > 0.9


def test_lora_goes_on_from_its_own_adapter_and_not_without_a_share() -> None:
    at = bench()
    first = Lora()(start(at), at)
    Lora()(start(at), replace(at, mine=first))
    assert at.models["fake"].tuned[3] == first.adapter  # type: ignore[attr-defined, union-attr]
    with pytest.raises(MethodError, match="larger budget"):
        Lora()(start(at), bench(left=lambda: Share(100, 0, 10.0)))


@pytest.mark.parametrize(
    ("spec", "kind", "can", "why"),
    [
        ("zero_shot", "classification", {"generate"}, None),
        ("zero_shot", "classification", {"score"}, None),
        ("zero_shot", "generation", {"score", "embed"}, "can generate"),
        ("zero_shot", "classification", {"embed", "tune"}, "score or generate"),
        ("label_similarity", "classification", {"embed", "tune"}, None),
        ("label_similarity", "classification", {"embed", "score"}, "needs an encoder"),
        ("lora", "generation", {"embed", "tune"}, "can generate"),
        ("lora", "classification", {"embed"}, "can tune"),
        ("few_shot+calibrate", "classification", {"generate"}, "can score"),
        ("few_shot+calibrate", "generation", {"score", "generate"}, "this task is generation"),
        ("majority", "classification", set(), None),
    ],
)
def test_what_a_method_needs(spec: str, kind: Kind, can: set[str], why: str | None) -> None:
    reason = needs_met(open_method(spec), kind, frozenset(can))  # type: ignore[arg-type]
    assert reason is None if why is None else why in str(reason) and spec in str(reason)


def test_what_a_method_uses_must_be_in_the_race() -> None:
    method, can = open_method("nearest_shots(by=both)"), frozenset({"score"})
    assert needs_met(method, "classification", can, can) and "embed" in str(
        needs_met(method, "classification", can, can)
    )  # type: ignore[arg-type]
    assert needs_met(open_method("nearest_shots"), "classification", can, can) is None  # type: ignore[arg-type]
    assert needs_met(method, "classification", can, frozenset({"score", "embed"})) is None  # type: ignore[arg-type]
