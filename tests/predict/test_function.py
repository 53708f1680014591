from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tuningfork.candidate import Function
from tuningfork.errors import UnknownName, UserError
from tuningfork.functions import load_function
from tuningfork.predict import predict

MODULE = """
import helper_beside
import sys

def route(inputs):
    text = inputs["text"]
    if text == "raise":
        raise RuntimeError("out of ideas")
    if text == "exit":
        sys.exit(3)
    if text == "late":
        import helper_too
        return helper_too.ANSWER
    return {"a": "yes", "dict": {"answer": "no", "confidence": 0.5}, "none": None, "list": ["yes"],
            "other": "maybe", "bad": {"answer": "no", "confidence": "very"}}[text]

NUMBER = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "router.py").write_text(MODULE)
    (tmp_path / "helper_beside.py").write_text("")
    (tmp_path / "helper_too.py").write_text("ANSWER = 'yes'")
    return str(tmp_path)


def test_answers_and_failures_item_by_item(folder: str) -> None:
    before = list(sys.path)
    candidate = Function("router:route", folder, ("yes", "no"))
    texts = ["a", "dict", "none", "list", "other", "raise", "exit", "bad", "late", "unthought of"]
    found = dict(zip(texts, predict(candidate, {}, [{"text": t} for t in texts]), strict=True))
    assert found["a"].answer == found["late"].answer == "yes"
    assert (found["dict"].answer, found["dict"].confidence) == ("no", 0.5)
    assert "out of ideas" in found["raise"].failure.message and "RuntimeError" in found["raise"].failure.message
    assert found["exit"].failure.kind == found["unthought of"].failure.kind == "raised"
    assert {t: found[t].failure.kind for t in ("none", "list", "bad", "other")} == {
        "none": "no answer",
        "list": "no answer",
        "bad": "no answer",
        "other": "unknown label",
    }
    assert "'maybe'" in found["other"].failure.message
    assert sys.path == before


def test_what_cannot_be_had(folder: str) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'route'"):
        load_function("router:rout", folder)
    with pytest.raises(UserError, match="not a function"):
        load_function("router:NUMBER", folder)
    with pytest.raises(UserError, match=r"ruter.*can't be imported"):
        load_function("ruter:route", folder)
    (Path(folder) / "broken.py").write_text("1 / 0")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        load_function("broken:route", folder)
    assert folder not in sys.path


def test_a_module_named_like_another_does_not_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def f(inputs): return 'mine'")
    assert load_function("json:f", str(tmp_path))({}) == "mine"
    assert sys.modules["json"] is json and json.loads("1") == 1


def test_installed_modules_are_found_too(tmp_path: Path) -> None:
    assert load_function("json:dumps", str(tmp_path)) is json.dumps
