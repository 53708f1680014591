"""The training loop: it learns, keeps to its limits, gives back the best it saw, and is the same each time."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tuningfork.engine import checkpoint, moving
from tuningfork.engine.adapters import layout
from tuningfork.engine.adapters.replaced import stack_of
from tuningfork.engine.lessons import causal
from tuningfork.engine.lessons.causal import CausalReader
from tuningfork.engine.training import explosion, loop, lower, memory, saving
from tuningfork.engine.training.recompute import recomputed
from tuningfork.errors import MethodError, ModelError, TrainingFailed
from tuningfork.model import EmbedRequest, GenerateRequest, Recipe, ScoreRequest, TuneItem

LABELS = ("billing", "login problem", "other")
WORDS = {"billing": "I was charged twice", "login problem": "My password is wrong", "other": "Where are you"}
RECIPE = Recipe(rank=4, learning_rate=0.02, epochs=6, batch=6, warmup=0.1)


def items(make, count=18, labels=LABELS, **more):
    made = []
    for i in range(count):
        label = labels[i % len(labels)]
        made.append(TuneItem(make.prompt(f"{WORDS[label]} {i}"), label, LABELS, **more))
    return made


def weights_of(model, tuned):
    return [t for part in moving.unpack(model._weights, tuned.adapter).parts for t in part.parameters()]


def texts(made):
    return [dataclasses.replace(item, choices=()) for item in made]


def accuracy(model, made):
    found = model.score([ScoreRequest(item.prompt, item.choices) for item in made])
    return np.mean([item.choices[int(np.argmax(s.nats))] == item.target for item, s in zip(made, found, strict=True)])


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3"])
def test_choices_are_learnt(tiny, make, kind):
    model = tiny(kind).model
    learn, hold = (
        items(make),
        [dataclasses.replace(i, prompt=make.prompt(f"{WORDS[i.target]} ok")) for i in items(make, 6)],
    )
    tuned = model.tune(RECIPE, learn, hold)
    assert tuned.curve[-1].train_nats < 0.5 * tuned.curve[0].train_nats
    assert min(point.hold_nats for point in tuned.curve) < 0.5 < tuned.curve[0].train_nats
    assert accuracy(model.adapted(tuned.adapter), learn) == 1.0 > accuracy(model, learn)
    assert tuned.usage.tokens_trained > 0 and tuned.usage.seconds > 0 and tuned.head is None


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_texts_are_learnt_to_their_end(tiny, make, kind):
    model = tiny(kind).model
    learn = texts(items(make))
    tuned = model.tune(dataclasses.replace(RECIPE, epochs=20), learn, [])
    assert tuned.curve[-1].train_nats < 0.2 * tuned.curve[0].train_nats
    written = model.adapted(tuned.adapter).generate([GenerateRequest(item.prompt, 12) for item in learn])
    assert np.mean([a.text == i.target and a.why_stopped == "end" for a, i in zip(written, learn, strict=True)]) > 0.8


def test_the_first_loss_is_what_scoring_says(tiny, make):
    it = tiny("llama")
    learn = items(make, 6)
    tuned = it.model.tune(dataclasses.replace(RECIPE, max_steps=1), learn, learn[:0])
    nats = np.array([it.nats(item.prompt, LABELS) for item in learn])
    chances = nats - np.log(np.exp(nats).sum(1, keepdims=True))
    targets = [LABELS.index(item.target) for item in learn]
    assert tuned.curve[0].train_nats == pytest.approx(-chances[range(6), targets].mean(), abs=1e-3)


def test_a_gradient_through_the_shared_beginning_is_the_whole_gradient(tiny, make, monkeypatch):
    model = tiny("llama").model
    recipe = dataclasses.replace(RECIPE, max_steps=2)
    shared = model.tune(recipe, items(make), [])
    monkeypatch.setattr(causal, "beginning", lambda prompts: None)
    whole = model.tune(recipe, items(make), [])
    assert shared.usage.tokens_trained < 0.7 * whole.usage.tokens_trained
    asked = [ScoreRequest(item.prompt, LABELS) for item in items(make, 6)]
    one, other = (model.adapted(tuned.adapter).score(asked) for tuned in (shared, whole))
    assert np.allclose([s.nats for s in one], [s.nats for s in other], atol=1e-3)


def test_weights_of_items_count(tiny, make):
    model = tiny("llama").model
    learn = [*items(make, 3, ("billing",)), *items(make, 3, ("other",), weight=0.0)]
    adapted = model.adapted(model.tune(RECIPE, learn, []).adapter)
    assert accuracy(adapted, items(make, 3, ("billing",))) == 1.0
    assert accuracy(adapted, items(make, 3, ("other",))) == 0.0


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_an_encoder_learns_with_a_head(tiny, make, kind):
    model = tiny(kind).model
    learn = [dataclasses.replace(i, prompt=make.prompt(WORDS[i.target][:20], system="")) for i in items(make)]
    tuned = model.tune(dataclasses.replace(RECIPE, learning_rate=5e-3), learn, learn[:6])
    assert tuned.curve[-1].train_nats < tuned.curve[0].train_nats
    head = tuned.head.arrays()
    assert head["weight"].shape == (3, 32) and head["bias"].shape == (3,)
    found = model.adapted(tuned.adapter).embed([EmbedRequest(item.prompt) for item in learn])
    logits = np.stack([entry.values for entry in found]) @ head["weight"].T + head["bias"]
    assert [LABELS[i] for i in logits.argmax(1)] == [item.target for item in learn]


def test_a_label_that_train_lacks_still_has_its_row(tiny, make):
    learn = [
        dataclasses.replace(i, prompt=make.prompt(i.prompt.messages[-1].content, system="")) for i in items(make, 6)
    ]
    learn = [item for item in learn if item.target != "login problem"]
    head = tiny("bert").model.tune(dataclasses.replace(RECIPE, max_steps=2), learn, []).head.arrays()
    assert head["weight"].shape == (3, 32) and np.isfinite(head["weight"]).all()


def test_an_encoder_without_choices_says_why(tiny, make):
    with pytest.raises(MethodError, match="choices"):
        tiny("bert").model.tune(RECIPE, texts(items(make)), [])


def test_the_best_state_on_hold_comes_back_and_patience_ends_it(tiny, make, monkeypatch):
    """Hold gets worse after the second look: what comes back is the state of that look."""
    qualities = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1])
    states = []

    def look(run, watch):
        states.append(run.snapshot())
        return next(qualities) + torch.tensor([0.01, -0.01, 0.0]), 1.0

    monkeypatch.setattr(loop, "look", look)
    model = tiny("llama").model
    tuned = model.tune(dataclasses.replace(RECIPE, epochs=10, patience=3), items(make), items(make, 6))
    assert tuned.why_stopped == "patience" and len(tuned.curve) == len(states) == 5
    monkeypatch.undo()
    kept = weights_of(model, tuned)
    assert all(torch.equal(a, b) for a, b in zip(kept, states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(kept, states[4], strict=True))


def test_a_later_state_stays_unless_hold_shows_it_worse(tiny, make, monkeypatch):
    """Three hold items that disagree about two states show nothing, so the last state comes back."""
    looks = itertools.cycle([[0.9, 0.5, 0.7], [0.4, 0.9, 0.7], [0.9, 0.1, 0.8]])
    states = []

    def look(run, watch):
        states.append(run.snapshot())
        return torch.tensor(next(looks)), 1.0

    monkeypatch.setattr(loop, "look", look)
    model = tiny("llama").model
    tuned = model.tune(dataclasses.replace(RECIPE, epochs=10, patience=3), items(make), items(make, 6))
    monkeypatch.undo()
    kept = weights_of(model, tuned)
    assert len(states) > 2 and all(torch.equal(a, b) for a, b in zip(kept, states[-1], strict=True))


def test_max_steps(tiny, make):
    tuned = tiny("llama").model.tune(dataclasses.replace(RECIPE, max_steps=4), items(make), items(make, 6))
    assert tuned.curve[-1].step == 4


@pytest.mark.parametrize("most", [3000, 8000])
@pytest.mark.parametrize("held", [0, 18])
def test_max_tokens(tiny, make, most, held):
    recipe = dataclasses.replace(RECIPE, epochs=100, max_tokens=most, patience=99)
    tuned = tiny("llama").model.tune(recipe, items(make), items(make, held))
    assert 0.5 * most < tuned.usage.tokens_trained <= 1.05 * most
    assert tuned.curve[-1].step < 300


def test_max_seconds(tiny, make):
    recipe = dataclasses.replace(RECIPE, epochs=10_000, max_seconds=0.3, patience=99_999)
    tuned = tiny("llama").model.tune(recipe, items(make), [])
    assert tuned.why_stopped == "seconds" and 0.3 <= tuned.usage.seconds < 3
    assert tuned.curve[-1].step >= 1


def test_a_diverged_training_restarts_once_at_a_quarter_of_the_rate(tiny, make, monkeypatch):
    real, calls = loop.step, []

    def step(run, batch, optimizer):
        calls.append(run.recipe.learning_rate)
        loss = real(run, batch, optimizer)
        return float("nan") if run.recipe.learning_rate == RECIPE.learning_rate and len(calls) == 2 else loss

    monkeypatch.setattr(loop, "step", step)
    tuned = tiny("llama").model.tune(RECIPE, items(make), [])
    assert calls[1:3] == [RECIPE.learning_rate, RECIPE.learning_rate / 4]
    assert tuned.notes["restarts"] == 1.0 and tuned.notes["learning_rate"] == RECIPE.learning_rate / 4
    monkeypatch.undo()
    calm = tiny("llama").model.tune(
        dataclasses.replace(RECIPE, learning_rate=RECIPE.learning_rate / 4), items(make), []
    )
    assert tuned.adapter == calm.adapter
    assert tuned.usage.tokens_trained > calm.usage.tokens_trained, "the tokens of the first try were spent too"


@pytest.mark.parametrize("steps", [1, 5])
def test_a_training_that_diverges_twice_raises(tiny, make, steps):
    """Also where it is the very last step that throws the weights away."""
    it = tiny("llama")
    (before,) = it.model.score([ScoreRequest(make.prompt("x"), LABELS)])
    with pytest.raises(MethodError, match="no number twice"):
        it.model.tune(Recipe(learning_rate=float("inf"), max_steps=steps), items(make), [])
    assert it.model.score([ScoreRequest(make.prompt("x"), LABELS)])[0].nats == before.nats


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_the_same_seed_gives_the_same_bits(tiny, make, kind):
    model = tiny(kind).model
    first, second, other = (
        model.tune(dataclasses.replace(RECIPE, max_steps=5, seed=s), items(make), items(make, 6)) for s in (0, 0, 1)
    )
    assert first.adapter == second.adapter and first.head == second.head
    assert [p.train_nats for p in first.curve] == [p.train_nats for p in second.curve]
    assert first.adapter != other.adapter


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_training_goes_on_from_where_another_ended(tiny, make, kind):
    model = tiny(kind).model
    learn = items(make)
    first = model.tune(RECIPE, learn, [])
    still = dataclasses.replace(RECIPE, learning_rate=1e-9, max_steps=1)
    onward = model.tune(still, learn, [], start=first.adapter)
    mine, theirs = (weights_of(model, t) for t in (first, onward))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(mine, theirs, strict=True))
    if kind == "llama":
        assert onward.curve[0].train_nats < 0.5 * first.curve[0].train_nats


def test_an_encoders_head_goes_on_with_its_adapter(tiny, make):
    model = tiny("bert").model
    first = model.tune(RECIPE, items(make), [])
    still = dataclasses.replace(RECIPE, learning_rate=1e-9, head_learning_rate=1e-9, max_steps=1)
    onward = model.tune(still, items(make), [], start=first.adapter)
    one, other = (tuned.head.arrays() for tuned in (first, onward))
    assert all(np.allclose(one[name], other[name], atol=1e-6) for name in ("weight", "bias"))
    assert onward.curve[0].train_nats < 0.9 * first.curve[0].train_nats
    fewer = [dataclasses.replace(item, choices=LABELS[:2]) for item in items(make, labels=LABELS[:2])]
    assert model.tune(still, fewer, [], start=first.adapter).head.arrays()["bias"].shape == (2,), "other labels"


def test_the_rate_that_it_was_tuned_at_stands_in_the_config(tiny, make):
    tuned = tiny("llama").model.tune(dataclasses.replace(RECIPE, max_steps=1), items(make), [])
    assert layout.config_of(tuned.adapter)[layout.RATE] == RECIPE.learning_rate


def test_a_continued_adapter_that_gets_worse_comes_back_as_it_was(tiny, make, monkeypatch):
    model = tiny("llama").model
    first = model.tune(dataclasses.replace(RECIPE, max_steps=3), items(make), [])
    qualities = iter([0.9] + [0.1] * 20)
    monkeypatch.setattr(loop, "look", lambda run, watch: (next(qualities) + torch.tensor([0.01, -0.01]), 1.0))
    onward = model.tune(RECIPE, items(make), items(make, 6), start=first.adapter)
    assert onward.adapter == first.adapter


def test_items_that_are_too_long_are_left_out_and_counted(tiny, make):
    model = tiny("llama").model
    long = TuneItem(make.prompt("zq" * 400), "other", LABELS)
    recipe = dataclasses.replace(RECIPE, max_steps=2)
    assert model.tune(recipe, [*items(make, 6), long], [long]).notes["left_out"] == 1.0
    with pytest.raises(MethodError, match="context"):
        model.tune(recipe, [long], [])


@pytest.mark.parametrize("choices", [True, False])
def test_an_answer_longer_than_the_context_is_left_out_and_counted(tiny, make, choices):
    long = "zq" * 400
    made = [*items(make, 6), TuneItem(make.prompt("short"), long, (*LABELS, long))]
    made = made if choices else texts(made)
    model, recipe = tiny("llama").model, dataclasses.replace(RECIPE, max_steps=2)
    tuned = model.tune(recipe, made, made[-1:])
    assert tuned.notes["left_out"] == 1.0 and tuned.curve[-1].hold_nats is None
    with pytest.raises(MethodError, match="No example fits"):
        model.tune(recipe, made[-1:], [])


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_choices_that_tokens_do_not_tell_apart_are_left_out_and_counted(tiny, make, kind):
    model, recipe = tiny(kind).model, dataclasses.replace(RECIPE, max_steps=2)
    same = TuneItem(make.prompt("short"), "<|end|>", ("<|end|>", "< |end|>"))
    assert model.tune(recipe, [*items(make, 6), same], []).notes["left_out"] == 1.0
    with pytest.raises(MethodError, match="tell apart"):
        model.tune(recipe, [same], [])


@pytest.mark.parametrize(("kind", "pairs"), [("llama", False), ("bert", False), ("bert", True)])
def test_a_label_that_is_seen_once_is_learnt_with_the_others(tiny, make, kind, pairs):
    model = tiny(kind).model
    learn = [*items(make, 8, LABELS[:2]), *items(make, 1, LABELS[2:])]
    tuned = model.tune(dataclasses.replace(RECIPE, pairs=pairs, max_steps=4), learn, learn[-1:])
    assert tuned.curve[-1].step == 4 and all(np.isfinite(point.hold_nats) for point in tuned.curve)


def test_an_adapter_of_other_weights_is_refused_with_both_their_names(tiny, make, tmp_path):
    model, other = tiny("llama").model, make.open(make.model("llama", tmp_path, seed=1))
    adapter = model.tune(dataclasses.replace(RECIPE, max_steps=1), items(make), []).adapter
    for use in (other.adapted, lambda worn: other.tune(RECIPE, items(make), [], start=worn)):
        with pytest.raises(ModelError, match=f"(?s){model.base}.*{other.base}"):
            use(adapter)


class Killed(BaseException):
    """As if the process had ended."""


def killed_at(monkeypatch, step, every=0.0):
    """Training ends in the midst of this step; a checkpoint after every step."""
    real, done = loop.step, itertools.count(1)

    def stepped(*args):
        if next(done) == step:
            raise Killed
        return real(*args)

    monkeypatch.setattr(saving, "SAVE_SECONDS", every)
    monkeypatch.setattr(saving, "SAVE_SHARE", float("inf"))
    monkeypatch.setattr(loop, "step", stepped)


@pytest.mark.parametrize("kind", ["lora", "full", "last_layers", "p_tuning", "prefix_tuning"])
@pytest.mark.parametrize("step", [1, 4, 9])
def test_a_killed_training_ends_with_the_same_weights(make, tmp_path, monkeypatch, kind, step):
    model = make.open(make.model("llama", tmp_path))
    recipe = dataclasses.replace(RECIPE, kind=kind, layers=1, epochs=4, learning_rate=0.005)
    whole = model.tune(recipe, items(make), items(make, 6))
    with monkeypatch.context() as patch:
        killed_at(patch, step)
        with pytest.raises(Killed):
            model.tune(recipe, items(make), items(make, 6))
    left = list((tmp_path / "training").glob("*"))
    assert len(left) == (step > 1)
    onward = model.tune(recipe, items(make), items(make, 6))
    assert onward.adapter == whole.adapter
    assert [(p.step, p.train_nats, p.hold_nats) for p in onward.curve] == [
        (p.step, p.train_nats, p.hold_nats) for p in whole.curve
    ]
    assert onward.usage.tokens_trained == whole.usage.tokens_trained
    assert not list((tmp_path / "training").glob("*")), "what has ended leaves nothing"


def test_an_encoder_goes_on_with_its_head(make, tmp_path, monkeypatch):
    model = make.open(make.model("bert", tmp_path))
    recipe = dataclasses.replace(RECIPE, epochs=4)
    whole = model.tune(recipe, items(make), items(make, 6))
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(Killed):
            model.tune(recipe, items(make), items(make, 6))
    onward = model.tune(recipe, items(make), items(make, 6))
    assert onward.adapter == whole.adapter and onward.head == whole.head


@pytest.mark.parametrize("change", [{"seed": 1}, {"rank": 5}, {"learning_rate": 0.01}])
def test_another_training_does_not_go_on_from_it(make, tmp_path, monkeypatch, change):
    model = make.open(make.model("llama", tmp_path))
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(Killed):
            model.tune(RECIPE, items(make), [])
    other = dataclasses.replace(RECIPE, **change)
    fresh = make.open(make.model("llama", tmp_path / "again")).tune(other, items(make), [])
    weights = "adapter_model.safetensors"
    assert model.tune(other, items(make), []).adapter.files[weights] == fresh.adapter.files[weights]


def test_a_disk_that_fills_leaves_the_last_good_checkpoint(make, tmp_path, monkeypatch):
    model = make.open(make.model("llama", tmp_path))
    whole = model.tune(RECIPE, items(make), [])
    real, count = checkpoint.write_atomically, itertools.count(1)

    def write(path, data):
        if next(count) > 2:
            raise OSError(28, "No space left on device")
        real(path, data)

    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        patch.setattr(checkpoint, "write_atomically", write)
        with pytest.raises(Killed):
            model.tune(RECIPE, items(make), [])
    (left,) = (tmp_path / "training").glob("*")
    assert checkpoint.Checkpoint(left).read()[1]["step"] == 2
    assert model.tune(RECIPE, items(make), []).adapter == whole.adapter


def test_a_torn_checkpoint_is_not_gone_on_from(make, tmp_path, monkeypatch):
    model = make.open(make.model("llama", tmp_path))
    whole = model.tune(RECIPE, items(make), [])
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(Killed):
            model.tune(RECIPE, items(make), [])
    (left,) = (tmp_path / "training").glob("*")
    left.write_bytes(left.read_bytes()[:1000])
    assert model.tune(RECIPE, items(make), []).adapter == whole.adapter


def short_of_memory(monkeypatch, most, once_recomputed=0):
    real = loop.losses_of

    def losses(run, part):
        if sum(lesson.tokens for lesson in part) > (once_recomputed if run.recompute else most):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return real(run, part)

    monkeypatch.setattr(loop, "losses_of", losses)


def test_short_of_memory_a_step_is_done_in_smaller_parts(tiny, make, monkeypatch):
    model = tiny("llama").model
    recipe = dataclasses.replace(RECIPE, max_steps=3)
    roomy = model.tune(recipe, items(make), [])
    short_of_memory(monkeypatch, 60)
    tight = model.tune(recipe, items(make), [])
    assert tight.notes["micro_tokens"] <= 60 < roomy.notes["micro_tokens"]
    one, other = (weights_of(model, tuned) for tuned in (roomy, tight))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(one, other, strict=True))


def test_what_does_not_fit_at_all_says_what_would(tiny, make, monkeypatch):
    short_of_memory(monkeypatch, 0)
    with pytest.raises(MethodError, match="too little memory to train on"):
        tiny("llama").model.tune(RECIPE, items(make), [])


def test_no_memory_for_the_smallest_part_computes_activations_again(tiny, make, monkeypatch):
    model = tiny("llama").model
    recipe = dataclasses.replace(RECIPE, max_steps=3)
    roomy = model.tune(recipe, items(make), items(make, 6))
    short_of_memory(monkeypatch, 0, once_recomputed=10_000)
    tight = model.tune(recipe, items(make), items(make, 6))
    assert tight.notes["recomputed"] == 1.0 > roomy.notes["recomputed"]
    one, other = (weights_of(model, tuned) for tuned in (roomy, tight))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "bert", "t5"])
def test_activations_that_are_computed_again_give_the_same_gradients(tiny, make, monkeypatch, kind):
    model = tiny(kind).model
    learn = [dataclasses.replace(i, prompt=make.prompt(WORDS[i.target], system="")) for i in items(make)]
    recipe = dataclasses.replace(RECIPE, max_steps=2, learning_rate=1e-3)
    kept = model.tune(recipe, learn, learn[:3])
    monkeypatch.setattr(memory, "free_bytes", lambda device: 100_000)
    monkeypatch.setattr(memory, "STATE_BYTES", 0)
    again = model.tune(recipe, learn, learn[:3])
    assert again.notes["recomputed"] == 1.0 > kept.notes["recomputed"]
    assert [p.train_nats for p in again.curve] == pytest.approx([p.train_nats for p in kept.curve], abs=1e-5)
    one, other = (weights_of(model, tuned) for tuned in (kept, again))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))


def test_what_is_computed_again_is_not_kept(tiny, make):
    """Bytes that autograd holds from a pass to its gradient."""
    model = tiny("llama").model
    reader = CausalReader(model._weights, model._renderer)
    part = reader.lessons(items(make))

    def held():
        bytes_of = {}

        def keep(tensor):
            bytes_of[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        made = moving.fresh(model._weights, RECIPE)
        with made.worn(model._weights), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            reader.losses(part).sum().backward()
        return sum(bytes_of.values())

    whole = held()
    with recomputed(model._weights):
        assert held() < 0.5 * whole


LAST = dataclasses.replace(RECIPE, kind="last_layers", layers=1, learning_rate=1e-3, epochs=3)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "granite", "olmo2", "gpt2", "gpt_neox", "bert", "roberta"])
def test_what_frozen_layers_give_is_computed_once_and_changes_nothing(tiny, make, monkeypatch, kind):
    model = tiny(kind).model
    learn = [dataclasses.replace(i, prompt=make.prompt(WORDS[i.target] + " " + "ab"[n % 2], system=""))
             for n, i in enumerate(items(make))]  # fmt: skip
    known = model.tune(LAST, learn, learn[:6])
    monkeypatch.setattr(lower, "ROOM", 0.0)
    anew = model.tune(LAST, learn, learn[:6])
    assert known.notes["layers_known"] == 1.0 > anew.notes["layers_known"]
    assert known.usage.tokens_trained < 0.75 * anew.usage.tokens_trained
    one, other = (moving.unpack(model._weights, tuned.adapter).parts[0].copies for tuned in (known, anew))
    # Where a gradient is nothing but rounding, such as that of a bias of keys, Adam makes it as large as any other.
    near = torch.cat([torch.isclose(one[name], other[name], rtol=0, atol=1e-6).flatten() for name in one])
    assert one.keys() == other.keys() and near.float().mean() > (0.999 if kind in ("llama", "granite") else 0.98)
    assert [p.hold_nats for p in known.curve] == pytest.approx([p.hold_nats for p in anew.curve], abs=1e-5)


def test_lower_layers_run_once_for_each_row(tiny, make):
    model = tiny("llama").model
    rows = []
    first = stack_of(model._weights)[1][0]
    real = first.self_attn.forward
    first.self_attn.forward = lambda *a, **k: rows.append(k["hidden_states"].shape[1]) or real(*a, **k)
    try:
        learn = items(make)
        model.tune(LAST, learn, learn[:6])
    finally:
        del first.self_attn.forward
    reader = CausalReader(model._weights, model._renderer)
    assert sum(rows) == sum(lesson.tokens for lesson in reader.lessons(learn)) + reader.shared_tokens


def test_known_layers_go_further_for_the_same_tokens(tiny, make, monkeypatch):
    model = tiny("llama").model
    recipe = dataclasses.replace(LAST, epochs=100, max_tokens=8000, patience=99)
    known = model.tune(recipe, items(make), [])
    monkeypatch.setattr(lower, "ROOM", 0.0)
    anew = model.tune(recipe, items(make), [])
    assert known.curve[-1].step > 1.4 * anew.curve[-1].step
    assert 0.7 * 8000 < known.usage.tokens_trained <= 1.05 * 8000


@pytest.mark.parametrize("text", [False, True])
def test_a_rate_that_is_absurd_is_tried_lower_and_fails_with_its_curve(tiny, make, text):
    """The losses stay numbers all along."""
    learn = texts(items(make)) if text else items(make)
    with pytest.raises(TrainingFailed, match="far above where it began twice") as caught:
        tiny("llama").model.tune(dataclasses.replace(RECIPE, kind="full", learning_rate=30.0), learn, learn[:6])
    cost = caught.value.cost
    assert cost.why_stopped == "exploded" and cost.notes["restarts"] == 1.0
    assert cost.curve and all(np.isfinite(point.train_nats) for point in cost.curve)


def test_an_explosion_at_the_end_is_seen_on_hold():
    watch = [SimpleNamespace(target=0)] * 20
    seen = explosion.Explosion(8, 2)
    assert not seen.at_step(0.7)
    surely_wrong = torch.tensor([1e-9, 1.0] * 10)
    assert seen.at_end(watch, surely_wrong), "as good as chance, and certain"
    assert not seen.at_end(watch, torch.tensor([1e-9, *[1.0] * 6] * 3)[:20]), "too sure of itself, and better"
    assert not seen.at_end(watch, torch.full((20,), 0.5)) and not seen.at_end(watch, None)
    written = [SimpleNamespace(target=None)] * 20
    told = explosion.Explosion(8, 0)
    assert not told.at_step(2.5)
    assert told.at_end(written, -torch.linspace(8, 12, 20)) and not told.at_end(written, -torch.linspace(2, 4, 20))


def test_a_bad_stretch_is_no_explosion():
    seen = explosion.Explosion(40, 2)
    assert not any(seen.at_step(loss) for loss in [0.7, *[5.0] * 9, 1.0, *[5.0] * 9])
    assert seen.at_step(5.0)


@pytest.mark.parametrize(
    ("limit", "why"), [({}, "epochs"), ({"max_steps": 2}, "steps"), ({"max_tokens": 900}, "tokens")]
)
def test_it_says_what_ended_it(tiny, make, limit, why):
    assert tiny("llama").model.tune(dataclasses.replace(RECIPE, **limit), items(make), []).why_stopped == why
