"""The main job from the command line, on the fake models."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
FAST = ("--models", "fake,fake-encoder", "--methods", "majority,zero_shot,head", "--budget", "30")


def last_json(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.rstrip("\n").splitlines()[-1])
    return found


def test_a_task_file(cli: Cli, small_task: Path) -> None:
    result = cli("compare", small_task, "--json")
    assert result.exit_code == 0, result.output
    verdict = last_json(result.stdout)
    run = Path(verdict["run"])
    assert verdict == {"run": str(run), **json.loads((run / "verdict.json").read_text(encoding="utf-8"))}
    assert {"log.jsonl", "predictions.parquet", "report.html"} <= {path.name for path in run.iterdir()}
    assert "Plan: " in result.stdout and f"Report: {run / 'report.html'}" in result.stdout
    assert verdict["sentence"].split(".")[0].split()[0] in result.stdout


def test_a_bare_table_works_at_once_and_is_written_down(cli: Cli, small_task: Path) -> None:
    small_task.unlink()
    first = cli("compare", "tickets.csv", *FAST, "--json")
    assert first.exit_code == 0, first.output
    written = Path("tickets.task.yaml").read_text(encoding="utf-8")
    assert "target: team" in written and "tickets.task.yaml" in first.stdout

    Path("tickets.task.yaml").write_text(written.replace("seed: 0", "seed: 7"), encoding="utf-8")
    second = cli("compare", "tickets.csv", *FAST, "--json")
    assert "Used tickets.task.yaml" in second.stdout
    assert "seed: 7" in Path("tickets.task.yaml").read_text(encoding="utf-8"), (
        "a file that is there is never overwritten"
    )


def test_flags_reach_the_race(cli: Cli, small_task: Path) -> None:
    result = cli(
        "compare", small_task, "--methods", "majority,head", "--models", "fake-encoder", "--seed", "3", "--json"
    )
    verdict = last_json(result.stdout)
    assert {row["candidate"] for row in verdict["leaderboard"]} == {"majority", "head@fake-encoder"}
    started = json.loads((Path(verdict["run"]) / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert started["task"]["seed"] == 3


def test_quiet_prints_the_verdict_only(cli: Cli, small_task: Path) -> None:
    lines = cli("compare", small_task, *FAST, "--quiet").stdout.splitlines()
    assert len(lines) == 2 and lines[1].startswith("Report: ")


@pytest.mark.parametrize(("gate", "code"), [("0.0", 0), ("1.01", 3)])
def test_a_gate(cli: Cli, small_task: Path, gate: str, code: int) -> None:
    result = cli("compare", small_task, *FAST, "--quiet", "--fail-under", gate)
    assert result.exit_code == code
    assert ("Gate not met" in result.stderr) == (code == 3)


@pytest.mark.slow
def test_the_same_plan_gives_the_same_verdict(cli: Cli, small_task: Path) -> None:
    first = last_json(cli("compare", small_task, "--json").stdout)
    again = last_json(cli("compare", small_task, "--json", "--plan", first["run"]).stdout)
    assert again["sentence"] == first["sentence"]
    assert [row["test"] for row in again["leaderboard"]] == [row["test"] for row in first["leaderboard"]]
    assert (first["test_looks"], again["test_looks"]) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give either FILE or --resume RUN"),
        (("nowhere.csv",), "nowhere.csv"),
        (("nowhere.yaml",), "nowhere.yaml"),
        (("task.yaml", "--budget", "ligth"), "Did you mean 'light'"),
        (("task.yaml", "--methods", "zero_shut"), "Did you mean 'zero_shot'"),
        (("task.yaml", "--models", "fak"), "Did you mean 'fake'"),
        (("task.yaml", "--target", "taem"), "Did you mean 'team'"),
        (("--resume", "nowhere"), "'nowhere' is no run"),
        (("task.yaml", "--plan", "nowhere"), "'nowhere' is no run"),
    ],
)
def test_mistakes_are_letters_and_leave_nothing(
    cli: Cli, small_task: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = cli("compare", *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr and "Traceback" not in result.stderr
    assert not list(Path("runs").glob("*")), "a race that never began leaves no folder"


def test_a_method_that_crashes_fails_alone(cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("tuningfork.methods.zero_shot.ZeroShot.__call__", crash)
    verdict = last_json(cli("compare", small_task, "--json").stdout)
    rows = {row["candidate"]: row for row in verdict["leaderboard"]}
    assert rows["zero_shot@fake"]["status"] == "failed" and "on purpose" in rows["zero_shot@fake"]["why"]
    assert verdict["recommended"]["candidate"] != "zero_shot@fake"


SLOW_LORA = """
import sys, time
from tuningfork.methods.lora import Lora
from tuningfork.cli import main
real = Lora.__call__
def slow(self, start, bench):
    open("reached", "w").close()
    time.sleep(60)
    return real(self, start, bench)
