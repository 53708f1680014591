"""Constrained answers: always what was asked for, whatever the model would rather say."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from tuningfork.engine.constrain import Guide, Guides
from tuningfork.errors import MissingExtra
from tuningfork.model import Answer, Failure, GenerateRequest, JsonSchema, OneOf, Regex

LABELS = ("billing", "login problem", "other", "how", "how-to", "how-to-guide")
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "team": {"enum": ["a b", "é"]},
            "sure": {"type": "boolean"},
            "n": {"type": "integer", "maximum": 99},
        },
        "required": ["team", "sure"],
        "additionalProperties": False,
    }
)


def load_marked():
    """The tokenizer that marks words, from the neighbouring file."""
    path = Path(__file__).with_name("test_spelling.py")
    spec = importlib.util.spec_from_file_location("spelling_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.marked


@pytest.fixture(scope="module")
def models(tiny, make, tmp_path_factory):
    """A chat model, a plain one, one that can't share, an encoder-decoder; and plain ones that mark words."""
    found = {"chat": tiny("llama"), "plain": tiny("llama", chat=False), "whole": tiny("mistral"), "encoded": tiny("t5")}
    found = {name: it.model for name, it in found.items()}
    for decoder in ("llama", "t5"):
        folder = make.model("llama", tmp_path_factory.mktemp("marked"), chat=False)
        load_marked()(decoder).save_pretrained(folder)
        found[f"marks like {decoder}"] = make.open(folder)
    return found


KINDS = ("chat", "plain", "whole", "encoded", "marks like llama", "marks like t5")


def ask(make, constraint, text="Where is my refund?", **more):
    return GenerateRequest(make.prompt(text), **{"max_tokens": 80, "constraint": constraint, **more})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_one_of(models, make, kind, temperature):
    asked = [ask(make, OneOf(LABELS), str(i), temperature=temperature, seed=i) for i in range(12)]
    asked += [ask(make, OneOf((" yes", "no", " é€")), str(i), temperature=temperature, seed=i) for i in range(6)]
    found = models[kind].generate(asked)
    assert {(type(entry), entry.why_stopped) for entry in found} == {(Answer, "end")}
    assert {entry.text for entry in found[:12]} <= set(LABELS)
    assert {entry.text for entry in found[12:]} <= {" yes", "no", " é€"}
    assert temperature == 0 or len({entry.text for entry in found}) > 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "pattern", [r"[a-c]{3,5}[0-9]", r"é€😀", r"[ ]?x{1,4} y", r"(?i)ok|no way", "a\n\"/'b", r"\S+@\S+\.de"]
)
def test_regex(models, make, kind, pattern):
    asked = [ask(make, Regex(pattern), str(i), temperature=float(i), seed=i) for i in range(3)]
    for entry in models[kind].generate(asked):
        assert isinstance(entry, Answer)
        if entry.why_stopped == "end":
            assert re.fullmatch(pattern, entry.text)
    shortest = models[kind].generate([ask(make, Regex("a{3}"))])
    assert [(entry.text, entry.why_stopped) for entry in shortest] == [("aaa", "end")]


@pytest.mark.parametrize("kind", KINDS)
def test_json_schema(models, make, kind):
    asked = [ask(make, JsonSchema(SCHEMA), str(i), temperature=float(i), seed=i, max_tokens=200) for i in range(4)]
    for entry in models[kind].generate(asked):
        assert isinstance(entry, Answer) and entry.why_stopped == "end"
        said = json.loads(entry.text)
        assert said["team"] in ("a b", "é") and isinstance(said["sure"], bool) and said.get("n", 0) <= 99


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=5)
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", ["chat", "marks like llama"])
def test_any_list_of_texts(models, make, kind, texts):
    """Quotes, line ends, spaces at either end, characters of four bytes."""
    asked = [ask(make, OneOf(tuple(texts)), temperature=t) for t in (0.0, 5.0)]
    for entry in models[kind].generate(asked):
        assert entry.text in texts and entry.why_stopped == "end"


def test_greedy_takes_the_best_that_is_allowed(tiny, make, monkeypatch):
    """Step by step over whole texts with plain transformers: the likeliest token that goes on to one of the texts, or,
    where one only is left, the next of its own tokens. Their nats are the model's, as if nothing had been forbidden."""
    it = tiny("llama")
    texts = ("billing", "login", "other", "great", "good")
    wrote: list[int] = []
    take = Guide.take
    monkeypatch.setattr(Guide, "take", lambda self, token: wrote.append(token) or take(self, token))
    (found,) = it.model.generate([ask(make, OneOf(texts))])
    ids = it.ids(it.text(make.prompt("Where is my refund?")))
    pieces = [it.tokenizer.decode([token]) for token in range(len(it.tokenizer))]
    begun, nats = "", 0.0
    for place, token in enumerate(wrote):
        with torch.no_grad():
            chances = torch.log_softmax(it.net(torch.tensor([ids + wrote[:place]])).logits[0, -1], -1)
        left = {space + text for text in texts for space in ("", " ") if (space + text).startswith(begun)}
        if len(left) > 1:
            goes_on = [t for t, piece in enumerate(pieces) if piece and any(w.startswith(begun + piece) for w in left)]
            assert token == max(goes_on, key=lambda t: float(chances[t]))
        begun, nats = begun + pieces[token], nats + float(chances[token])
    assert found.text == begun.removeprefix(" ") and found.usage.tokens_out == len(wrote)
    assert found.nats == pytest.approx(nats, abs=1e-3)


