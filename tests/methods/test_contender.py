from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuningfork.candidate import Decoding, Function, Single
from tuningfork.errors import TaskError, UnknownName, UserError
from tuningfork.method import Bench, Share, no_model, settings
from tuningfork.methods import open_contender, open_method
from tuningfork.metrics import open_metric
from tuningfork.model import Constraint, JsonSchema, OneOf, Regex
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.prompt import default_template
from tuningfork.task import Columns, Example, Sources, Task

PROMPT = '- {role: system, content: "Say a or b."}\n- {role: user, content: "Text: {{text}}"}\n'


def task(folder: Path) -> Task:
    columns = Columns(("text",), "label")
    return Task(
        "t", "classification", Sources("x"), columns, labels=("a", "b"), metrics=("accuracy",), folder=str(folder)
    )


def bench(folder: Path) -> Bench:
    train = tuple(Example(str(i), {"text": f"{'ab'[i % 2]} text {i}"}, "ab"[i % 2]) for i in range(20))
    models = {"fake": FakeModel()}
    return Bench(task(folder), train, (), models, open_metric("accuracy"), lambda: Share(10**6, 10**6, 100.0))


def start(folder: Path) -> Single:
    return Single("fake", ("a", "b"), ("a", "b"), default_template(task(folder)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("our-prompt.yaml", PROMPT),
        ("our-prompt.yml", "messages:\n" + "".join(f"  {line}\n" for line in PROMPT.splitlines())),
        (
            "our-prompt.json",
            json.dumps([{"role": "system", "content": "Say a or b."}, {"role": "user", "content": "Text: {{text}}"}]),
        ),
    ],
)
def test_a_prompt_file_is_asked_as_it_stands(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    method = open_contender(name, task(tmp_path))
    assert (method.name, method.family, method.needs) == ("yours:our-prompt", "yours", {"answer"})
    found = method(start(tmp_path), bench(tmp_path))
    assert isinstance(found, Single) and found.shots == () and found.answer_by == "score" and found.prompt
    assert [m.content for m in found.prompt.messages] == ["Say a or b.", "Text: {{text}}"]
    assert json.dumps(settings(method))


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("- {role: user, content: '{{txt}}'}", UnknownName, r"'txt' in .*p\.yaml.*Did you mean 'text'"),
        ("- {role: usr, content: '{{text}}'}", UnknownName, r"role 'usr' in .*message 1.*Did you mean 'user'"),
        ("- role: user\n  content: {{text}}", TaskError, "quotes"),
        ("hello", TaskError, "no chat messages"),
        ("[]", TaskError, "no chat messages"),
        ("", TaskError, "no chat messages"),
        ("- hello", TaskError, "message 1"),
        ("- {role: user, content: 3}", TaskError, "message 1"),
        ("- {role: user, content: '{{text}}'}\n- {role: assistant, content: a}", TaskError, "End with the user"),
        ("- {role: user, content: Pick.}", TaskError, "names no column"),
    ],
)
def test_a_prompt_file_that_will_not_do(tmp_path: Path, text: str, error: type[Exception], why: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(error, match=why):
        open_contender("p.yaml", task(tmp_path))


DECODED = """
messages:
  - {role: user, content: "Text: {{text}}"}
decoding:
  max_tokens: 9
  temperature: 0.5
  top_p: 0.9
  stop: ["\\n"]
  constraint: %s
"""


@pytest.mark.parametrize(
    ("said", "constraint"),
    [
        ("{one_of: [a, b]}", OneOf(("a", "b"))),
        ("{regex: '[ab]+'}", Regex("[ab]+")),
        ("{json_schema: {type: object}}", JsonSchema('{"type": "object"}')),
        ("""{json_schema: '{"type": "object"}'}""", JsonSchema('{"type": "object"}')),
    ],
)
def test_a_prompt_file_may_say_how_answers_are_written(tmp_path: Path, said: str, constraint: Constraint) -> None:
    (tmp_path / "p.yaml").write_text(DECODED % said)
    method = open_contender("p.yaml", task(tmp_path))
    found = method(start(tmp_path), bench(tmp_path))
    assert isinstance(found, Single) and found.decoding == Decoding(9, 0.5, ("\n",), 0.9, constraint)
    assert json.dumps(settings(method))


@pytest.mark.parametrize(
    ("said", "error", "why"),
    [
        ("[1]", TaskError, "`decoding` is"),
        ("{max_token: 3}", UnknownName, "Did you mean 'max_tokens'"),
        ("{max_tokens: 0}", TaskError, r"`decoding\.max_tokens` is 0"),
        ("{max_tokens: true}", TaskError, "whole number"),
        ("{temperature: -1}", TaskError, r"temperature` is -1"),
        ("{temperature: .nan}", TaskError, r"temperature` is nan"),
        ("{top_p: 0}", TaskError, "above 0 and at most 1"),
        ("{stop: end}", TaskError, "list of texts"),
        ("{stop: ['']}", TaskError, "none of them empty"),
        ("{constraint: a}", TaskError, "one_of"),
        ("{constraint: {one_of: a}}", TaskError, "one_of, regex, json_schema"),
        ("{constraint: {grammar: a}}", TaskError, "one_of, regex, json_schema"),
    ],
)
def test_a_decoding_that_will_not_do(tmp_path: Path, said: str, error: type[Exception], why: str) -> None:
    (tmp_path / "p.yaml").write_text("messages: [{role: user, content: '{{text}}'}]\ndecoding: " + said)
    with pytest.raises(error, match=why):
        open_contender("p.yaml", task(tmp_path))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match=r"p\.json can't be read"):
        open_contender("p.json", task(tmp_path))


