"""A benchmark is cut into parts. Each runs in a process of its own and is kept when it is done, so that a run that was
ended goes on where it stopped.

A part is named CASE/PART. `benchmarks/results/<name>.json` holds the rows that came of it and, part by part, what they
were worked out from: numbers only, never a row of a dataset.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import limit

HERE = Path(__file__).parent
PEERS = HERE / "peers"
Found = dict[str, Any]
PARTINGS = 0.005
"""Of all items, so many may be answered otherwise than the peer does with more than noise between the two answers."""


class PartFailed(SystemExit):
    """A part's process ended without an answer. Where nobody has an answer to that, the benchmark ends with the
    message; the parts that are done are kept."""


def arguments(doc: str | None, cases: Iterable[str]) -> argparse.Namespace:
    """The options that scoring, generation and embedding share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="DATA_FOLDER", help="one folder a dataset, as main_job.py takes it"
    )
    parser.add_argument("--quick", action="store_true", help="our side and the same answers on a few items")
    parser.add_argument("--only", default=",".join(cases), help="cases, with commas between (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="run anew what is kept")
    parser.add_argument("--again-ours", action="store_true", help="run our side anew; the peer's results are kept")
    parser.add_argument("--items", type=int, help="so many items only, to try it out; nothing is kept")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [case for case in options.only if case not in cases]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(cases)}")
    return options


