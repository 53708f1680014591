"""What the roads of tuning do besides what all methods do."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from small_task import Watched, bench, start

from tuningfork.candidate import Constant, Head, Shot, Single
from tuningfork.errors import MethodError, TaskError, TrainingFailed, UnknownName
from tuningfork.log import LogWriter, born_event
from tuningfork.method import Known, Share, settings
from tuningfork.methods import open_method
from tuningfork.methods.defaults import DEFAULTS, Pace, paced
from tuningfork.methods.head import FitHead
from tuningfork.methods.tuning import best_prompt, weights_of
from tuningfork.model import Adapter, Recipe
from tuningfork.models.fake import FakeModel
from tuningfork.task import BUDGETS, Example

KINDS = ("lora", "full", "last_layers", "ia3", "bottleneck", "bias", "prompt_tuning", "p_tuning", "prefix_tuning")


def prompted(at, shots=3):
    made = tuple(Shot(tuple(e.inputs.items()), e.answer.replace("_", " ")) for e in at.train[:shots])
    return Known("few_shot@fake", replace(start(at), shots=made), 0.9)


@pytest.mark.parametrize("name", KINDS)
def test_each_asks_for_its_own_kind_at_its_own_rate(name):
    at = bench()
    open_method(name)(start(at), at)
    recipe, items, hold, before = at.models["fake"].tuned
    assert recipe.kind == name and before is None and len(items) == len(at.train) and len(hold) == len(at.hold)
    chosen = bench()
    open_method(f"{name}(learning_rate=3e-4, epochs=3)")(start(chosen), chosen)
    asked = chosen.models["fake"].tuned[0]
    assert asked.learning_rate == 3e-4 != recipe.learning_rate and asked.epochs == 3.0


@pytest.mark.parametrize("name", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_soft_prompts_start_from_the_best_prompt_known(name):
    at = bench()
    open_method(name)(start(at), at)
    assert at.models["fake"].tuned[0].start_text.startswith("Which?")
    more = replace(at, known=(prompted(at),))
    open_method(name)(start(more), more)
    text = more.models["fake"].tuned[0].start_text
    assert all(e.inputs["text"] in text and e.answer.replace("_", " ") in text for e in more.train[:3])
    assert "{{" not in text
    open_method(f"{name}(from_prompt=false)")(start(more), more)
    assert more.models["fake"].tuned[0].start_text == ""


def test_the_best_prompt_is_this_models_and_nothing_but_a_prompt():
    at = bench()
    other = Known("few_shot@other", replace(prompted(at).candidate, model="other"), 0.99)
    assert best_prompt(start(at), replace(at, known=(other,))) == best_prompt(start(at), at)


def test_more_examples_are_seen_less_often_each():
    at = bench(per_label=10)
    model = at.models["fake"]
    few, many = (paced(Recipe(), replace(at, train=at.train * n), model, Pace()).epochs for n in (1, 100))
    assert few == 10.0 and 2.0 <= many < 5.0
    assert paced(Recipe(), replace(at, train=at.train * 100), model, Pace(epochs=7)).epochs == 7
    assert many * 100 > few, "and still more often in all"


@pytest.mark.parametrize(("kind", "moved"), [("lora", True), ("full", True), ("prefix_tuning", False), ("ia3", False)])
def test_larger_models_take_smaller_steps_where_weights_move(kind, moved):
    at, model = bench(), FakeModel("fake")
    rates = []
    for parameters in (None, 22_000_000, 135_000_000, 7_000_000_000):
        model.parameters = parameters
        rates.append(paced(Recipe(kind), at, model, Pace()).learning_rate)
    assert rates[0] == rates[1] == rates[2] == DEFAULTS[kind].rate
    assert rates[3] == pytest.approx(rates[0] * (0.206 if moved else 1.0), rel=0.01)
    assert paced(Recipe(kind), at, model, Pace(learning_rate=3e-4)).learning_rate == 3e-4


def test_every_way_of_moving_has_a_row():
    assert {*DEFAULTS} == {*KINDS, "pairs full", "pairs lora", "start"}


class Trials(Watched):
    """Learns nothing at any rate but the one it likes, and remembers every call."""

    likes = 3e-3

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.asked = []

    def tune(self, recipe, items, hold, start=None):
        self.asked.append((recipe, start))
        if recipe.learning_rate > 1:
            raise TrainingFailed("The loss became no number.")
        if recipe.learning_rate != pytest.approx(self.likes):
            wrong = {label: LABELS[(n + 1) % 3] for n, label in enumerate(LABELS)}
            items = [replace(item, target=wrong.get(item.target, item.target)) for item in items]
        return super().tune(recipe, items, hold, start)


LABELS = ("label 0", "label 1", "label 2")


def long(**about):
    at = bench(models={"fake": Trials("fake")}, **about)
    return replace(at, task=replace(at.task, budget=BUDGETS["medium"]))


def rates_of(at):
    return [round(recipe.learning_rate, 6) for recipe, _ in at.models["fake"].asked]


def test_a_few_rates_are_tried_and_the_best_on_hold_goes_on():
    at = long()
    made = open_method("lora")(start(at), at)
    asked = at.models["fake"].asked
    assert rates_of(at) == [0.001, 0.003, 0.000333, 0.003]
    assert [recipe.epochs for recipe, _ in asked] == [2.5, 2.5, 2.5, 7.5]
    assert [before is None for _, before in asked] == [True, True, True, False] and made.adapter
    assert all(recipe.max_tokens <= 0.9 * 0.25 * 10**6 for recipe, _ in asked[:3])


def test_a_tie_goes_to_the_rate_that_it_begins_with():
    at = long()
    at.models["fake"].likes = 0.5
    open_method("lora")(start(at), at)
    assert rates_of(at)[-1] == 0.001


@pytest.mark.parametrize(
    ("spec", "about", "tried"),
    [
        ("lora", {}, 3),
        ("lora(search=2)", {}, 2),
        ("lora(search=1)", {}, 0),
        ("lora(learning_rate=1e-4)", {}, 0),
        ("lora(learning_rate=1e-4, search=5)", {}, 5),
        ("lora", {"left": lambda: Share(10**9, 2500, 1000.0)}, 0),
        ("lora", {"hold": 0}, 0),
        ("distil(sure=0)", {}, 3),
        ("context_distil", {}, 3),
        ("prefix_tuning", {}, 3),
    ],
)
def test_there_is_a_search_only_where_there_is_room_for_it(spec, about, tried):
    at = long(**about)
    unlabelled = tuple(Example(f"u{n}", {"text": f"trains on rails {n}"}, "") for n in range(4))
    at = replace(at, unlabelled=unlabelled, known=(prompted(at),))
    open_method(spec)(start(at), at)
    assert len(at.models["fake"].asked) == tried + 1


def test_a_short_race_does_not_search_unless_asked():
    for spec, calls in (("lora", 1), ("lora(search=3)", 4)):
        at = bench(models={"fake": Trials("fake")})
        open_method(spec)(start(at), at)
        assert len(at.models["fake"].asked) == calls


def test_a_rate_that_fails_is_out_and_if_all_fail_it_is_said():
    at = long()
    open_method("lora(learning_rate=0.8, search=2)")(start(at), at)
    assert rates_of(at) == [0.8, 2.4, 0.8]
    with pytest.raises(MethodError, match="None of 3 learning rates about 50"):
        open_method("lora(learning_rate=50, search=3)")(start(at), at)


def test_what_was_searched_for_is_gone_on_at():
    """A later rung reads the rate in the adapter's config."""
    at = long()
    first = open_method("lora")(start(at), at)
    config = {**json.loads(first.adapter.files["adapter_config.json"].read()), "tuningfork_learning_rate": 3e-3}
    files = {name: blob.read() for name, blob in first.adapter.files.items()}
    adapter = Adapter.of(first.adapter.base, {**files, "adapter_config.json": json.dumps(config).encode()})
    final = replace(long(), mine=replace(first, adapter=adapter))
    open_method("lora")(start(final), final)
    assert rates_of(final) == [0.0015]


