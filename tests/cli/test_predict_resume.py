"""What was stopped goes on, and what comes of it is what an unbroken run gives, byte for byte."""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuningfork.cli import part as part_
from tuningfork.cli.compare import INTERRUPTED

Cli = Callable[..., Any]
BLOCK = 80
"""Characters in a block here, so that few rows make many blocks."""


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks, and each is safe as soon as it is answered."""
    monkeypatch.setattr(importlib.import_module("tuningfork.predict.blocks"), "CHARACTERS", BLOCK)
    monkeypatch.setattr(part_, "SECONDS_BETWEEN_STATES", 0.0)


def rows(count: int, stops: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    last = ["stop"] * stops + ["break", "ü \n,"] + [""] * count
    return [{"id": n, "text": f"row {n} {word}"} for n, word in enumerate(rng.sample(last[:count], count))]


def state(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{out}.part.json").read_text(encoding="utf-8"))
    return found


def left() -> set[str]:
    return {path.name for path in Path().iterdir() if ".part" in path.name}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("in.csv", "out.csv"),
        ("in.tsv", "out.jsonl"),
        ("in.jsonl", "out.tsv"),
        ("in.jsonl", "out.jsonl"),
        ("in.jsonl", "out.parquet"),
        ("in.parquet", "out.parquet"),
        ("in.parquet", "out.csv"),
    ],
)
def test_stopped_any_number_of_times(cli: Cli, contender: Any, source: str, out: str, seed: int) -> None:
    stops = 5
    contender.write(Path(source), rows(40, stops, seed))
    stopped = contender.export(Path("stopped"))
    for _ in range(stops):
        result = cli("predict", stopped, "-i", source, "-o", out)
        assert result.exit_code == INTERRUPTED, result.output
        assert "Stopped after row" in result.stderr and f"-i {source} -o {out}" in result.stderr
        assert not Path(out).exists()
    result = cli("predict", stopped, "-i", source, "-o", out)
    assert result.exit_code == 0 and "going on after row" in result.stderr and "40 rows answered" in result.stderr
    assert "1 of them failed" in result.stderr
    whole = "whole" + Path(out).suffix
    assert cli("predict", stopped, "-i", source, "-o", whole).exit_code == 0
    assert Path(out).read_bytes() == Path(whole).read_bytes()
    assert left() == set()


@pytest.mark.usefixtures("small_blocks")
def test_a_candidate_with_a_model(cli: Cli, raced: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make.csv(Path("in.csv"), [{"text": row["text"]} for row in make.rows(30)])
    left_to_add, add = [3], part_.Part.add

    def add_some(part: part_.Part, *block: Any) -> None:
        left_to_add[0] -= 1
        if left_to_add[0] == 0:
            raise KeyboardInterrupt
        add(part, *block)

    monkeypatch.setattr(part_.Part, "add", add_some)
    assert cli("predict", raced, "-i", "in.csv", "-o", "out.csv").exit_code == INTERRUPTED
    result = cli("predict", raced, "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == 0 and "going on after row 2\n" in result.stderr, result.output
    assert cli("predict", raced, "-i", "in.csv", "-o", "whole.csv").exit_code == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_killed(cli: Cli, contender: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` of a real process, twice, as soon as something more is safe."""
    monkeypatch.chdir(tmp_path)
    contender.export(tmp_path / "yours")
    Path("yours/slow").touch()
    contender.write(tmp_path / "in.csv", [{"text": f"{n} x"} for n in range(2500)])
    safe = 0
    for _ in range(2):
        process = subprocess.Popen(contender.command("yours", "-i", "in.csv", "-o", "out.csv", "--quiet"))
        before, end = safe, time.monotonic() + 60
        while safe == before and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
            safe = state("out.csv")["rows"] if Path("out.csv.part.json").exists() else 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL and before < safe < 2500
    Path("yours/slow").unlink()
    with Path("out.csv.part").open("ab") as file:
        file.write(b"half a ro")  # as a block does that was being written
    result = cli("predict", "yours", "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == 0 and f"going on after row {safe:,}" in result.stderr
    assert cli("predict", "yours", "-i", "in.csv", "-o", "whole.csv").exit_code == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes() and left() == set()


@pytest.fixture
def stopped(cli: Cli, contender: Any, small_blocks: None) -> Path:
    """A job that was stopped at its row 31: in.csv -> out.csv, answered by the export `yours`."""
    contender.write(Path("in.csv"), [{"text": f"row {n}{' stop' if n == 30 else ''}"} for n in range(40)])
    yours = contender.export(Path("yours"))
    assert cli("predict", yours, "-i", "in.csv", "-o", "out.csv").exit_code == INTERRUPTED
    assert 0 < state("out.csv")["rows"] <= 30
    return Path(yours)


def goes_on(cli: Cli, source: str = "in.csv", count: int = 40) -> None:
    result = cli("predict", "yours", "-i", source, "-o", "out.csv")
    assert result.exit_code == 0 and "going on after row" in result.stderr, result.output
    assert cli("predict", "yours", "-i", source, "-o", "whole.csv").exit_code == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert len(Path("out.csv").read_text(encoding="utf-8").splitlines()) == count + 1


def refused(cli: Cli, *says: str, run: str = "yours", source: str = "in.csv", more: tuple[str, ...] = ()) -> None:
    before = Path("out.csv.part").read_bytes()
    result = cli("predict", run, "-i", source, "-o", "out.csv", *more)
    assert result.exit_code == 2 and "Traceback" not in result.output
    for words in (*says, "--restart", "--out"):
        assert words in result.stderr, result.stderr
    assert Path("out.csv.part").read_bytes() == before and not Path("out.csv.part.lock").exists()


def test_a_source_that_moved_or_grew_or_was_mended_behind(cli: Cli, stopped: Path) -> None:
    text = Path("in.csv").read_text(encoding="utf-8")
    Path("in.csv").unlink()
    Path("other.csv").write_text(text.replace("row 39", "row mended") + "row 40\n", encoding="utf-8")
    goes_on(cli, "other.csv", 41)


def test_other_rows(cli: Cli, stopped: Path) -> None:
    text = Path("in.csv").read_text(encoding="utf-8")
    Path("in.csv").write_text(text.replace("row 3\n", "row three\n"), encoding="utf-8")
    for _ in range(2):  # being refused leaves all as it was
        refused(cli, "begins with other rows", "in.csv")
    Path("in.csv").write_text("\n".join(text.splitlines()[:5]) + "\n", encoding="utf-8")
    refused(cli, "has only 4 rows")


def test_stopped_while_it_looks_the_answered_rows_over(
    cli: Cli, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state("out.csv")

    def stop(row: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(part_, "_bytes", stop)
        result = cli("predict", stopped, "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == INTERRUPTED and state("out.csv") == before
    goes_on(cli)


def test_a_state_without_its_part_is_nothing(cli: Cli, stopped: Path) -> None:
    Path("out.csv.part").unlink()
    result = cli("predict", "yours", "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == 0 and "going on" not in result.stderr and left() == set()


def test_the_same_rows_in_another_format(cli: Cli, contender: Any, small_blocks: None) -> None:
    """Rows of a Parquet file are not kept beside their answers, so they must come from one in the end."""
    given = rows(20, stops=1)
    contender.write(Path("in.parquet"), given)
    contender.write(Path("in.jsonl"), given)
    yours = contender.export(Path("yours"))
    assert cli("predict", yours, "-i", "in.parquet", "-o", "out.parquet").exit_code == INTERRUPTED
    result = cli("predict", yours, "-i", "in.jsonl", "-o", "out.parquet")
    assert result.exit_code == 2 and "of another format" in result.stderr
    Path("in.parquet").rename("moved.parquet")
    assert "going on" in cli("predict", yours, "-i", "moved.parquet", "-o", "out.parquet").stderr


def test_another_candidate(cli: Cli, stopped: Path, contender: Any) -> None:
    contender.export(Path("theirs"), name="theirs")
    refused(cli, "were answered by yours:answer", "asks theirs", run="theirs")


def test_rows_on_stdin_instead(cli: Cli, stopped: Path) -> None:
    refused(cli, "in.csv", "stdin", source="-")


def test_a_part_that_was_cut(cli: Cli, stopped: Path) -> None:
    os.truncate("out.csv.part", 50)
    refused(cli, "has only 50")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}'])
def test_a_state_that_cannot_be_read(cli: Cli, stopped: Path, text: str) -> None:
    Path("out.csv.part.json").write_text(text, encoding="utf-8")
    refused(cli, "out.csv.part.json")


def test_restart(cli: Cli, stopped: Path, contender: Any) -> None:
    contender.export(Path("theirs"), name="theirs")
    result = cli("predict", "theirs", "-i", "in.csv", "-o", "out.csv", "--restart")
    assert result.exit_code == INTERRUPTED and state("out.csv")["name"] == "theirs"  # its own first Ctrl-C
    result = cli("predict", "theirs", "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == 0 and "going on after row" in result.stderr


def test_a_broken_line(cli: Cli, contender: Any, small_blocks: None) -> None:
    """The rows before it are kept, and when it is mended the same command goes on."""
    given = rows(20)
    contender.write(Path("in.jsonl"), given)
    contender.export(Path("yours"))
    lines = Path("in.jsonl").read_text(encoding="utf-8").splitlines()
    Path("in.jsonl").write_text("\n".join([*lines[:13], '{"text": broken', *lines[14:]]) + "\n", encoding="utf-8")
    result = cli("predict", "yours", "-i", "in.jsonl", "-o", "out.jsonl")
    assert result.exit_code == 2 and "line 14 is not valid JSON" in result.stderr
    assert len(Path("out.jsonl.part").read_text(encoding="utf-8").splitlines()) == 13 == state("out.jsonl")["rows"]
    contender.write(Path("in.jsonl"), given)
    assert "going on after row 13" in cli("predict", "yours", "-i", "in.jsonl", "-o", "out.jsonl").stderr
    assert cli("predict", "yours", "-i", "in.jsonl", "-o", "whole.jsonl").exit_code == 0
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_a_row_without_its_column(cli: Cli, contender: Any) -> None:
    Path("in.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"txet": "c"}\n', encoding="utf-8")
    result = cli("predict", contender.export(Path("yours")), "-i", "in.jsonl", "-o", "out.csv")
    assert result.exit_code == 2 and "row 3" in result.stderr and "'text'" in result.stderr
    assert Path("out.csv.part").read_text(encoding="utf-8").splitlines()[-1].startswith("b,B,")


def test_a_row_that_fails_stops_nothing(cli: Cli, contender: Any) -> None:
    contender.write(Path("in.csv"), [{"text": "a"}, {"text": "b break"}, {"text": "c"}])
    result = cli("predict", contender.export(Path("yours")), "-i", "in.csv", "-o", "out.jsonl")
    assert result.exit_code == 0 and "3 rows answered" in result.stderr and "1 of them failed" in result.stderr
    found = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["answer"] for row in found] == ["A", "", "C"]
    assert "this one breaks" in found[1]["failure"] and found[0]["failure"] is None


def test_nothing_to_begin_with_leaves_nothing(cli: Cli, contender: Any) -> None:
    Path("in.jsonl").write_text("broken\n", encoding="utf-8")
    assert cli("predict", contender.export(Path("yours")), "-i", "in.jsonl", "-o", "out.csv").exit_code == 2
    assert left() == set()


def test_stdin_to_a_file_keeps_no_state(cli: Cli, contender: Any, small_blocks: None) -> None:
    yours = contender.export(Path("yours"))
    given = "".join(json.dumps(row) + "\n" for row in rows(40, stops=1))
    result = cli("predict", yours, "-o", "out.csv", input=given)
    assert result.exit_code == INTERRUPTED and "stdin can't be read again" in result.stderr
    assert left() == {"out.csv.part"}
    result = cli("predict", yours, "-o", "out.csv", input=given)
    assert result.exit_code == 0 and "40 rows answered" in result.stderr and left() == set()


def test_stdin_to_stdout_says_how_many(cli: Cli, contender: Any) -> None:
    result = cli("predict", contender.export(Path("yours")), input='{"text": "a stop"}\n')
    assert result.exit_code == INTERRUPTED and "--out FILE" in result.stderr


def test_two_at_once(cli: Cli, contender: Any, tmp_path: Path) -> None:
    from filelock import FileLock

    contender.write(Path("in.csv"), [{"text": "a"}])
    yours = contender.export(Path("yours"))
    with FileLock("out.csv.part.lock"):
        result = cli("predict", yours, "-i", "in.csv", "-o", "out.csv")
    assert result.exit_code == 2 and "Another process is writing 'out.csv'" in result.stderr


def test_an_old_file_stays_until_the_new_one_is_whole(cli: Cli, stopped: Path) -> None:
    Path("out.csv").write_text("old", encoding="utf-8")
    Path("in.csv").write_text(Path("in.csv").read_text(encoding="utf-8") + '"never closed', encoding="utf-8")
    assert cli("predict", "yours", "-i", "in.csv", "-o", "out.csv").exit_code == 2
    assert Path("out.csv").read_text(encoding="utf-8") == "old" and Path("out.csv.part").exists()


@pytest.mark.parametrize(
    ("out", "says"), [("out.xlsx", "'.xlsx'"), ("nowhere/out.csv", "nowhere"), ("yours.csv", "is a folder")]
)
def test_where_it_cannot_write(cli: Cli, contender: Any, out: str, says: str) -> None:
    Path("yours.csv").mkdir()
    contender.write(Path("in.csv"), [{"text": "a"}])
    result = cli("predict", contender.export(Path("yours")), "-i", "in.csv", "-o", out)
    assert result.exit_code == 2 and says in result.stderr and left() == set()


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_a_disk_that_is_full(
    cli: Cli, contender: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """The system refuses to let a file grow on; what was answered stays, and with more room it goes on."""
    contender.export(tmp_path / "yours")
    contender.write(tmp_path / "in.csv", [{"text": f"{n} " + "x" * 200} for n in range(2000)])
    limit = 150_000

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        contender.command("yours", "-i", "in.csv", "-o", out), cwd=tmp_path, preexec_fn=little_room,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "can't be written" in done.stderr and "Traceback" not in done.stderr
    monkeypatch.chdir(tmp_path)
    safe = state(out)["rows"]
    assert 0 < safe < 2000 and f"{safe:,} answered rows are kept" in done.stderr
    assert f"going on after row {safe}" in cli("predict", "yours", "-i", "in.csv", "-o", out).stderr
    assert cli("predict", "yours", "-i", "in.csv", "-o", f"whole{Path(out).suffix}").exit_code == 0
    assert Path(out).read_bytes() == Path(f"whole{Path(out).suffix}").read_bytes()
