"""Numbers in words, the same in the terminal, on the page and on an export's card.

A metric with the range 0 to 1 is shown in percent and its differences in points; any other is shown as it is. Nothing
here knows a terminal or a page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..log import Measured, Noted, RunLog

FAMILIES: Mapping[str, str] = {
    "baseline": "baseline",
    "prompt": "prompt",
    "soft": "soft prompt",
    "tune": "fine-tune",
    "hybrid": "hybrid",
    "yours": "yours",
}
"""Family -> what a person reads."""

MILD_NATS, HEAVY_NATS = 0.05, 0.2
"""From so much more cross-entropy a token of neutral text on, tuning forgot mildly, or heavily."""


ENOUGH_FORMS = 8
"""Rewordings from which on the worst of them says something."""


def notes(log: RunLog) -> list[str]:
    """What the report must say beside its figures: what the split and the race noted, and what was cut."""
    return [*log.started.notes, *(note.text for note in log.of(Noted)), *_cut(log)]


def _cut(log: RunLog) -> list[str]:
    """A sentence for each trial whose inputs were longer than its model reads."""
    tokens: dict[str, float] = {}
    items: dict[str, int] = {}
    for event in log.of(Measured):
        tokens[event.trial] = tokens.get(event.trial, 0) + event.usage.get("tokens_cut", 0)
        items[event.trial] = items.get(event.trial, 0) + event.items
    return [f"{trial}: {inputs_cut(items[trial], cut)}" for trial, cut in tokens.items() if cut]


def inputs_cut(answers: int, tokens: float) -> str:
    """That so many tokens were left out of what these answers were asked about."""
    return (
        f"some inputs are longer than its model reads. Of {answers:,} answers, {tokens:,.0f} tokens of input were cut."
    )


@dataclass(frozen=True)
class Scale:
    """How values of one metric are written. `factor` is 100 for what is shown in percent, else 1."""

    metric: str
    low: float
    high: float
    higher_is_better: bool

    @property
    def percent(self) -> bool:
        return (self.low, self.high) == (0.0, 1.0)

    @property
    def factor(self) -> float:
        return 100.0 if self.percent else 1.0

    @property
    def unit(self) -> str:
        """What stands behind a value: `%`, or nothing."""
        return "%" if self.percent else ""

    def number(self, value: float | None, sign: bool = False) -> str:
        """A value or a difference without its unit; `unknown` for None, which a verdict has for what is not finite."""
        if value is None or not math.isfinite(value):
            return "unknown"
        shown = value * self.factor
        if self.percent:
            return _no_minus_zero(f"{shown:{'+' if sign else ''}.1f}")
        return _no_minus_zero(f"{shown:{'+' if sign else ''}.{3 if abs(shown) < 10 else 1}f}")

    def value(self, value: float | None) -> str:
        """`91.2%`, or `0.412` for a metric that is not shown in percent."""
        number = self.number(value)
        return number if number == "unknown" else number + self.unit

    def interval(self, measured: Mapping[str, Any] | None) -> str:
        """`91.2 [88.0, 93.6]` of a dict with value, low and high; empty for None."""
        if measured is None:
            return ""
        return f"{self.number(measured['value'])} [{self.number(measured['low'])}, {self.number(measured['high'])}]"

    def difference(self, value: float | None) -> str:
        """`+3.1 points`."""
        number = self.number(value, sign=True)
        if not self.percent or number == "unknown":
            return number
        return f"{number} point" if number in ("+1.0", "-1.0") else f"{number} points"

    def between(self, comparison: Mapping[str, Any]) -> str:
        """`+3.1 points, 95% between 1.2 and 5.0` of a comparison of the verdict."""
        low, high = self.number(comparison["low"]), self.number(comparison["high"])
        return f"{self.difference(comparison['difference'])}, 95% between {low} and {high}"

    def goodness(self, score: float) -> str:
        """`right` for the best score there is, `wrong` for the worst, else the value."""
        best, worst = (self.high, self.low) if self.higher_is_better else (self.low, self.high)
        if score == best:
            return "right"
        return "wrong" if score == worst else self.value(score)


def scale_of(log: RunLog, verdict: Mapping[str, Any]) -> Scale:
    """The scale of the metric that decides, its range read from the log."""
    name = str(verdict["metric"])
    declared = next((m for m in log.started.metrics if m["name"] == name), None)
    low, high = declared["range"] if declared else (-math.inf, math.inf)
    return Scale(name, float(low), float(high), bool(verdict["higher_is_better"]))


def seconds(value: float | None) -> str:
    """`0.4 s`, `48 s`, `3 min 20 s`, `1 h 5 min`."""
    if value is None or not math.isfinite(value):
        return ""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(value: float) -> str:
    """`4:05`."""
    whole = max(0, int(value))
    return f"{whole // 60}:{whole % 60:02d}"


def milliseconds(value: float | None) -> str:
    """`0.4 ms`, `12 ms`, `3.4 s`."""
    if value is None or not math.isfinite(value):
        return ""
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 9.95 else f"{value:.1f} ms" if value >= 0.05 else "<0.1 ms"


def size(value: float | None) -> str:
    """`812 B`, `3.4 MiB`; a dash for nothing."""
    if not value:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def forgotten(values: Mapping[str, Any]) -> str:
    """What tuning unlearnt, by the forgetting probe: how heavy it was, and the number behind it."""
    nats, cosine = values.get("nats_a_token"), values.get("cosine")
    if nats is not None:
        word = "heavy" if nats >= HEAVY_NATS else "mild" if nats >= MILD_NATS else "hardly any"
        return f"{word} ({nats:+.2f} nats a token)"
    return "" if cosine is None else f"vectors at cosine {cosine:.2f}"


def reworded(values: Mapping[str, Any], scale: Scale) -> str:
    """How the same items fare when the prompt's form changes, by the consistency probe: the worst form, how many
    answers flip, and how many forms were tried where these are too few to trust."""
    if values.get("worst") is None:
        return ""
    few = f" ({values['formats']:.0f} forms only)" if values["formats"] < ENOUGH_FORMS else ""
    return f"worst {scale.value(values['worst'])}, {100 * values['flips']:.0f}% flip{few}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 item`, `1,200 items`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def about(value: float) -> str:
    """To two figures: `640`, `7,100`."""
    return f"{float(f'{value:.2g}'):,.0f}"


def usd(value: float | None) -> str:
    """`1,200 USD`, `0.41 USD`, to two figures; empty for None."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{about(value)} USD" if value >= 10 else f"{value:.2g} USD"


