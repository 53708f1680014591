"""What happened in a race, written once: typed, versioned, append-only.

A run's folder holds `log.jsonl` (one event a line, as it happens), the item results (`predictions.jsonl` while the race
runs, `predictions.parquet` once it has ended) and `blobs/`. Everything after the race reads these and calls no model; a
killed race resumes from them. A half-written last line, as a power loss leaves it, is dropped; a damaged line anywhere
else is refused by number.

A *trial* is one road on one model, named `method@model`; a trial may give birth to several candidates: one in the race,
one for each seed of the final (the first is shipped), or, where examples are few, one for each fold. Item results carry
trial, candidate, split and block; the `measured` event of a block says which seed it belongs to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, TypeVar, get_args

from .candidate import Candidate, blobs_of, from_dict, identity, to_dict
from .errors import DataError
from .store.blobs import Blobs

LOG_VERSION = 1
Stage = Literal["race", "final", "fold"]
SplitName = Literal["dev", "test"]
E = TypeVar("E")


@dataclass(frozen=True)
class Started:
    """First event of a run. `items`: dicts with id, split, target, group, cluster and text (dev and test rows)."""

    type: ClassVar[str] = "started"
    version: int
    task: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    environment: Mapping[str, Any]
    prices: Mapping[str, Any]
    plan: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    time: str


@dataclass(frozen=True)
class Born:
    """A candidate. `examples_used` it learned from, `examples_chosen_on` it was selected on. Of stage `fold` it has not
    seen the items of that fold, and answers them. `notes`: what its method said of its choosing, by `method.what`, such
    as the spread over draws."""

    type: ClassVar[str] = "born"
    trial: str
    candidate: str
    data: Mapping[str, Any]
    parents: tuple[str, ...]
    method: str
    model: str
    family: str
    settings: Mapping[str, Any]
    stage: Stage
    seed: int
    examples_used: int
    examples_chosen_on: int
    seconds: float
    usage: Mapping[str, float]
    bytes: int
    fold: int = 0
    notes: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """The curve of one tuning: points of step, train_nats, hold_nats, seconds."""

    type: ClassVar[str] = "trained"
    trial: str
    stage: Stage
    recipe: Mapping[str, Any]
    curve: tuple[Mapping[str, Any], ...]
    why_stopped: str
    usage: Mapping[str, float]
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One block of items answered by one candidate; the item results stand in the predictions file."""

    type: ClassVar[str] = "measured"
    trial: str
    candidate: str
    split: SplitName
    block: int
    items: int
    failed: int
    value: float
    seconds: float
    usage: Mapping[str, float]
    seed: int = 0


@dataclass(frozen=True)
class Rung:
    """One point of a trial's learning curve: its value on `items` of dev after learning from `examples`, fewer than
    there are."""

    type: ClassVar[str] = "rung"
    trial: str
    examples: int
    seed: int
    candidate: str
    value: float
    items: int
    seconds: float
    usage: Mapping[str, float]


@dataclass(frozen=True)
class Twins:
    """The noise floor: one trial taught twice, each time on another half of train and under another seed, answered
    `items` of dev. What parts the two is luck; `difference` is first minus second, with its 95% interval."""

    type: ClassVar[str] = "twins"
    trial: str
    seeds: tuple[int, ...]
    examples: int
    items: int
    difference: float
    low: float
    high: float
    discordance: float
    seconds: float
    usage: Mapping[str, float]


@dataclass(frozen=True)
class Probed:
    """A measurement beside quality: flat numbers, such as latency p50 in milliseconds. `usage` where it cost."""

    type: ClassVar[str] = "probed"
    trial: str
    candidate: str
    probe: str
    values: Mapping[str, float]
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Left:
    """A trial that goes no further: dropped (proven worse), paused, failed or skipped, and the evidence in words.

    `usage` is what a failed one had spent, where no other event says so.
    """

    type: ClassVar[str] = "left"
    trial: str
    status: Literal["dropped", "paused", "failed", "skipped"]
    why: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    method: str = ""
    model: str = ""
    family: str = ""
    detail: str = ""
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finalists:
    """Who goes to the test, and why each."""

    type: ClassVar[str] = "finalists"
    trials: tuple[str, ...]
    why: Mapping[str, str]


@dataclass(frozen=True)
class TestOpened:
    """The test split is read from here on. `items` of `of` were drawn by seed where all would not fit."""

    type: ClassVar[str] = "test_opened"
    __test__: ClassVar[bool] = False
    items: int
    of: int
    looks: int