def test_pairs_choose_their_rate_by_heads_that_have_not_learnt_hold(monkeypatch):
    at = bench(models={"fake-encoder": Trials("fake-encoder", kind="encoder")})
    at = replace(at, task=replace(at.task, budget=BUDGETS["heavy"]))
    held = []
    real = FitHead.__call__
    monkeypatch.setattr(FitHead, "__call__", lambda self, one, at: held.append(len(at.hold)) or real(self, one, at))
    open_method("contrastive")(start(at, "fake-encoder"), at)
    assert held == [0, 0, 0, len(at.hold)] and len(at.models["fake-encoder"].asked) == 4


def test_rare_labels_weigh_more_where_labels_are_far_from_even():
    at = bench()
    even = weights_of(start(at), at.train)
    assert even == [1.0] * len(at.train)
    rare = [e for e in at.train if e.answer != "label_0"] * 2 + [e for e in at.train if e.answer == "label_0"][:2]
    weights = weights_of(start(at), rare)
    assert np.mean(weights) == pytest.approx(1.0) and weights[-1] > 2 * weights[0]
    assert weights_of(replace(start(at), labels=()), rare) == [1.0] * len(rare)


def test_contrastive_learns_pairs_then_fits_a_head_on_what_it_learnt():
    at = bench()
    made = open_method("contrastive")(start(at, "fake-encoder"), at)
    recipe, items, hold, _ = at.models["fake-encoder"].tuned
    assert recipe.pairs and len(items) == len(at.train) and len(hold) == len(at.hold)
    assert made.adapter and isinstance(made.head, Head) and made.answer_by == "head"
    with pytest.raises(MethodError, match="encoder"):
        open_method("contrastive")(start(at), at)