Lora.__call__ = slow
main(sys.argv[1:], prog_name="tuningfork")
"""


def test_ctrl_c_says_how_to_go_on_and_nothing_is_done_twice(cli: Cli, small_task: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_LORA, "compare", "task.yaml"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: Path("reached").exists())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    run = next(Path("runs").iterdir())
    assert process.returncode == 130 and f"tuningfork compare --resume {run}" in errors and "Traceback" not in errors

    before = born(run)
    assert "head@fake-encoder" in before and "lora@fake" not in before
    result = cli("compare", "--resume", run, "--json")
    assert result.exit_code == 0, result.output
    assert born(run)[: len(before)] == before and "lora@fake" in born(run)
    takes = [(e["trial"], e["stage"], e["seed"], e["fold"]) for e in events(run) if e["type"] == "born"]
    assert len(takes) == len(set(takes)), "nothing is adapted twice for the same fold, seed and stage"
    assert last_event(run)["type"] == "ended" and (run / "report.html").exists()


STUBBORN_LORA = SLOW_LORA.replace(
    "    time.sleep(60)\n",
    "    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n"
    "        open('ignored', 'w').close()\n        time.sleep(60)\n",
)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(cli: Cli, small_task: Path) -> None:
    """Also where something on the way swallows the first one."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN_LORA, "compare", "task.yaml"], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: Path("reached").exists())
        process.send_signal(signal.SIGINT)
        wait_for(lambda: Path("ignored").exists())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
    finally:
        process.kill()
        process.wait()
    result = cli("compare", "--resume", "last", "--json")
    assert result.exit_code == 0 and last_event(Path(last_json(result.stdout)["run"]))["type"] == "ended"


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def last_event(run: Path) -> dict[str, Any]:
    return events(run)[-1]


def born(run: Path) -> list[str]:
    return [event["trial"] for event in events(run) if event["type"] == "born"]


def wait_for(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@pytest.mark.parametrize("flag", [("--seed", "3"), ("--budget", "heavy"), ("--methods", "head"), ("--plan", "last")])
def test_what_would_make_it_another_race_is_refused_beside_resume(cli: Cli, raced: Path, flag: tuple[str, str]) -> None:
    refused = cli("compare", "--resume", raced, *flag)
    assert refused.exit_code == 2 and f"takes no {flag[0]}" in refused.stderr


def test_a_disk_that_is_full_stops_the_race_and_fails_no_road(
    cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuningfork.methods.zero_shot import ZeroShot

    def full(self: Any, start: Any, bench: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ZeroShot, "__call__", full)
        stopped = cli("compare", small_task, "--methods", "majority,zero_shot")
    assert stopped.exit_code == 2 and "Free some space" in stopped.stderr
    on = cli("compare", "--resume", "last", "--json")
    assert on.exit_code == 0
    run = Path(last_json(on.stdout)["run"])
    assert "zero_shot@fake" in born(run) and not any(e.get("status") == "failed" for e in events(run))


def test_a_table_that_may_not_be_read_is_no_full_disk(
    cli: Cli, small_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refused)
    result = cli("check", "tickets.csv")
    assert result.exit_code == 2 and "may not be read" in result.stderr
