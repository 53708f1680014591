"""Nothing heavy at the door: each check runs in a process of its own, where nothing was imported before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "numpy",
    "pandas",
    "sklearn",
    "scipy",
    "pyarrow",
    "altair",
    "datasketch",
    "requests",
)

REPORT_LOADED = f"""
import json, sys
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}} & set({HEAVY!r}))))
"""


def loaded_after(code: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", code + REPORT_LOADED], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_the_check_sees_a_heavy_library() -> None:
    assert loaded_after("import numpy") == ["numpy"]


def test_import_is_light() -> None:
    assert loaded_after("import tuningfork") == []


@pytest.mark.parametrize(
    "verb", ["", "compare", "init", "check", "report", "predict", "prompt", "export", "models", "methods", "doctor"]
)
def test_help_is_light(verb: str) -> None:
    arguments = [word for word in (verb, "--help") if word]
    code = f"from tuningfork.cli import main\nmain({arguments!r}, standalone_mode=False)\n"
    assert loaded_after(code) == []


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("tuningfork.methods", {"torch", "transformers", "peft"}),
        ("tuningfork.models", {"torch", "transformers", "peft"}),
        ("tuningfork.race.run", {"torch", "transformers", "peft"}),
        ("tuningfork.decide", {"torch", "transformers", "peft"}),
        ("tuningfork.report.html", {"torch", "transformers", "peft"}),
    ],
)
def test_rooms_above_the_engine_start_without_torch(module: str, never: set[str]) -> None:
    assert not never & set(loaded_after(f"import {module}\n"))