def test_distil_learns_what_the_teacher_is_sure_of():
    at = bench()
    unlabelled = tuple(Example(f"u{n}", {"text": f"cats and kittens {n}"}, "") for n in range(5))
    at = replace(at, unlabelled=unlabelled, known=(Known("majority", Constant("label_0"), 1.0), prompted(at)))
    open_method("distil(sure=0)")(start(at), at)
    items = at.models["fake"].tuned[1]
    assert len(items) == len(at.train) + 5
    assert all(sum(i.shares) == pytest.approx(1.0) and len(i.shares) == 3 for i in items[-5:])
    assert not any(item.shares for item in items[: len(at.train)])
    with pytest.raises(MethodError, match="sure of none"):
        open_method("distil(sure=1.1)")(start(at), at)
    with pytest.raises(MethodError, match="unlabelled"):
        open_method("distil")(start(at), replace(at, unlabelled=(), known=()))  # at once, whatever else is missing
    with pytest.raises(MethodError, match="known"):
        open_method("distil")(start(at), replace(at, known=at.known[:1]))


def test_an_encoder_is_taught_too():
    at = bench()
    unlabelled = tuple(Example(f"u{n}", {"text": f"trains on rails {n}"}, "") for n in range(4))
    at = replace(at, unlabelled=unlabelled, known=(prompted(at),))
    made = open_method("distil(sure=0)")(start(at, "fake-encoder"), at)
    assert made.head and len(at.models["fake-encoder"].tuned[1]) == len(at.train) + 4


def test_context_distil_moves_the_demonstrations_into_the_weights():
    at = replace(bench(), known=(prompted(bench()),))
    made = open_method("context_distil")(start(at), at)
    items = at.models["fake"].tuned[1]
    assert made.adapter and made.shots == ()
    assert len(items) == len(at.train) - 3, "a demonstration does not answer itself"
    assert all(len(item.prompt.messages) < 4 and len(item.shares) == 3 for item in items)
    with pytest.raises(MethodError, match="demonstrations"):
        open_method("context_distil")(start(at), replace(at, known=()))


def test_continued_pretraining_reads_unlabelled_texts_only():
    unlabelled = tuple(Example(f"u{n}", {"text": f"rain over hills {n}"}, "label_1") for n in range(30))
    at = replace(bench(), unlabelled=unlabelled)
    made = open_method("continued_pretraining")(start(at), at)
    recipe, items, hold, _ = at.models["fake"].tuned
    assert all(item.target is None and not item.choices for item in (*items, *hold))
    assert len(items) == 27 and len(hold) == 3 and recipe.epochs == 1.0 and isinstance(made, Single)
    chained = open_method("continued_pretraining+lora")(start(at), at)
    assert at.models["fake"].tuned[3] == made.adapter and chained.adapter != made.adapter
    with pytest.raises(MethodError, match="unlabelled"):
        open_method("continued_pretraining")(start(at), bench())


def test_an_encoder_reads_unlabelled_texts_too():
    unlabelled = tuple(Example(f"u{n}", {"text": f"rain over hills {n}"}, "label_1") for n in range(30))
    at = replace(bench(), unlabelled=unlabelled)
    made = open_method("continued_pretraining")(start(at, "fake-encoder"), at)
    recipe, items, hold, _ = at.models["fake-encoder"].tuned
    assert recipe.pairs and all(item.target is None and not item.choices for item in (*items, *hold))
    assert made.adapter and made.head and made.answer_by == "head"
    chained = open_method("continued_pretraining+lora")(start(at, "fake-encoder"), at)
    assert at.models["fake-encoder"].tuned[3] == made.adapter and chained.head != made.head
    with pytest.raises(MethodError, match="unlabelled"):
        open_method("continued_pretraining")(start(at, "fake-encoder"), bench())