def times(number: int) -> str:
    """`once`, `3 times`."""
    return "once" if number == 1 else f"{number} times"


def p_value(value: float | None) -> str:
    """`0.032`, `<0.001`; empty for None."""
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def name_of(chosen: Mapping[str, Any] | None) -> str | None:
    """The trial that `best` or `recommended` names; None where there is none."""
    return chosen.get("candidate") or None if chosen else None


def row_of(verdict: Mapping[str, Any], trial: str | None) -> Mapping[str, Any] | None:
    """A trial's row of the leaderboard."""
    return next((row for row in verdict["leaderboard"] if row["candidate"] == trial), None)


def road(row: Mapping[str, Any]) -> str:
    """A row's road without its model, as the table's first column shows it."""
    return str(row.get("method") or str(row["candidate"]).rpartition("@")[0] or row["candidate"])


def short_models(models: Iterable[str]) -> dict[str, str]:
    """Model id -> a short name for a table: without owner, folder or address, where that leaves them all different."""
    ids = list(dict.fromkeys(models))
    short = [re.sub(r"@https?://.*$", "", model).rstrip("/").rpartition("/")[2] for model in ids]
    return dict(zip(ids, short if len(set(short)) == len(ids) else ids, strict=True))


def without_addresses(verdict: Mapping[str, Any]) -> Callable[[str], str]:
    """Takes the addresses of endpoints out of a text for people, where the names that are left stay different."""
    short = {long: name for long, name in short_models(_models(verdict)).items() if "://" in long and long != name}

    def shortened(text: str) -> str:
        for long, name in short.items():
            text = text.replace(long, name)
        return text

    return shortened


def _models(verdict: Mapping[str, Any]) -> list[str]:
    return [str(row["model"]) for row in verdict["leaderboard"]]


def standing(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """How a trial ended, in a word or two: `best, recommended`, `finalist`, `dropped`, ..."""
    trial = row["candidate"]
    marks = [mark for mark in ("recommended", "best") if trial == name_of(verdict.get(mark))]
    if not row.get("feasible", True):
        marks.append("over a limit")
    return ", ".join(marks) or str(row["status"])


def comparisons_of_best(verdict: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Comparisons of the best with each other trial, and all others, each in the verdict's order."""
    best = name_of(verdict.get("best"))
    mine = [c for c in verdict["comparisons"] if c["a"] == best]
    return mine, [c for c in verdict["comparisons"] if c["a"] != best]


def told_apart(comparison: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """What a comparison with the best shows, in words. No significant difference is never called equal."""
    apart = comparison["b"] not in verdict["indistinguishable"]
    return "shown to differ" if apart else "not told apart"


def cut(text: str, words: int = 80, characters: int = 520) -> tuple[str, str]:
    """A text's beginning and its rest, parted between words; the rest is empty for a short text."""
    pieces = text.split(" ")
    head = " ".join(pieces[:words])
    if len(head) > characters:
        head = head[:characters].rsplit(" ", 1)[0] if " " in head[:characters] else head[:characters]
    return head, text[len(head) :]


def settings_line(settings: Mapping[str, Any]) -> str:
    """`rank 8, epochs 3`."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in settings.items())


def _plain(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)


def _no_minus_zero(text: str) -> str:
    return text.lstrip("+-") if float(text) == 0 else text
