"""`tuningfork predict RUN`: the recommended candidate on new rows.

Rows are read, answered and written a block at a time, so that a file may be larger than memory. What a user gets back
is their file with three columns more: `answer`, `confidence` (a probability, empty where there is none) and `failure`
(empty where all went well); a candidate that looks things up adds `citations`, the sources that it was shown. The file
appears under its name when it is whole; until then it is called NAME.part, and the same command goes on with that
(`part.py`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .compare import second_interrupt_ends_at_once
from .flags import INTERRUPTED, run_argument, trial_flag

if TYPE_CHECKING:
    from ..candidate import Prediction
    from ..runs import Answered, Exported, Trial
    from .part import Part
    from .progress import Progress

NEW_COLUMNS = ("answer", "confidence", "failure")


@click.command(short_help="let a run's recommended candidate answer new rows")
@run_argument
@click.option(
    "-i", "--in", "source", default="-", metavar="FILE", help="Rows to answer; - (as without) is JSONL on stdin."
)
@click.option("-o", "--out", default="-", metavar="FILE", help="Where to write; - (as without) is JSONL on stdout.")
@trial_flag
@click.option("--restart", is_flag=True, help="Begin anew where an earlier command left FILE.part.")
@click.option("--quiet", is_flag=True, help="Say nothing on stderr while all goes well.")
def command(run: str, runs: Path, source: str, out: str, trial: str | None, restart: bool, quiet: bool) -> None:
    """Answer the rows of FILE with the recommended candidate of RUN, or with an exported one: RUN may be a folder that
    `export` wrote.

    Writes the same rows with the columns answer, confidence and failure added, and citations where it looks things up;
    the output's ending (.csv, .tsv, .jsonl, .parquet) says in which format. Memory does not grow with the file, but for
    a .json array, which is read whole. Progress goes to stderr.

    Until it is whole the output is called FILE.part. When the command is stopped, by whatever, the same command goes on
    where it stopped. Rows on stdin are answered as they come, without waiting for more.
    """
    from .progress import Progress, Stderr

    _refuse_same_file(source, out)
    chosen, folder = _chosen(run, runs, trial)
    second_interrupt_ends_at_once()
    progress = Progress(Stderr(), quiet, live=not (out == "-" and sys.stdout.isatty()))
    if out == "-":
        _to_stdout(chosen, source, progress)
    else:
        which = ["--trial", trial] if trial else []
        again = shlex.join(["tuningfork", "predict", folder, "-i", source, "-o", out, *which])
        _to_file(chosen, source, out, restart, progress, again)


def _chosen(run: str, runs: Path, trial: str | None) -> tuple[Trial | Exported, str]:
    """Who answers, and the folder that it was read from."""
    from ..runs import Exported, Run, find_run, is_export

    if is_export(Path(run)) and not trial:
        return Exported.load(run), run
    found = Run.load(find_run(run, runs))
    return (found.trial(trial) if trial else found.recommended), str(found.folder)


def _to_file(chosen: Trial | Exported, source: str, out: str, restart: bool, progress: Progress, again: str) -> None:
    from ..candidate import identity
    from ..data.read import HUB, Extent, stream_rows
    from .part import Part, State

    whence = source if source == "-" or source.startswith(HUB) else str(Path(source).resolve())
    state = State(identity(chosen.candidate), chosen.name, whence)
    columns = _columns(chosen)
    part = Part(out, columns, state, restart=restart, resumable=source != "-")
    extent, told = Extent(), False
    rows = stream_rows(source, extent=extent)
    try:
        with progress, part:
            before = part.state.rows
            if before:
                part.go_on(rows)
                progress.say(f"going on after row {before:,}")
            for block in chosen.stream_blocks(rows, extent.waits, first=before + 1, tell=_teller(progress)):
                part.add(
                    [(row, _values(said)[: len(columns)], said.failure is not None) for row, said in _rows(block)],
                    _cut(block),
                )
                progress.at(part.state.rows, part.state.failed, extent.share(part.state.rows))
                if part.left_out and not told:
                    told = True
                    progress.say(_no_place_for(part.left_out[0], out))
            part.finish(source)
    except KeyboardInterrupt:
        _say_how_to_go_on(part, again)
        raise SystemExit(INTERRUPTED) from None
    _say_done(progress, chosen.name, part.state.rows, part.state.failed, part.state.cut, before)


def _to_stdout(chosen: Trial | Exported, source: str, progress: Progress) -> None:
    from ..data.read import Extent, stream_rows
    from .rows import jsonl

    columns = _columns(chosen)
    extent, line = Extent(), jsonl(columns)
    rows = stream_rows(source, extent=extent)
    count = failed = cut = 0
    try:
        with progress:
            for block in chosen.stream_blocks(rows, extent.waits, tell=_teller(progress)):
                count, failed = count + len(block), failed + sum(said.failure is not None for _, said in block)
                cut += _cut(block)
                sys.stdout.write("".join(line(row, _values(said)[: len(columns)]) for row, said in _rows(block)))
                sys.stdout.flush()
                progress.at(count, failed, extent.share(count))
    except KeyboardInterrupt:
        click.echo(f"\nStopped after row {count:,}. With --out FILE a stopped command can be gone on with.", err=True)
        raise SystemExit(INTERRUPTED) from None
    _say_done(progress, chosen.name, count, failed, cut)


def _rows(block: Answered) -> Iterator[tuple[Mapping[str, Any], Prediction]]:
    for row, said in block:
        assert isinstance(row, Mapping)
        yield row, said


def _columns(chosen: Trial | Exported) -> tuple[str, ...]:
    """The columns that are added: also `citations` where the candidate looks things up."""
    from ..candidate import Single, parts_of

    looks_up = any(isinstance(part, Single) and part.passages for part in parts_of(chosen.candidate))
    return (*NEW_COLUMNS, "citations") if looks_up else NEW_COLUMNS


def _values(said: Prediction) -> Sequence[Any]:
    """What stands under NEW_COLUMNS and `citations`."""
    return said.answer, said.confidence, said.failure.message if said.failure else None, "; ".join(said.citations)


def _cut(block: Answered) -> int:
    """How many tokens were left out of a block's inputs, which were too long."""
    return sum(said.usage.tokens_cut for _, said in block)