def a_run(folder, trials, ranked=()):
    """A run's folder as a race leaves it: trials that were born, and a verdict."""
    writer = LogWriter(folder)
    about = {"parents": (), "method": "lora", "family": "tune", "settings": {}, "stage": "final", "seed": 0}
    about |= {"examples_used": 1, "examples_chosen_on": 1, "seconds": 0.0, "usage": {}}
    for name, candidate in trials.items():
        writer.keep(candidate)
        writer.write(born_event(name, candidate, model=candidate.model, **about))
    if ranked:
        (folder / "verdict.json").write_text(json.dumps({"leaderboard": [{"candidate": name} for name in ranked]}))


def test_transfer_starts_from_a_run_by_its_name(tmp_path):
    at = bench()
    at = replace(at, task=replace(at.task, folder=str(tmp_path)))
    first, second = (open_method(f"lora(rank={rank})")(start(at), at) for rank in (2, 3))
    over = replace(first, adapter=replace(first.adapter, under=second.adapter))
    trials = {
        "zero_shot@fake": start(at),
        "lora@fake": first,
        "full@fake": over,
        "lora@other": replace(second, model="other"),
    }
    a_run(tmp_path / "runs" / "old", trials, ("zero_shot@fake", "full@fake", "lora@other", "lora@fake"))
    for spec, wanted in (
        ("transfer(source=old)", over),
        ("transfer(source=runs/old)", over),
        ("transfer(source=old, trial=lora@fake)", first),
    ):
        open_method(spec)(start(at), at)
        recipe, _, _, before = at.models["fake"].tuned
        assert recipe.kind == "start" and before == wanted.adapter
    with pytest.raises(MethodError, match=r"no trial 'head@fake'.*lora@fake, full@fake"):
        open_method("transfer(source=old, trial=head@fake)")(start(at), at)
    with pytest.raises(MethodError, match="no candidate of fake-encoder"):
        open_method("transfer(source=old)")(start(at, "fake-encoder"), at)
    next(iter((tmp_path / "runs" / "old" / "blobs").glob(over.adapter.blobs()[0].sha256))).write_bytes(b"x")
    with pytest.raises(MethodError, match="damaged"):
        open_method("transfer(source=old)")(start(at), at)


def test_transfer_from_a_run_without_a_verdict_or_weights(tmp_path):
    at = bench()
    at = replace(at, task=replace(at.task, folder=str(tmp_path)))
    first = open_method("lora")(start(at), at)
    a_run(tmp_path / "runs" / "cut", {"zero_shot@fake": start(at), "lora@fake": first})
    with (tmp_path / "runs" / "cut" / "log.jsonl").open("a") as log:
        log.write('{"type": "bo')
    open_method("transfer(source=cut)")(start(at), at)
    assert at.models["fake"].tuned[3] == first.adapter
    a_run(tmp_path / "runs" / "none", {"zero_shot@fake": start(at)})
    with pytest.raises(MethodError, match="Trials with weights for this model: none"):
        open_method("transfer(source=none)")(start(at), at)


def test_transfer_starts_from_a_folder(tmp_path):
    at = bench()
    first = open_method("lora")(start(at), at)
    for name, blob in first.adapter.files.items():
        (tmp_path / name).write_bytes(blob.read())
    open_method(f"transfer(source={tmp_path})")(start(at), at)
    recipe, _, _, before = at.models["fake"].tuned
    assert recipe.kind == "start" and before.files == first.adapter.files
    with pytest.raises(MethodError, match=r"source=RUN.*source=FOLDER"):
        open_method("transfer")(start(at), at)
    with pytest.raises(TaskError, match="no adapter"):
        open_method(f"transfer(source={tmp_path / 'none'})")(start(at), at)


@pytest.mark.parametrize("spec", ["lora", "full", "contrastive", "head"])
def test_a_label_seen_once_is_no_obstacle(spec):
    at = bench()
    rare = [e for e in at.train if e.answer != "label_2"] + [next(e for e in at.train if e.answer == "label_2")]
    at = replace(at, train=tuple(rare))
    made = open_method(spec)(start(at, "fake-encoder"), at)
    assert made.labels == at.task.labels and made.head.weights.arrays()["bias"].shape == (3,)


def test_no_share_no_training():
    at = bench(left=lambda: Share(10**9, 0, 100.0))
    for name in KINDS:
        with pytest.raises(MethodError, match="share"):
            open_method(name)(start(at), at)


