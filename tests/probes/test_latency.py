from __future__ import annotations

import time
from pathlib import Path

import pytest

from tuningfork.candidate import Constant, Function
from tuningfork.errors import UnknownName
from tuningfork.metrics import open_metric
from tuningfork.probes import menu, open_probe
from tuningfork.probes.latency import Latency
from tuningfork.task import Example

ACCURACY = open_metric("accuracy")


def examples(texts: str) -> list[Example]:
    return [Example(text, {"text": text}, "x") for text in texts]


def test_it_is_on_the_menu() -> None:
    assert "latency" in menu() and open_probe("latency") == Latency()
    with pytest.raises(UnknownName, match="latency"):
        open_probe("latncy")


def test_single_requests_after_warm_ups_beginning_again(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nseen = []\n"
        "def answer(inputs):\n"
        "    seen.append(inputs['text'])\n"
        "    time.sleep(0.05 if len(seen) <= 3 else 0.004 if len(seen) % 10 else 0.02)\n"
        "    return 'x'\n"
        "def count(inputs): return ' '.join(seen)\n"
    )
    begin = time.perf_counter()
    found = open_probe("latency")(Function("slow:answer", str(tmp_path)), {}, examples("ab"), ACCURACY)
    assert set(found) == {"p50_ms", "p95_ms", "mean_ms", "n"} and found["n"] == 50
    assert 4 <= found["p50_ms"] < 20 <= found["p95_ms"]  # a tenth takes 20 ms; the warm-ups of 50 ms don't count
    assert found["p50_ms"] < found["mean_ms"] < 1000 * (time.perf_counter() - begin) / 50


def test_failures_have_no_latency(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def answer(inputs): return inputs['text'] if inputs['text'] == 'a' else None")
    found = Latency(requests=10)(Function("wrong:answer", str(tmp_path)), {}, examples("ab"), ACCURACY)
    assert found["n"] == 5
    assert Latency()(Function("wrong:answer", str(tmp_path)), {}, examples("b"), ACCURACY) == {"n": 0.0}


def test_one_request_and_none() -> None:
    found = Latency(requests=1)(Constant("a"), {}, examples("t"), ACCURACY)
    assert found["p50_ms"] == found["p95_ms"] == found["mean_ms"]
    with pytest.raises(ValueError, match="at least one"):
        Latency()(Constant("a"), {}, [], ACCURACY)


def test_a_slow_candidate_is_asked_fewer_times(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ndef answer(inputs): time.sleep(0.01); return 'x'")
    found = Latency(fewest=5, most_seconds=0.0)(Function("slow:answer", str(tmp_path)), {}, examples("a"), ACCURACY)
    assert found["n"] == 5 and found["p50_ms"] >= 10