@pytest.mark.parametrize("kind", ["chat", "plain"])
def test_nats_of_a_forced_answer_are_those_of_scoring(models, tiny, make, kind):
    """Where the tokens are the same. A constraint does not make a model surer than it is."""
    it = tiny("llama", chat=kind == "chat")
    prompt = make.prompt("Where is my refund?")
    (found,) = models[kind].generate([GenerateRequest(prompt, 40, constraint=OneOf(("x",)))])
    assert found.text == "x" and found.usage.tokens_out <= 2
    if found.usage.tokens_out == 1:
        assert found.nats == pytest.approx(it.nats(prompt, ("x",))[0], abs=1e-3)


def test_an_answer_that_may_go_on_ends_where_the_model_ends_it(models, make):
    """ "how" may be all, or the beginning of "how-to"."""
    found = models["chat"].generate(
        [ask(make, OneOf(("how", "how-to")), str(i), temperature=3.0, seed=i) for i in range(30)]
    )
    assert {entry.text for entry in found} == {"how", "how-to"}


@pytest.mark.parametrize("kind", ["chat", "whole", "encoded"])
def test_no_room(models, make, kind):
    """An answer that is cut is a beginning of one that is allowed."""
    (found,) = models[kind].generate([ask(make, Regex("[ab]{6}[0-9]{40}"), max_tokens=5)])
    assert found.why_stopped == "length" and found.usage.tokens_out == 5
    assert re.fullmatch("[ab]{0,6}[0-9]*", found.text)


@pytest.mark.parametrize("kind", ["chat", "whole", "encoded"])
@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (OneOf(()), "empty"),
        (Regex("(a"), "unclosed group"),
        (Regex("a(?=b)"), "look-around"),
        (Regex(r"[^\s\S]"), "can't be met"),
        (Regex(r"a[^\s\S]"), "can't be met"),
        (JsonSchema("{no"), "is no JSON"),
        (JsonSchema("false"), "nsatisfiable"),
        (JsonSchema('{"enum": []}'), "nsatisfiable"),
        (JsonSchema('{"type": "strange"}'), "strange"),
        (JsonSchema("[1]"), "object or boolean"),
        (OneOf(("a", "\ud800")), "surrogate"),
        (Regex("\ud800"), "surrogate"),
        (JsonSchema('{"const": "\ud800"}'), "surrogate"),
    ],
)
def test_what_can_not_be_met_fails_alone(models, make, kind, constraint, said):
    good = ask(make, OneOf(LABELS))
    alone = models[kind].generate([good])[0].text
    before, found, after = models[kind].generate([good, ask(make, constraint), good])
    assert (type(found), found.kind, before.text, after.text) == (Failure, "constraint", alone, alone)
    assert said in found.message and "<state>" not in found.message and "start:" not in found.message


def test_an_empty_text_may_be_an_answer(models, make):
    (found,) = models["chat"].generate([ask(make, OneOf(("",)))])
    assert (found.text, found.why_stopped) == ("", "end")


@pytest.mark.parametrize("kind", KINDS)
def test_streamed_pieces_make_the_text(models, make, kind):
    pieces: dict[int, str] = {}
    asked = [ask(make, OneOf(LABELS), str(i), temperature=2.0, seed=i) for i in range(8)]
    found = models[kind].generate(asked, lambda index, piece: pieces.update({index: pieces.get(index, "") + piece}))
    assert [pieces[i] for i in range(8)] == [entry.text for entry in found]


def test_constrained_and_free_answers_side_by_side(models, make):
    free = GenerateRequest(make.prompt("Where is my refund?"), 12)
    alone = models["chat"].generate([free])[0].text
    found = models["chat"].generate([free, ask(make, OneOf(LABELS)), free])
    assert (found[0].text, found[2].text) == (alone, alone) and found[1].text in LABELS


def test_the_output_layer_may_be_wider_than_the_vocabulary(make):
    tokenizer = make.tokenizer(True)
    guide = Guides(tokenizer, {2}).guide(Regex("a+"))
    assert isinstance(guide, Guide)
    for width in (len(tokenizer), len(tokenizer) + 100):
        allowed = guide.allowed(width)
        assert allowed.shape == (width,) and not allowed[len(tokenizer) :].any()
    guide.take(tokenizer.convert_tokens_to_ids("a"))
    assert {2, tokenizer.convert_tokens_to_ids("a")} <= set(np.flatnonzero(guide.allowed(len(tokenizer))))


def test_without_the_library_it_says_what_to_install(models, make, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtra, match=r"llguidance.*pip install 'tuningfork\[local\]'"):
        models["chat"].generate([ask(make, OneOf(LABELS))])
    assert isinstance(models["chat"].generate([GenerateRequest(make.prompt("a"), 2)])[0], Answer)
