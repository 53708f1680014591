from __future__ import annotations

from pathlib import Path

import pytest

from tuningfork.errors import TaskError, UnknownName
from tuningfork.methods import auto, open_method
from tuningfork.methods.few_shot import FewShot
from tuningfork.task import BUDGETS, Columns, Sources, Task


def task(kind: str) -> Task:
    return Task("t", kind, Sources("x"), Columns(("text",), "label"))  # type: ignore[arg-type]


def test_unknown_names_get_the_menu() -> None:
    with pytest.raises(UnknownName, match=r"'few_shots'.*Did you mean 'few_shot'.*zero_shot"):
        open_method("few_shots+calibrate")


def test_a_method_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_methods.py").write_text(
        "from tuningfork.methods.few_shot import FewShot\nsmall = FewShot(per_class=1)\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert open_method("my_methods:small") == FewShot(per_class=1)
    assert open_method("my_methods:FewShot") == FewShot()
    assert open_method("my_methods:small+calibrate").name == "few_shot+calibrate"
    with pytest.raises(TaskError, match="no method"):
        open_method("my_methods:number")
    with pytest.raises(TaskError, match="can't be imported"):
        open_method("no_such_module:x")


def test_auto_names_open_and_fit_the_kind() -> None:
    for kind in ("classification", "generation"):
        for budget in BUDGETS.values():
            for name in auto(task(kind).with_(budget=budget), 100):
                assert kind in open_method(name).kinds
    light, medium, heavy = (
        auto(task("classification").with_(budget=BUDGETS[name]), 100) for name in ("light", "medium", "heavy")
    )
    assert set(light) < set(medium) < set(heavy)
    assert "prefix_tuning" in medium and "prefix_tuning" not in light and "full" in heavy
    assert "nearest_shots+calibrate" in auto(task("classification"), 100)
    assert "lora" in auto(task("generation"), 100) and "lora" not in auto(task("generation"), 15)