def test_settings_stand_in_brackets():
    method = open_method("lora(rank=16, dora=true, learning_rate=1e-4)")
    assert method.name == "lora(rank=16, dora=true, learning_rate=1e-4)" and method.family == "tune"
    assert settings(method)["rank"] == 16 and settings(method)["dora"] is True
    chained = open_method("few_shot(shots=2)+lora(rank=4)") if "shots" in settings(open_method("few_shot")) else None
    assert chained is None or settings(chained)["rank"] == 4
    assert open_method("lora( rank = 4 )+calibrate").name == "lora( rank = 4 )+calibrate"
    with pytest.raises(UnknownName, match="learning_rate"):
        open_method("lora(learnin_rate=1)")
    with pytest.raises(TaskError, match="no setting"):
        open_method("lora(16)")


def test_in_the_final_pairs_and_head_learn_hold_and_choose_on_neither():
    at = bench()
    first = open_method("contrastive")(start(at, "fake-encoder"), at)
    final = replace(bench(), mine=first)
    open_method("contrastive")(start(final, "fake-encoder"), final)
    _, items, hold, _ = final.models["fake-encoder"].tuned
    assert len(items) == len(final.train) + len(final.hold) and not hold


def test_a_pupil_goes_on_from_what_it_learnt_and_is_not_its_own_teacher():
    unlabelled = tuple(Example(f"u{n}", {"text": f"rain over hills {n}"}, "") for n in range(5))
    at = replace(bench(), unlabelled=unlabelled, known=(prompted(bench()),))
    first = open_method("distil(sure=0)")(start(at), at)
    again = replace(at, mine=first, known=(Known("distil@fake", first, 0.99), *at.known))
    open_method("distil(sure=0)")(start(again), again)
    recipe, _, _, before = again.models["fake"].tuned
    assert before == first.adapter and recipe.learning_rate == 5e-4
    with pytest.raises(MethodError, match="known"):
        open_method("distil(sure=0)")(start(again), replace(again, known=again.known[:1]))


def test_what_was_read_is_not_read_again():
    unlabelled = tuple(Example(f"u{n}", {"text": f"rain over hills {n}"}, "") for n in range(30))
    at = replace(bench(), unlabelled=unlabelled)
    first = open_method("continued_pretraining")(start(at), at)
    again = replace(bench(), unlabelled=unlabelled, mine=first)
    assert open_method("continued_pretraining")(start(again), again).adapter == first.adapter
    assert again.models["fake"].calls["tune"] == 0


@pytest.mark.parametrize("name", ["distil(sure=0)", "context_distil"])
def test_a_teacher_leaves_a_share_to_train_with(name):
    """What it may read is a part of what is left: the rest is for the pupil."""
    spent = [0]

    class Reading(Watched):
        def score(self, requests):
            spent[0] += 100 * len(requests)
            return super().score(requests)

    models = {"fake": Reading("fake")}
    unlabelled = tuple(Example(f"u{n}", {"text": f"rain over hills {n}"}, "") for n in range(500))
    at = bench(models=models, left=lambda: Share(max(0, 20_000 - spent[0]), max(0, 10_000 - spent[0] // 2), 100.0))
    at = replace(at, unlabelled=unlabelled, known=(prompted(at),))
    made = open_method(name)(start(at), at)
    assert made.adapter and spent[0] <= 12_000 and at.models["fake"].tuned[0].max_tokens > 3000


def test_a_teacher_with_picked_demonstrations_would_show_an_example_its_own_answer():
    at = bench()
    picked = open_method("nearest_shots")(start(at), at)
    with pytest.raises(MethodError, match="demonstrations"):
        open_method("context_distil")(start(at), replace(at, known=(Known("nearest_shots@fake", picked, 0.9),)))


def test_transfer_knows_the_base_and_a_rate_for_what_it_finds(tmp_path):
    at = bench()
    first = open_method("lora")(start(at), at)
    (tmp_path / "adapter").mkdir()
    for name, blob in first.adapter.files.items():
        (tmp_path / "adapter" / name).write_bytes(blob.read())
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config |= {"tuningfork_base": "other-weights", "peft_type": "FULL"}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(MethodError, match="other-weights"):
        open_method(f"transfer(source={tmp_path})")(start(at), at)
    recipe, _, _, before = at.models["fake"].tuned
    assert before.base == "other-weights" and recipe.learning_rate == 2e-5


@pytest.mark.parametrize(
    "spec",
    ["lora(rank=abc)", "lora(rank=1e-4)", "lora(rank=0)", "lora(rank=-2)", "lora(dora=1)", "lora(learning_rate=x)",
     "full(epochs=)", "full(epochs=-1)", "lora(rank=true)", "lora(learning_rate=.inf)"],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_at_once(spec):
    with pytest.raises(TaskError, match="can't be"):
        open_method(spec)
