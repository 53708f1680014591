"""The verdict in a terminal: what a person wants first stands first.

The sentence in a box, then the questions of every report in their order (`questions.py`), short: how sure, what it
costs, what would change it, why; notes, what was spent and where the files are.
The width decides how many columns the leaderboard has: the least needed ones leave first, so that no word is broken.
Colour only underlines what the words say already; a pipe gets the same words without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..log import Ended, RunLog
from . import questions, words
from .live import LiveProgress
from .words import Scale

__all__ = ["LiveProgress", "print_verdict"]

STYLES: Mapping[str, str] = {"finalist": "", "dropped": "dim", "paused": "dim", "failed": "red", "skipped": "dim"}
MOST_ROWS, MOST_NAMES = 12, 6
"""Of the leaderboard and of those that went for the same reason; the page has them all."""
READABLE = 110
"""Sentences are no wider than this, in characters; a table may be."""
OUTCOMES: Mapping[str, str] = {"clear": "clear", "close": "too close to call", "none": "no winner"}


@dataclass(frozen=True)
class Column:
    """One column of the leaderboard: `keep` is how badly it is needed (the lowest leaves first)."""

    title: str
    keep: int
    cell: Callable[[Mapping[str, Any]], str]
    right: bool = False


def print_verdict(log: RunLog, verdict: Mapping[str, Any], console: Console) -> None:
    """Print a verdict (its `to_dict` form) and what it stands on."""
    scale = words.scale_of(log, verdict)
    outcome = OUTCOMES.get(str(verdict["outcome"]), str(verdict["outcome"]))
    title = _safe(f" {verdict['task']}: {outcome} ", console)
    title.stylize("bold")
    sentence = _safe(str(verdict["sentence"]), console)
    wide = min(console.width, READABLE)
    console.print(Panel(sentence, title=title, title_align="left", box=ROUNDED, padding=(1, 2), width=wide))
    short = words.without_addresses(verdict)
    _lines("", [short(line) for line in questions.told(verdict, "The answer")], console)
    _lines("What it holds for", [str(verdict["scope"])], console)
    _sure(verdict, scale, console)
    for question in ("What does it cost?", "What would change it?", "Why?"):
        _lines(question, [short(line) for line in questions.told(verdict, question)], console)
    for question, said in questions.others(verdict):
        _lines(question, [short(line) for line in said], console)
    _lines("Notes", words.notes(log), console)
    _lines("Spent", [_spent(verdict), _from_cache(log)], console)
    names = ("report.html", "verdict.json", "log.jsonl")
    _lines("Files", [str(log.folder / name) for name in names if (log.folder / name).exists()], console, whole=True)


def _sure(verdict: Mapping[str, Any], scale: Scale, console: Console) -> None:
    """How sure: the sentence, the leaderboard, who is in no table and why, the paired differences."""
    question = "How sure is that?"
    short = words.without_addresses(verdict)
    _lines(question, [short(line) for line in questions.told(verdict, question)], console)
    measured = [row for row in verdict["leaderboard"] if row.get("dev") or row.get("test")]
    finalists = [row for row in measured if row["status"] == "finalist"]
    shown = measured[: max(MOST_ROWS, len(finalists))]
    columns = _columns(shown, verdict, scale, console.width)
    if shown:
        console.print()
        console.print(_leaderboard(shown, columns, verdict, console))
    dev_shown = any(column.title.startswith("dev") for column in columns)
    mine, others = words.comparisons_of_best(verdict)
    against = [*_comparisons(mine, verdict, scale), questions.power(verdict, scale), questions.noise(verdict, scale)]
    _lines(short(f"{words.name_of(verdict.get('best'))} against"), list(map(short, against if mine else [])), console)
    _lines("Other comparisons", [short(line) for line in _comparisons(others, verdict, scale)], console)
    _lines("Failed items", _failed_in_final(verdict), console)
    _lines("Not in the final", [short(line) for line in _left(verdict, scale, dev_shown)], console)


def _leaderboard(
    rows: list[Mapping[str, Any]], columns: list[Column], verdict: Mapping[str, Any], console: Console
) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        # an ellipsis shows only where even the columns that never leave don't fit
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        chosen = row["candidate"] == words.name_of(verdict.get("recommended"))
        style = "bold" if chosen else STYLES.get(str(row["status"]), "")
        table.add_row(*(_safe(column.cell(row), console) for column in columns), style=style)
    return table


def _columns(rows: list[Mapping[str, Any]], verdict: Mapping[str, Any], scale: Scale, width: int) -> list[Column]:
    """The columns that fit `width`: empty ones leave, then the least needed, never road, value and standing."""
    ranks = {row["candidate"]: str(number) for number, row in enumerate(rows, start=1)}
    models = words.short_models(str(row["model"]) for row in rows)
    unit = " %" if scale.percent else ""
    tested = any(row.get("test") for row in rows)
    failed = any(row.get("failed_items") for row in rows)
    columns = [
        Column("#", 50, lambda row: ranks[row["candidate"]], right=True),
        Column("road", 99, words.road),
        Column("model", 80, lambda row: models[str(row["model"])] or "-"),
        Column("family", 30, lambda row: words.FAMILIES.get(str(row["family"]), str(row["family"]))),
        Column(f"test{unit} [95%]", 98, lambda row: scale.interval(row.get("test")) or "-"),
        Column(f"dev{unit} [95%]", 40 if tested else 98, lambda row: scale.interval(row.get("dev")) or "-"),
        Column("p50", 60, lambda row: words.milliseconds((row.get("latency_ms") or {}).get("p50")) or "-", right=True),
        Column("reworded", 22, lambda row: _reworded(row, scale) or "-"),
        Column("adapt", 25, lambda row: words.seconds(row.get("adapt_seconds")) or "-", right=True),
        Column("size", 20, lambda row: words.size(row.get("bytes")), right=True),
        Column("failed items", 70, lambda row: str(row.get("failed_items") or "-") if failed else "-", right=True),
        Column("standing", 97, lambda row: words.standing(row, verdict).replace("recommended, best", "recommended")),
    ]
    columns = [column for column in columns if any(column.cell(row) != "-" for row in rows)]
    while columns and _width(columns, rows) > width and min(column.keep for column in columns) < 90:
        columns.remove(min(columns, key=lambda column: column.keep))
    return columns


def _reworded(row: Mapping[str, Any], scale: Scale) -> str:
    return words.reworded((row.get("probes") or {}).get("consistency") or {}, scale)


def _width(columns: list[Column], rows: list[Mapping[str, Any]]) -> int:
    """Characters that the table takes: two blanks between columns, one after the last."""
    wide = [max(cell_len(column.title), *(cell_len(column.cell(row)) for row in rows)) for column in columns]
    return sum(wide) + 2 * (len(columns) - 1) + 1


def _left(verdict: Mapping[str, Any], scale: Scale, dev_shown: bool) -> list[str]:
    """Who did not reach the final and why, also those never measured; what left for the same reason shares a line."""
    groups: dict[str, list[str]] = {}
    for row in verdict["leaderboard"]:
        if row["status"] == "finalist":
            continue
        dev = "" if dev_shown or not row.get("dev") else f" (dev {scale.value(row['dev']['value'])})"
        reason = words.cut(str(row.get("why") or "no reason was logged"), 60, 300)[0]
        groups.setdefault(f"{row['status']}: {reason}", []).append(f"{row['candidate']}{dev}")
    return [f"{_some(names)}: {reason}" for reason, names in groups.items()]


def _some(names: list[str]) -> str:
    more = f" and {words.count(len(names) - MOST_NAMES, 'more', 'more')}" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _failed_in_final(verdict: Mapping[str, Any]) -> list[str]:
    """Finalists that failed on items, also those that answered none and so stand in no table."""
    found = [row for row in verdict["leaderboard"] if row["status"] == "finalist" and row.get("failed_items")]
    return [
        f"{row['candidate']}: {row['why']}"
        if "Failed on" in str(row.get("why"))
        else f"{row['candidate']}: {words.count(row['failed_items'], 'item')}, which its value leaves out."
        for row in found
    ]


def _comparisons(comparisons: list[Mapping[str, Any]], verdict: Mapping[str, Any], scale: Scale) -> list[str]:
    lines = []
    for c in comparisons:
        with_best = c["a"] == words.name_of(verdict.get("best"))
        who = c["b"] if with_best else f"{c['a']} against {c['b']}"
        p = words.p_value(c.get("p_adjusted"))
        shown = f", {words.told_apart(c, verdict)}" if with_best else ""
        lines.append(
            f"{who}: {scale.between(c)}{shown} ({f'adjusted p {p}, ' if p else ''}{words.count(c['n'], 'item')})"
        )
    return lines


def _lines(title: str, lines: list[str], console: Console, whole: bool = False) -> None:
    """A heading (or none) and its sentences, wrapped and set in; `whole` ones are never wrapped, to be copied."""
    lines = [line for line in lines if line]
    if not lines:
        return
    console.print()
    if title:
        console.print(_safe(title, console), style="bold")
    for line in lines:
        text = _safe(line, console)
        for number, piece in enumerate([text] if whole else text.wrap(console, min(console.width, READABLE) - 4)):
            piece.rstrip()
            console.print(Text("    " if number else "  ").append_text(piece), soft_wrap=True)


def _spent(verdict: Mapping[str, Any]) -> str:
    budget = verdict["budget"]
    parts = [words.seconds(budget.get("spent_seconds"))]
    if budget.get("seconds"):
        parts[0] += f" of {words.seconds(budget['seconds'])}"
    if budget.get("spent_tokens"):
        parts.append(words.count(round(budget["spent_tokens"]), "token"))
    if budget.get("spent_usd"):
        parts.append(f"{budget['spent_usd']:.2f} USD")
    looks = verdict.get("test_looks", 0)
    parts.append(f"the test was opened {words.times(looks)}" if looks else "the test was not opened")
    return ", ".join(part for part in parts if part)


def _from_cache(log: RunLog) -> str:
    """How much of the race the cache of answers knew; empty where it knew nothing."""
    asked, found = (sum(ended.cache.get(key, 0) for ended in log.of(Ended)) for key in ("asked", "found"))
    if not found:
        return ""
    share = f"{100 * found / asked:.0f}% of {words.count(asked, 'answer')}"
    return f"{share} had been given before and came from the cache, charged at what they took then."


def _safe(text: str, console: Console) -> Text:
    """Text that is not read as markup, every character of it known to the console's encoding."""
    return Text(text.encode(console.encoding, "replace").decode(console.encoding))