def _teller(progress: Progress) -> Callable[[str], None]:
    """Says what a model has to say of how it runs here."""
    return lambda note: progress.say(f"note: {note}")


def _say_done(progress: Progress, name: str, rows: int, failed: int, cut: int, before: int = 0) -> None:
    from ..report.words import inputs_cut

    now = f" ({rows - before:,} of them now)" if before else ""
    failures = f", {failed:,} of them failed" if failed else ""
    shortened = f"; {inputs_cut(rows, cut)}" if cut else ""
    progress.say(f"{rows:,} rows answered by {name}{now} in {progress.took()}{failures}{shortened}")


def _say_how_to_go_on(part: Part, again: str) -> None:
    rows = part.state.rows
    if not part.resumable:
        kept = f"what was answered is in {part.path}, until another command writes to {part.out}"
        text = f"Rows from stdin can't be read again; {kept}." if rows else ""
    else:
        text = f"Go on with: {again}"
    click.echo(f"\nStopped after row {rows:,}. {text}", err=True)


def _no_place_for(column: str, out: str) -> str:
    return (
        f"note: the first row has no column {column!r}, so it is left out of {out}: a table has the columns of its"
        " first row. Write .jsonl or .parquet to keep all."
    )


def _refuse_same_file(source: str, out: str) -> None:
    if "-" not in (source, out) and Path(source).resolve() == Path(out).resolve():
        raise click.UsageError(f"{out!r} is the file that is read. Give another one to write to.")