def test_a_contender_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "our-prompt.yaml").write_text(PROMPT)
    with pytest.raises(UnknownName, match=r"Did you mean 'our-prompt\.yaml'"):
        open_contender("our-promt.yaml", task(tmp_path))
    with pytest.raises(TaskError, match=r"folder .*nowhere is not there"):
        open_contender("nowhere/p.yaml", task(tmp_path))
    (tmp_path / "p.txt").write_text("x")
    with pytest.raises(TaskError, match=r"prompt file .*adapter folder.*module:function"):
        open_contender("p.txt", task(tmp_path))


def test_an_adapter_folder_is_put_on(tmp_path: Path) -> None:
    at = bench(tmp_path)
    trained = open_method("lora")(start(tmp_path), at)
    assert isinstance(trained, Single) and trained.adapter
    folder = tmp_path / "our-adapter"
    folder.mkdir()
    for name, blob in trained.adapter.files.items():
        (folder / name).write_bytes(blob.read())
    method = open_contender("our-adapter", task(tmp_path))
    assert method.name == "yours:our-adapter" and method.family == "yours" and json.dumps(settings(method))
    found = method(start(tmp_path), at)
    inputs = [e.inputs for e in at.train]
    assert [p.nats for p in predict(found, at.models, inputs)] == [p.nats for p in predict(trained, at.models, inputs)]
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(TaskError, match=r"adapter_model\.safetensors not there"):
        open_contender("our-adapter", task(tmp_path))


def test_a_function_needs_no_model(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text("def route(inputs): return inputs['text'][0]")
    method = open_contender("router:route", task(tmp_path))
    assert method.name == "yours:router.route" and not method.needs and json.dumps(settings(method))
    found = method(no_model(("a", "b")), bench(tmp_path))
    assert found == Function("router:route", str(tmp_path), ("a", "b"))
    assert [p.answer for p in predict(found, {}, [{"text": "b text"}])] == ["b"]
    with pytest.raises(UnknownName, match="Did you mean 'route'"):
        open_contender("router:rote", task(tmp_path))
    with pytest.raises(UserError, match="can't be imported"):
        open_contender("ruter:route", task(tmp_path))
