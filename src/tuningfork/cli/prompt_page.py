"""A looked-at prompt in the terminal: what the model reads, what it counts, the hints.

The prompt itself is printed as it is, between two lines, never in a box and never wrapped by us, so that it can be
copied. What all inputs share is dim where there are colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from ..task import plain_text

if TYPE_CHECKING:
    from ..report.words import Scale
    from ..stats.paired import Difference
    from .prompt_try import Tried
    from .prompt_view import View

READABLE = 110
HEADINGS = 12
COLOURS = {"error": "bold red", "warning": "bold yellow"}


def print_view(name: str, view: View, tried: Tried | None, scale: Scale, console: Console) -> None:
    """The prompt and all that is known of it. `tried` holds a gain for each hint that has a mended prompt."""
    width = min(console.width, READABLE)
    title = f"{name}, train row {view.example.id}"
    console.print(Rule(Text(title, "bold"), align="left", style="dim"), width=width)
    if view.text is not None:
        shown = Text(view.text[: view.shared_characters], "dim")
        console.print(shown.append(Text(view.text[view.shared_characters :])), soft_wrap=True)
    else:
        for message in view.messages:
            console.print(Text(f"[{message.role}]", "bold"))
            console.print(Text(plain_text(message.content)), soft_wrap=True)
    console.print(Rule(style="dim"), width=width)
    for heading, text in _facts(view):
        _line(heading, text, console, width)
    console.print()
    if not view.hints:
        console.print("No hints.")
    gains = iter(tried.gains if tried else ())
    for hint in view.hints:
        _line(hint.level, hint.text, console, width, COLOURS[hint.level])
        gain = next(gains, None) if hint.mended else None
        if tried and gain:
            _line("", _worth(tried, gain, scale), console, width)


def _facts(view: View) -> Sequence[tuple[str, str]]:
    """What stands under the prompt, a heading and a sentence each."""
    parts = ", ".join(f"{name} {count:,}" for name, count in view.parts.items())
    reads = f"; {view.candidate.model} reads {view.context:,}" if view.context else ""
    shares = f"the first {view.shared:,} {view.unit} of every prompt are the same and can be read once"
    facts = [(view.unit, f"{view.total:,} ({parts}){reads}")]
    facts.append(("shared", shares if view.shared else "inputs share no beginning"))
    facts.append(("longest", f"{view.longest:,} {view.unit}, of {view.looked_at} train inputs"))
    if view.why_not:
        facts.append(("messages", f"shown as messages and counted in characters: {view.why_not}."))
    return facts


def _worth(tried: Tried, gain: Difference, scale: Scale) -> str:
    between = scale.between({"difference": gain.value, "low": gain.low, "high": gain.high})
    return f"tried on {tried.n} hold and train rows: {between}; now it is {scale.value(tried.value)}"


def _line(heading: str, text: str, console: Console, width: int, style: str = "bold") -> None:
    """A heading in a column of its own, and its sentence wrapped beside it."""
    for number, piece in enumerate(Text(text).wrap(console, width - HEADINGS)):
        piece.rstrip()
        first = Text().append(f"{'' if number else heading:<{HEADINGS}}", style)
        console.print(first.append_text(piece), soft_wrap=True)