@dataclass(frozen=True)
class Noted:
    """A sentence that the report must show: seconds stopped something, a sample was drawn, a setting was changed.
    `usage` is what was spent in vain, where no other event says so."""

    type: ClassVar[str] = "noted"
    text: str
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Resumed:
    """The race went on after a stop."""

    type: ClassVar[str] = "resumed"
    time: str


@dataclass(frozen=True)
class Ended:
    """Last event: what was spent in all, by the clock of the racing parts only.

    `cache`: requests that were `asked` since the race began or last went on, and how many of them were `found` in the
    cache of answers; empty where there was none. What was found is charged in full: see `models/cache.py`.
    """

    type: ClassVar[str] = "ended"
    seconds: float
    usage: Mapping[str, float]
    why: str
    time: str
    cache: Mapping[str, int] = field(default_factory=dict)


Event = (
    Started
    | Born
    | Trained
    | Measured
    | Rung
    | Twins
    | Probed
    | Left
    | Finalists
    | TestOpened
    | Noted
    | Resumed
    | Ended
)
EVENTS: Mapping[str, type] = {cls.type: cls for cls in get_args(Event)}


@dataclass(frozen=True)
class Row:
    """One item result. `score` is the metric's item score; None where the item failed."""

    trial: str
    candidate: str
    split: SplitName
    block: int
    item: str
    answer: str
    score: float | None
    confidence: float | None
    failure: str | None
    seconds: float
    nats: tuple[float, ...] | None = None


class LogWriter:
    """Appends to a run's folder. Each event is on disk before the next thing happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(folder / "blobs")

    def write(self, event: Event) -> None:
        """Append one event and wait until the disk has it."""
        _append(self.folder / "log.jsonl", [{"type": event.type, **asdict(event)}])

    def keep(self, candidate: Candidate) -> None:
        """Keep the blobs that a candidate names."""
        for blob in blobs_of(candidate):
            self.blobs.put(blob)

    def rows(self, rows: Iterable[Row]) -> None:
        """Append item results; write the `measured` event after them, so that it never promises rows that are not
        there."""
        _append(self.folder / "predictions.jsonl", [vars(row) for row in rows])

    def close(self) -> None:
        """Turn the journal of item results into one parquet file."""
        journal = self.folder / "predictions.jsonl"
        if not journal.exists():
            return
        import pandas as pd

        rows = [vars(row) for row in _read_rows(self.folder)]
        part = self.folder / ".predictions.parquet"
        pd.DataFrame(rows, columns=[f.name for f in fields(Row)]).to_parquet(part, index=False)
        os.replace(part, self.folder / "predictions.parquet")
        journal.unlink()


def wall_seconds(event: Event) -> float:
    """What a race took for an event by the clock on the wall; 0 where it says nothing of it."""
    usage: Mapping[str, float] = getattr(event, "usage", {})
    return usage.get("wall", getattr(event, "seconds", 0.0))


@dataclass(frozen=True)
class RunLog:
    """A run, read back. `rows` are those whose `measured` event is in the log, each item once."""

    folder: Path
    events: tuple[Event, ...]
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, folder: Path) -> RunLog:
        """Read a run's folder. Raises DataError when it holds no run, or a line is damaged (naming the line)."""
        path = folder / "log.jsonl"
        if not path.is_file():
            raise DataError(f"There is no run in {folder}: log.jsonl is missing. `tuningfork compare` makes one.")
        events = tuple(_event(data, path, number) for number, data in _read_jsonl(path))
        if not events or not isinstance(events[0], Started):
            raise DataError(f"{path} does not begin with a `started` event, so it is not a whole run log.")
        measured = {(e.trial, e.candidate, e.split, e.block) for e in events if isinstance(e, Measured)}
        unique = {
            (r.trial, r.candidate, r.split, r.block, r.item): r
            for r in _read_rows(folder)
            if (r.trial, r.candidate, r.split, r.block) in measured
        }
        return cls(folder, events, tuple(unique.values()))

    @property
    def started(self) -> Started:
        event = self.events[0]
        assert isinstance(event, Started)
        return event

    def of(self, kind: type[E]) -> list[E]:
        """All events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def born(self, trial: str, stage: Stage | None = None) -> Born | None:
        """A trial's candidate (of one stage), the final's before the race's; of several seeds the first, which is the
        one that is shipped. None where it has none."""
        found = [e for e in self.of(Born) if e.trial == trial and stage in (None, e.stage)]
        return next((e for stage in ("final", "race", "fold") for e in found if e.stage == stage), None)

    def candidate(self, born: Born) -> Candidate:
        """The candidate of a `born` event, its blobs found in this run's folder."""
        return from_dict(born.data, Blobs(self.folder / "blobs").get)

    def results(self, split: SplitName) -> dict[str, dict[str, Row]]:
        """trial -> item id -> row, of the first seed that was measured on that split: the one that is shipped."""
        return {trial: by_seed[0] for trial, by_seed in self.seeds(split).items()}

    def seeds(self, split: SplitName) -> dict[str, list[dict[str, Row]]]:
        """trial -> for each seed: item id -> row, of the newest candidate of that seed. Where there are folds, each
        item's row is of the candidate that did not see it. A seed that came to the very same candidate has the same
        rows."""
        folded = {e.trial for e in self.of(Born) if e.stage == "fold"}
        asked = [e for e in self.of(Measured) if e.split == split]
        newest = {(e.trial, e.seed): e.candidate for e in asked}
        of_block = {
            (e.trial, e.candidate, e.block): e.seed
            for e in asked
            if e.trial in folded or newest[e.trial, e.seed] == e.candidate
        }
        found: dict[str, dict[int, dict[str, Row]]] = {e.trial: {} for e in asked}
        for row in self.rows:
            seed = of_block.get((row.trial, row.candidate, row.block)) if row.split == split else None
            if seed is not None:
                found[row.trial].setdefault(seed, {})[row.item] = row
        if split == "test":
            self._add_same_candidates(found)
        return {trial: list(by_seed.values()) for trial, by_seed in found.items() if by_seed}

    def _add_same_candidates(self, found: dict[str, dict[int, dict[str, Row]]]) -> None:
        for born in self.of(Born):
            by_seed = found.get(born.trial, {})
            if born.stage == "final" and by_seed and born.seed not in by_seed:
                first = next(iter(by_seed.values()))
                if any(row.candidate == born.candidate for row in first.values()):
                    by_seed[born.seed] = first


