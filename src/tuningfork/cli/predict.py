"""`tuningfork predict RUN`: the recommended candidate on new rows.

Rows are read, answered and written a chunk at a time, so that a file may be larger than memory. What a user gets back
is their file with three columns more: `answer`, `confidence` (a probability, empty where there is none) and `failure`
(empty where all went well). The file appears under its name when it is whole; until then it is called NAME.part.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import quiet_flag, run_argument, trial_flag

if TYPE_CHECKING:
    from ..runs import Exported, Trial

NEW_COLUMNS = ("answer", "confidence", "failure")
SECONDS_BETWEEN_LINES = 5.0


@click.command(short_help="let a run's recommended candidate answer new rows")
@run_argument
@click.option(
    "-i", "--in", "source", default="-", metavar="FILE", help="Rows to answer; - (as without) is JSONL on stdin."
)
@click.option("-o", "--out", default="-", metavar="FILE", help="Where to write; - (as without) is JSONL on stdout.")
@trial_flag
@quiet_flag
def command(run: str, runs: Path, source: str, out: str, trial: str | None, quiet: bool) -> None:
    """Answer the rows of FILE with the recommended candidate of RUN, or with an exported one: RUN may be a folder that
    `export` wrote.

    Writes the same rows with the columns answer, confidence and failure added; the output's ending (.csv, .tsv, .jsonl,
    .parquet) says in which format. Progress goes to stderr.
    """
    from ..data.read import stream_rows
    from ..runs import Exported, Run, find_run, is_export
    from .rows import open_rows

    _refuse_same_file(source, out)
    chosen: Trial | Exported
    if is_export(Path(run)) and not trial:
        chosen = Exported.load(run)
    else:
        found = Run.load(find_run(run, runs))
        chosen = found.trial(trial) if trial else found.recommended
    waiting: deque[dict[str, Any]] = deque()

    def read() -> Iterator[Mapping[str, Any]]:
        for row in stream_rows(source):
            waiting.append(row)
            yield row

    count, failed, begin, said = 0, 0, time.perf_counter(), time.perf_counter()
    with open_rows(out, NEW_COLUMNS, like=source) as write:
        for prediction in chosen.stream(read()):
            failure = prediction.failure.message if prediction.failure else None
            write(waiting.popleft(), (prediction.answer, prediction.confidence, failure))
            count, failed = count + 1, failed + bool(failure)
            if not quiet and time.perf_counter() - said > SECONDS_BETWEEN_LINES:
                said = time.perf_counter()
                _say(f"{count} rows, {count / (said - begin):.1f} a second")
    if not quiet:
        seconds = time.perf_counter() - begin
        failures = f", {failed} of them failed" if failed else ""
        _say(f"{count} rows answered by {chosen.name} in {seconds:.1f} s{failures}")


def _say(text: str) -> None:
    click.echo(text, file=sys.stderr)


def _refuse_same_file(source: str, out: str) -> None:
    if "-" not in (source, out) and Path(source).resolve() == Path(out).resolve():
        raise click.UsageError(f"{out!r} is the file that is read. Give another one to write to.")
