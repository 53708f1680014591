"""A file ten times as long takes no more memory: the peak of real processes, the reading, answering and writing of
every format in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for a process's peak memory")

# VmHWM and not getrusage: the latter keeps the peak of the process that a child was forked from.
MEASURE = """
import sys
from tuningfork.cli import main
try:
    main(["predict", *sys.argv[1:], "--quiet"])
except SystemExit as ended:
    assert not ended.code, ended.code
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
TEXT = "word " * 60
"""300 characters: 200,000 rows of it are 57 MiB on disk, and more than 100 as Python holds them."""
ALLOWED_MIB = 24.0
"""What pyarrow's allocator keeps while it finds its size (it is 10 at 200,000 rows and no more at 600,000)."""


def peak_mib(folder: Path, source: str, out: str) -> float:
    """The most that answering `source` takes; one called stdin.jsonl comes in on stdin."""
    given = "-" if source.endswith("stdin.jsonl") else source
    command = [sys.executable, "-c", MEASURE, "yours", "-i", given, "-o", out]
    with (folder / source).open("rb") as file:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=file)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1]) / 1024


def write(folder: Path, name: str, count: int) -> str:
    """`count` rows in the format that the ending says; a Parquet file has them all in one row group."""
    path = folder / f"{count}-{name}"
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = [f"{n} {TEXT}" for n in range(count)]
        pq.write_table(pa.table({"id": range(count), "text": texts}), path, row_group_size=count, use_dictionary=False)
        return path.name
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(f'{{"id": {n}, "text": "{n} {TEXT}"}}\n' for n in range(count))
        else:
            file.write("id,text\n")
            file.writelines(f"{n},{n} {TEXT}\n" for n in range(count))
    return path.name


def growth_mib(folder: Path, source: str, out: str, few: int, many: int) -> float:
    sizes = [peak_mib(folder, write(folder, source, count), f"{count}-{out}") for count in (few, many)]
    return sizes[1] - sizes[0]


@pytest.mark.parametrize("source", ["in.csv", pytest.param("in.jsonl", marks=pytest.mark.slow)])
def test_a_longer_file(contender: Any, tmp_path: Path, source: str) -> None:
    contender.export(tmp_path / "yours")
    assert growth_mib(tmp_path, source, f"out{Path(source).suffix}", 4_000, 20_000) < ALLOWED_MIB / 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("in.csv", "out.csv"),
        ("in.jsonl", "out.jsonl"),
        ("in.jsonl", "out.parquet"),
        ("in.parquet", "out.parquet"),
        ("in.parquet", "out.csv"),
        ("stdin.jsonl", "out.csv"),
    ],
)
def test_ten_times_the_rows(contender: Any, tmp_path: Path, source: str, out: str) -> None:
    contender.export(tmp_path / "yours")
    assert growth_mib(tmp_path, source, out, 20_000, 200_000) < ALLOWED_MIB