def born_event(trial: str, candidate: Candidate, **about: Any) -> Born:
    """A `born` event for a candidate; its identity, data and size are filled in."""
    size = sum(blob.size for blob in blobs_of(candidate))
    return Born(trial=trial, candidate=identity(candidate), data=to_dict(candidate), bytes=size, **about)


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=True, default=_jsonable) + "\n" for line in lines)
    with path.open("a+b") as file:
        _mend_tail(file)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _jsonable(value: Any) -> Any:
    """What JSON has no form for: sets in order, numpy's numbers as numbers, anything else as its text."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _mend_tail(file: BinaryIO) -> None:
    """Where the last line has no end: give it one if it is whole, else take it away, just as reading drops it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read(1) in (b"", b"\n"):
        return
    file.seek(0)
    begin = file.read().rfind(b"\n") + 1
    file.seek(begin)
    try:
        json.loads(file.read())
    except ValueError:
        file.truncate(begin)
    else:
        file.write(b"\n")


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines with their numbers. A last line without its end is what a power loss leaves, and is dropped."""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError:
            if number == len(lines):
                return
            raise DataError(
                f"{path}, line {number}, is damaged: it is not JSON. Restore the file from a copy."
            ) from None
        if not isinstance(data, dict):
            raise DataError(f"{path}, line {number}, is damaged: it is no object. Restore the file from a copy.")
        yield number, data


def _read_rows(folder: Path) -> list[Row]:
    parquet, journal = folder / "predictions.parquet", folder / "predictions.jsonl"
    rows: list[Row] = []
    if parquet.is_file():
        import pyarrow.parquet as pq

        rows += [_row(data) for data in pq.read_table(parquet).to_pylist()]
    if journal.is_file():
        rows += [_row(data) for _, data in _read_jsonl(journal)]
    return rows


def _row(data: dict[str, Any]) -> Row:
    nats = data.pop("nats", None)
    return Row(**data, nats=None if nats is None else tuple(nats))


def _event(data: dict[str, Any], path: Path, number: int) -> Event:
    if data.get("type") == Started.type and data.get("version", 0) > LOG_VERSION:
        raise DataError(f"{path} was written by a newer tuningfork (log version {data['version']}). Update tuningfork.")
    kind = EVENTS.get(data.pop("type", ""))
    known = {f.name for f in fields(kind)} if kind else set()
    try:
        if kind is None:
            raise TypeError("unknown event type")
        event: Event = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known})
    except TypeError as error:
        raise DataError(f"{path}, line {number}, is no event that this version knows ({error}).") from None
    return event
