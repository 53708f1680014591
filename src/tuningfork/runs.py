"""A race that was run: what came of it, and its candidates ready to use.

A `Run` is read from its folder; its verdict is worked out from the log alone, so it needs no model and no torch. A
`Trial` is one road of it: only when it is asked to `predict` are models opened. Nothing here races; that is the work of
`api.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .candidate import Candidate, Prediction
from .errors import DataError, UnknownName
from .log import RunLog
from .store.blobs import write_atomically
from .task import Columns, Inputs, Task, plain_text

if TYPE_CHECKING:
    import pandas as pd

    from .decide import Verdict
    from .decide.ratings import Rating
    from .model import Model

Entry = str | Mapping[str, Any]
"""What is asked about: a text, or a dict with the task's input columns."""
Answered = list[tuple[Entry, Prediction]]
Tell = Callable[[str], None]
"""Hears what a model has to say of how it runs here, when it is opened."""


@dataclass(frozen=True)
class Run:
    """A race that was run, read from its folder. Nothing here calls a model, but for `predict` of a candidate."""

    log: RunLog

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run's folder. Raises DataError when it holds none."""
        return cls(RunLog.read(Path(folder)))

    @property
    def folder(self) -> Path:
        return self.log.folder

    @cached_property
    def verdict(self) -> Verdict:
        """What to use and how sure that is, from the log alone."""
        from .decide import decide

        return decide(self.log)

    @property
    def task(self) -> Task:
        """The task as it was raced."""
        from .data.taskfile import task_from_dict

        return task_from_dict(dict(self.log.started.task), Path(self.log.started.task.get("folder", ".")))

    def leaderboard(self) -> pd.DataFrame:
        """A row a trial, best first: its value on test and dev with the 95% interval, and what it costs."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.verdict.to_dict()["leaderboard"]])

    @property
    def recommended(self) -> Trial:
        """The candidate to use. Raises DataError when no road reached an answer."""
        return self._named("recommended")

    @property
    def best(self) -> Trial:
        """The candidate of highest quality. Raises DataError when no road reached an answer."""
        return self._named("best")

    def trial(self, name: str) -> Trial:
        """A candidate by its name on the leaderboard, `method@model`."""
        if self.log.born(name) is None:
            known = [trial for trial in self._trials() if self.log.born(trial)]
            raise UnknownName("trial", name, known, str(self.folder))
        return Trial(self, name)

    @property
    def ratings(self) -> list[Rating]:
        """What people said of its answers, side by side and blind (`tuningfork review`); the human labels that a
        judge's scores can be corrected with. Raises DataError when the file is damaged."""
        from .decide.ratings import ratings

        return ratings(self.folder)

    def value(self, trial: str) -> float | None:
        """A trial's value on the metric: on test where it got there, else on dev."""
        for row in self.verdict.to_dict()["leaderboard"]:
            if row["candidate"] == trial:
                place = row["test"] or row["dev"]
                return None if place is None else float(place["value"])
        return None

    def write(self) -> list[Path]:
        """Write verdict.json and report.html into the run's folder again."""
        from .report.html import write_html

        verdict, report = self.folder / "verdict.json", self.folder / "report.html"
        write_atomically(verdict, (json.dumps(self.verdict.to_dict(), indent=2, ensure_ascii=False) + "\n").encode())
        write_html(self.log, self.verdict.to_dict(), report)
        return [verdict, report]

    def to_dict(self) -> dict[str, Any]:
        """The verdict and the run's folder, as `--json` prints it."""
        return {"run": str(self.folder), **self.verdict.to_dict()}

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.verdict.sentence})"

    def _repr_html_(self) -> str:
        board = self.leaderboard().to_html(index=False, float_format=lambda value: f"{value:.3f}", na_rep="")
        return f"<p><b>{escape(self.verdict.sentence)}</b></p><p>{escape(self.verdict.scope)}</p>{board}"

    def _named(self, which: str) -> Trial:
        place = self.verdict.to_dict()[which]
        if not place or not place["candidate"]:
            raise DataError(f"The run {self.folder} has no {which} candidate: {self.verdict.sentence}")
        return Trial(self, place["candidate"])

    def _trials(self) -> list[str]:
        return [row["candidate"] for row in self.verdict.to_dict()["leaderboard"]]


@dataclass(frozen=True)
class Trial:
    """One road of a run, ready to answer or to be taken out."""

    run: Run
    name: str
    _models: dict[str, Model] = field(default_factory=dict, repr=False, compare=False)

    @property
    def candidate(self) -> Candidate:
        """All that decides its behaviour."""
        born = self.run.log.born(self.name)
        if born is None:
            raise DataError(f"{self.name} never came to a candidate in {self.run.folder}.")
        return self.run.log.candidate(born)

    def predict(self, inputs: Iterable[str | Mapping[str, Any]]) -> list[Prediction]:
        """One Prediction for each input, in order. An input is a text, or a dict with the task's input columns."""
        return list(self.stream(inputs))

    def stream(self, inputs: Iterable[str | Mapping[str, Any]]) -> Iterator[Prediction]:
        """As `predict`, for any number of inputs: they are read as they are needed and nothing is kept."""
        return _one_by_one(self.stream_blocks(inputs))

    def stream_blocks(
        self,
        inputs: Iterable[Entry],
        waits: Callable[[], bool] = lambda: False,
        first: int = 1,
        tell: Tell = lambda note: None,
    ) -> Iterator[Answered]:
        """As `stream`, a block of inputs with their predictions at a time. `waits()` says that the next input would
        have to be waited for, which ends a block; `first` is the number of the first input, for messages; `tell` hears
        what models have to say of how they run here, when they are opened."""
        task = self.run.task
        models = _Opened(self._models, tell, task.prices)
        return _answer(self.candidate, models, inputs, task.columns, waits, first)

    def export(self, folder: str | Path) -> list[Path]:
        """Write it out to be used without tuningfork: chat messages, adapter in the PEFT layout, a card."""
        from .export import export

        return export(self.run.log, self.run.verdict.to_dict(), Path(folder), trial=self.name)


