"""A race with answers that were given before: the same in everything but the clock on the wall."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tuningfork.log import Ended, Noted, RunLog
from tuningfork.model import Failure, Usage
from tuningfork.models.cache import AnswerCache
from tuningfork.models.fake import FakeModel
from tuningfork.probes.latency import Latency

Tracks = Callable[..., Any]
METHODS = ("majority", "zero_shot", "few_shot", "few_shot+calibrate", "nearest_shots", "head", "lora")
CLOCK = {"seconds", "max_seconds", "wall", "time"}


class Sharing(FakeModel):
    """Worth a cache, and charges what the requests of a call share to its first one."""

    def __init__(self, id: str, **more: Any) -> None:
        super().__init__(id, **more)
        self.cacheable = True

    def score(self, requests):
        found = super().score(requests)
        for index, entry in enumerate(found):
            if not isinstance(entry, Failure):
                charged = Usage(tokens_in=5 if index else 77, tokens_reused=50, seconds=0.001)
                found[index] = replace(entry, usage=charged)
        return found


def models() -> dict[str, Sharing]:
    return {"fake": Sharing("fake"), "fake-encoder": Sharing("fake-encoder", kind="encoder")}


def clockless(log: RunLog) -> list[Any]:
    """The events without what a clock said; of usage, the model's own seconds stay."""

    def kept(value: Any, inside: str = "") -> Any:
        if isinstance(value, Mapping):
            return {k: kept(v, k) for k, v in value.items() if k not in CLOCK or (inside == "usage" and k == "seconds")}
        return [kept(part) for part in value] if isinstance(value, list | tuple) else value

    return [
        (event.type, json.loads(json.dumps(kept(asdict(event)), default=list)))
        for event in log.events
        if event.type not in ("probed", "ended")
    ]


def rows(log: RunLog) -> list[Any]:
    return [replace(row, seconds=0.0) for row in log.rows]


def test_warm_and_cold_are_one_race(track: Tracks, tmp_path: Path) -> None:
    raced, found = [], []
    for name in ("cold", "warm"):
        here = track(name, models=models())
        with AnswerCache(tmp_path / "answers.sqlite", 1 << 26) as cache:
            log = here.run(METHODS, cache=cache)
        raced.append((clockless(log), rows(log), here.timeless(log), log.of(Ended)[0].usage))
        asked = [sum(model.requests[call] for model in here.models.values()) for call in ("score", "embed")]
        found.append((log.of(Ended)[0].cache, asked))
    assert raced[0] == raced[1]
    cold, warm = found
    assert cold[0]["asked"] == warm[0]["asked"] == warm[0]["found"] > cold[0]["found"]
    assert cold[1][0] > 0 and warm[1] == [0, 0], "not one question was asked again"


def test_without_a_cache_the_verdict_is_the_same(track: Tracks, tmp_path: Path) -> None:
    """Where each request is charged by itself, the whole log is."""
    plain = {name: FakeModel(name, kind=m.kind) for name, m in models().items()}
    for model in plain.values():
        model.cacheable = True
    with AnswerCache(tmp_path / "answers.sqlite", 1 << 26) as cache:
        with_one = track("with", models=plain).run(METHODS, cache=cache)
    without = track("without").run(METHODS)
    assert clockless(with_one) == clockless(without) and rows(with_one) == rows(without)
    assert without.of(Ended)[0].cache == {}


def test_time_is_taken_of_the_model_itself(track: Tracks, tmp_path: Path) -> None:
    """The speeds of the plan and the latency of finalists, on a cache that knows everything."""
    asked = []
    for name in ("cold", "warm"):
        here = track(name, models=models())
        with AnswerCache(tmp_path / "answers.sqlite", 1 << 26) as cache:
            here.run(
                ("majority", "zero_shot", "head"), plan=None, probes=[Latency(requests=6, warm_ups=0)], cache=cache
            )
        asked.append([here.models["fake"].calls["score"], here.models["fake-encoder"].calls["embed"]])
    probing, latency = 4, 6
    assert asked[1] == [probing + latency] * 2 and asked[0] > asked[1]


def test_trouble_with_the_cache_is_noted_and_the_race_goes_on(track: Tracks, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with AnswerCache(tmp_path / "file" / "answers.sqlite", 1 << 26) as cache:
        log = track("run", models=models()).run(("majority", "zero_shot"), cache=cache)
    (said,) = [note.text for note in log.of(Noted) if "cache of answers" in note.text]
    assert "went on without it" in said
    assert track("other", models=models()).timeless(log) == track("a", models=models()).timeless(
        track("b", models=models()).run(("majority", "zero_shot"))
    )


def test_a_stopped_race_goes_on_with_what_was_known(track: Tracks, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if event.type == "measured" and event.trial == "head@fake-encoder":
            raise Stop

    here = track("stopped", models=models())
    with AnswerCache(tmp_path / "answers.sqlite", 1 << 26) as cache, pytest.raises(Stop):
        here.run(METHODS, cache=cache, watch=stop)
    with AnswerCache(tmp_path / "answers.sqlite", 1 << 26) as cache:
        resumed = here.run(METHODS, cache=cache, resume=True)
    with AnswerCache(tmp_path / "other.sqlite", 1 << 26) as cache:
        whole = track("whole", models=models()).run(METHODS, cache=cache)
    assert here.timeless(resumed) == here.timeless(whole)