def opened(name: str, options: argparse.Namespace) -> Parts:
    """The kept parts that these options leave. From here on a benchmark that is told to end takes its processes with
    it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; what is done is kept"))
    parts = Parts(name, keep=options.items is None)
    if options.again or options.again_ours:
        parts.forget(options.only, theirs_too=options.again)
    return parts


class Parts:
    """The kept parts of one benchmark. `keep=False` runs everything and writes nothing."""

    def __init__(self, name: str, keep: bool = True) -> None:
        self.name = name
        self.path = HERE / "results" / f"{name}.json"
        self.keep = keep
        self.digests: dict[str, str] = {}
        self.kept: dict[str, Found] = recorded(name).get("parts", {}) if keep else {}

    def forget(self, cases: Sequence[str], theirs_too: bool) -> None:
        """Have these cases run anew: our side and the check, or all of it."""
        for key in list(self.kept):
            case, part = key.split("/")
            if case in cases and (theirs_too or not part.startswith("peer")):
                del self.kept[key]

    def about(self, case: str, *work: Any) -> None:
        """What a case consists of. Parts that are kept from other work, or from a dataset that has changed, are
        forgotten."""
        self.digests[case] = hashlib.sha256(repr(work).encode()).hexdigest()[:12]
        for key in [key for key in self.kept if key.split("/")[0] == case]:
            if self.kept[key].get("work") != self.digests[case]:
                print(f"  {key}: kept from other work, forgotten", flush=True)
                del self.kept[key]

    def get(self, case: str, part: str, make: Callable[[], Found]) -> Found:
        """The part as it is kept, or made now and kept."""
        key = f"{case}/{part}"
        if key in self.kept:
            print(f"  {key}: kept from {self.kept[key]['when']}", flush=True)
            return self.kept[key]
        print(f"  {key} ...", flush=True)
        start = time.perf_counter()
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        found = {**make(), "when": when, "commit": commit(), "work": self.digests.get(case)}
        self.kept[key] = found
        said = found.get("failed") or (f"{found['seconds']:.4g} s" if "seconds" in found else "done")
        print(f"  {key}: {said} ({time.perf_counter() - start:.0f} s with loading)", flush=True)
        self.write(None)
        return found

    def write(self, summary: Found | None) -> None:
        """Everything so far to disk; the summary of an earlier run stays until there is a new one."""
        if not self.keep:
            return
        summary = summary or {k: v for k, v in recorded(self.name).items() if k != "parts"}
        parts = ",\n".join(f"  {json.dumps(key)}: {json.dumps(part)}" for key, part in sorted(self.kept.items()))
        head = json.dumps(summary or {"benchmark": self.name}, indent=1).removesuffix("\n}")
        self.path.parent.mkdir(exist_ok=True)
        new = self.path.with_suffix(".json.new")
        new.write_text(f'{head},\n "parts": {{\n{parts}\n }}\n}}\n', encoding="utf-8")
        new.replace(self.path)


def recorded(name: str) -> Found:
    """What a full run left, or nothing."""
    path = HERE / "results" / f"{name}.json"
    found: Found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def recorded_row(name: str, case: str) -> Found | None:
    """One row of a full run."""
    return next((row for row in recorded(name).get("rows", []) if row["case"] == case), None)


def ours(worker: str, job: Mapping[str, Any], timeout: float | None = None) -> Found:
    """Our side, `benchmarks/ours/<worker>.py`, in this environment."""
    return _run(sys.executable, f"ours.{worker}", job, timeout)


def theirs(worker: str, job: Mapping[str, Any], timeout: float | None = None, place: str = ".venv") -> Found:
    """The peer's side, `benchmarks/peers/<worker>.py`, in the peers' environment; `place` names another one."""
    python = PEERS / place / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"The peers of benchmarks/peers/{place} are not installed. Run: make peers")
    return _run(str(python), f"peers.{worker}", job, timeout)


def _run(python: str, module: str, job: Mapping[str, Any], timeout: float | None) -> Found:
    with tempfile.TemporaryDirectory() as place:
        asked, out = Path(place) / "job.json", Path(place) / "out.json"
        asked.write_text(json.dumps(job), encoding="utf-8")
        try:
            run = subprocess.run([python, "-m", module, asked, out], cwd=HERE, stdout=sys.stderr, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise PartFailed(f"stopped after {timeout:.0f} s") from error
        if run.returncode:
            how = "was killed" if run.returncode < 0 else "failed"
            raise PartFailed(f"{module} {how} (exit code {run.returncode}); what it said stands above")
        found: Found = json.loads(out.read_text(encoding="utf-8"))
        return found


def commit() -> str:
    """The commit that the code stands at, with a + where files differ from it."""
    try:
        git = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+", "--abbrev=8"]
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def read(path: Path, count: int | None = None) -> list[Found]:
    """The first rows of a JSONL file, or all."""
    with path.open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    if count is not None and len(found) < count:
        raise SystemExit(f"{path} has {len(found)} rows; {count} are needed.")
    return found[:count]


def middle(parts: Sequence[Found], key: str = "seconds") -> float:
    """The median over parts."""
    return float(median(part[key] for part in parts))


def must_have_read(case: str, parts: Iterable[Found], tokens: int) -> None:
    """Ends the benchmark where our side read fewer tokens than there are: then answers came from a cache."""
    least = min(part["tokens_in"] for part in parts)
    if least < tokens:
        raise SystemExit(f"{case}: our side read {least} of {tokens} distinct tokens: a cache answered. Switch it off.")


def rates_of(parts: Iterable[Found]) -> limit.Rates:
    """The highest rates that were measured beside our runs."""
    first, *rest = (limit.Rates(**part["rates"]) for part in parts)
    return first.best(*rest)


def plainly(part: Found) -> Found:
    """What a part found, without when and from what."""
    return {key: value for key, value in part.items() if key not in ("when", "commit", "work")}


def judged(row: Found, bar: float, goal: float) -> Found:
    """A row with what it had to reach and whether it did: `bar` is a fraction of the limit, `goal` a ratio to the
    peer. `holds` is both."""
    bar_holds = row["limit_fraction"] >= bar
    goal_holds = None if row["ratio"] is None else row["ratio"] >= goal
    return {
        **row,
        "bar": bar,
        "bar_holds": bar_holds,
        "goal": goal,
        "goal_holds": goal_holds,
        "holds": bar_holds and bool(goal_holds),
    }


def part_as_bf16_may(check: Found, items: int) -> bool:
    """Whether two sides' answers differ no more than those of two right programs may in bf16: under the noise floor,
    and above it in no more of the items than PARTINGS."""
    return bool(check["differ"] - check["differ_under_floor"] <= PARTINGS * items)


def finish(parts: Parts, rows: Sequence[Found], facts: Sequence[Found]) -> None:
    """Print the table, keep the summary and print it as the last line. `facts`: parts that know rates and versions."""
    for row in rows:
        print(line(row))
    if not rows:
        return
    rates = rates_of(part for part in facts if "rates" in part)
    versions = {k: v for part in facts for k, v in part.get("versions", {}).items()}
    summary = {
        "benchmark": parts.name,
        "quick": False,
        "versions": versions,
        "machine": limit.machine(rates),
        "rows": [*_others(parts, rows), *rows],
    }
    parts.write(summary)
    print(json.dumps(summary))


def _others(parts: Parts, rows: Sequence[Found]) -> list[Found]:
    """Rows of an earlier run whose cases were not asked for now."""
    now = {row["case"] for row in rows}
    return [row for row in recorded(parts.name).get("rows", []) if row["case"] not in now] if parts.keep else []


def line(row: Found) -> str:
    """A row for people."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    def verdict(holds: bool | None) -> str:
        return {True: "holds", False: "missed", None: "-"}[holds]

    return (
        f"{row['case']:22} ours {number(row['ours'])} {row['unit']}, {row['peer']} {number(row['theirs'])}: "
        f"{number(row['ratio'])}x (goal {row['goal']}x: {verdict(row['goal_holds'])}); "
        f"{number(row['limit_fraction'])} of the limit {number(row['limit'])} (bar {row['bar']}: "
        f"{verdict(row['bar_holds'])}); same answers {number(row['same_answers'])}: {verdict(row.get('answers_hold'))}"
    )