@dataclass(frozen=True)
class Exported:
    """A candidate that was taken out of its run by `export`, ready to answer."""

    folder: Path
    name: str
    candidate: Candidate
    columns: Columns
    _models: dict[str, Model] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str | Path) -> Exported:
        """Read an export's folder. Raises DataError when it holds none."""
        from .export import load_export

        candidate, name, reads = load_export(Path(folder))
        return cls(Path(folder), name, candidate, Columns(reads, ""))

    def predict(self, inputs: Iterable[str | Mapping[str, Any]]) -> list[Prediction]:
        """One Prediction for each input, in order. An input is a text, or a dict with the task's input columns."""
        return list(self.stream(inputs))

    def stream(self, inputs: Iterable[str | Mapping[str, Any]]) -> Iterator[Prediction]:
        """As `predict`, for any number of inputs: they are read as they are needed and nothing is kept."""
        return _one_by_one(self.stream_blocks(inputs))

    def stream_blocks(
        self,
        inputs: Iterable[Entry],
        waits: Callable[[], bool] = lambda: False,
        first: int = 1,
        tell: Tell = lambda note: None,
    ) -> Iterator[Answered]:
        """As `Trial.stream_blocks`."""
        return _answer(self.candidate, _Opened(self._models, tell), inputs, self.columns, waits, first)


def is_export(folder: Path) -> bool:
    """Whether a folder was written by `export`."""
    return (folder / "candidate.json").is_file()


def _answer(
    candidate: Candidate,
    models: Mapping[str, Model],
    entries: Iterable[Entry],
    columns: Columns,
    waits: Callable[[], bool],
    first: int,
) -> Iterator[Answered]:
    """Blocks of inputs with their predictions. Models are opened when the first input is there and right."""
    from .predict import answerer, in_blocks

    read = ((entry, _inputs(entry, columns, number)) for number, entry in enumerate(entries, start=first))
    answer = None
    for block in in_blocks(read, waits=waits, characters=_characters):
        answer = answer or answerer(candidate, models)
        predictions = answer([inputs for _, inputs in block])
        yield [(entry, prediction) for (entry, _), prediction in zip(block, predictions, strict=True)]


def _one_by_one(blocks: Iterable[Answered]) -> Iterator[Prediction]:
    return (prediction for block in blocks for _, prediction in block)


def _characters(read: tuple[Entry, Inputs]) -> int:
    return sum(len(plain_text(content)) for content in read[1].values())


def find_run(run: str, runs: Path) -> Path:
    """The folder of a run: a path, a name under `runs`, or `last` for the newest one. Raises DataError when there is
    none."""
    known = runs_of(runs)
    if run == "last":
        if not known:
            raise DataError(f"There is no run under {str(runs)!r} yet. `tuningfork compare` makes one.")
        return known[-1]
    for folder in (Path(run), runs / run):
        if (folder / "log.jsonl").is_file():
            return folder
    from difflib import get_close_matches

    near = get_close_matches(Path(run).name, [folder.name for folder in known], n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(repr(str(runs / name)) for name in near)}?" if near else ""
    raise DataError(
        f"{run!r} is no run: it has no log.jsonl.{hint} Give a run's folder, or `last` for the newest under"
        f" {str(runs)!r}."
    )


def runs_of(runs: Path) -> list[Path]:
    """Folders under `runs` that hold a run, oldest first."""
    logs = [log for log in runs.glob("*/log.jsonl") if log.is_file()]
    return [log.parent for log in sorted(logs, key=lambda log: (log.stat().st_mtime_ns, log.parent.name))]


class _Opened(Mapping[str, "Model"]):
    """Models by name, each opened when it is first asked for; `tell` then hears its notes."""

    def __init__(
        self, opened: dict[str, Model], tell: Tell, prices: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        self._opened, self._tell, self._prices = opened, tell, prices

    def __getitem__(self, name: str) -> Model:
        if name not in self._opened:
            from .models import open_model

            self._opened[name] = open_model(name, prices=self._prices) if self._prices else open_model(name)
            for note in getattr(self._opened[name], "notes", ()):
                self._tell(f"{name}: {note}")
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)


def _inputs(entry: str | Mapping[str, Any], columns: Columns, number: int) -> Inputs:
    if isinstance(entry, Mapping):
        from .data.load import inputs_of

        return inputs_of(entry, columns, f"row {number}")
    if len(columns.input) > 1:
        raise DataError(
            f"This task reads {len(columns.input)} columns ({', '.join(columns.input)}), so the text {entry[:40]!r}"
            " alone is not enough. Give a dict with these keys."
        )
    return {columns.input[0]: entry}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the leaderboard with one number a column."""
    flat: dict[str, Any] = {key: row.get(key) for key in ("candidate", "method", "model", "family", "status")}
    for split in ("test", "dev"):
        place = row.get(split) or {}
        flat |= {split: place.get("value"), f"{split}_low": place.get("low"), f"{split}_high": place.get("high")}
        flat[f"{split}_items"] = place.get("n")
    latency = row.get("latency_ms") or {}
    flat |= {"latency_ms_p50": latency.get("p50"), "latency_ms_p95": latency.get("p95")}
    flat |= {key: row.get(key) for key in ("adapt_seconds", "bytes", "failed_items", "seeds", "why")}
    return flat
