"""Names with settings, as a task file writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.errors import TaskError
from tuningfork.spec import fits, parse


@pytest.mark.parametrize(
    ("spec", "name", "settings"),
    [
        ("lora", "lora", {}),
        ("lora()", "lora", {}),
        ("lora(rank=16, dora=true)", "lora", {"rank": 16, "dora": True}),
        ("lora(learning_rate=1e-4)", "lora", {"learning_rate": 1e-4}),
        ("m.py:f(range=[0, 10], higher_is_better=false)", "m.py:f", {"range": [0, 10], "higher_is_better": False}),
        (
            'judge(model=openai:m@https://host/v1, question="Is it short, and (mostly) polite?")',
            "judge",
            {"model": "openai:m@https://host/v1", "question": "Is it short, and (mostly) polite?"},
        ),
        (
            "judge(question=Isn't it polite?, reference=false)",
            "judge",
            {"question": "Isn't it polite?", "reference": False},
        ),
    ],
)
def test_it_is_read(spec: str, name: str, settings: dict[str, object]) -> None:
    assert parse(spec, "method") == (name, settings)


@pytest.mark.parametrize("spec", ["lora(rank)", "lora(=3)", "lora(a b=3)"])
def test_what_is_no_setting_is_told(spec: str) -> None:
    with pytest.raises(TaskError, match="is no setting"):
        parse(spec, "method")
    with pytest.raises(TaskError, match="Put quotes"):
        parse("lora(a=[1)", "method")


@given(st.text(alphabet="ab,()[] '", max_size=20))
def test_a_text_in_quotes_is_taken_as_it_stands(text: str) -> None:
    assert parse(f'judge(question="{text}", model=m)', "metric") == ("judge", {"question": text, "model": "m"})


@pytest.mark.parametrize(("value", "usual", "fit"), [(2, 1, True), (0, 1, False), (True, 1, False), ("a", "", True)])
def test_what_fits(value: object, usual: object, fit: bool) -> None:
    assert fits(value, usual) is fit
