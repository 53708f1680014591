"""The benchmark of reliability in small: it runs, it counts, it says what does not hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability.py"


@pytest.mark.slow
def test_a_few_calls_are_all_accounted_for() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--calls", "96", "--at-once", "16"], capture_output=True, text=True, timeout=120
    )
    (row,) = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert done.returncode == 0 and row["holds"] and row["outcomes"] == {"answered": 96}
    assert row["delivered"] == 96 and row["attempts"] > 96 and row["most_at_once"] <= 16
