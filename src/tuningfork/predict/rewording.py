"""The same request in other words: changes of form that change no meaning (FormatSpread, Sclar et al., ICLR 2024, arXiv
2310.11324).

A field of a template is a line that ends in a place: `Message: {{text}}`, or the place alone. Rewordings change what
stands between a field's name and its place, the case of the name, the spacing, and what surrounds the input; never a
word of the instruction, a label or a user's text. A candidate without a template reads plain inputs: there the forms
are of the input itself (white space, quotes, a final full stop). No language is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random

from ..candidate import Candidate, Function, Single, Template, changed_parts, parts_of
from ..task import Inputs, Message, plain_text
from .prompt import PASSAGES

FIELD = re.compile(
    r"^(?P<name>[^\n{}]*?)[ \t]*[:=-]?[ \t]*(?P<place>\{\{\s*(?P<column>[^{}]+?)\s*\}\})[ \t]*$", re.MULTILINE
)

FIELDS: Mapping[str, Callable[[str, str], str]] = {
    "colon": lambda name, place: f"{name}: {place}",
    "equals": lambda name, place: f"{name} = {place}",
    "dash": lambda name, place: f"{name} - {place}",
    "next line": lambda name, place: f"{name}:\n{place}",
    "capitals": lambda name, place: f"{name.upper()}: {place}",
    "small letters": lambda name, place: f"{name.lower()}: {place}",
    "quotes": lambda name, place: f'{name}: "{place}"',
    "brackets": lambda name, place: f"{name}: [{place}]",
    "heading": lambda name, place: f"### {name}\n{place}",
    "tag": lambda name, place: f"<{name}>{place}</{name}>",
}
"""What a field of this name becomes."""

MESSAGES: Mapping[str, Callable[[str], str]] = {
    "wide": lambda text: re.sub(r"\n+(?!\{\{\s*passages)", "\n\n", text),
    "lines": lambda text: f"---\n{text}\n---",
    "double lines": lambda text: f"===\n{text}\n===",
    "stars": lambda text: f"***\n{text}\n***",
    "hashes": lambda text: f"###\n{text}\n###",
    "fence": lambda text: f"```\n{text}\n```",
    "three quotes": lambda text: f'"""\n{text}\n"""',
    "line before": lambda text: f"\n\n{text}",
    "line after": lambda text: f"{text}\n",
}
"""What the last message becomes."""
MOST = 12
"""Forms of a template that are tried: fields first."""

INPUTS: Mapping[str, Callable[[str], str]] = {
    "indented": lambda text: f"  {text}",
    "line break": lambda text: f"{text}\n",
    "line before": lambda text: f"\n\n{text}",
    "wide": lambda text: re.sub(r" ", "  ", text),
    "quotes": lambda text: f'"{text}"',
    "single quotes": lambda text: f"'{text}'",
    "full stop": lambda text: text.rstrip()[:-1] if text.rstrip().endswith(".") else f"{text.rstrip()}.",
    "brackets": lambda text: f"({text})",
    "lines": lambda text: f"---\n{text}\n---",
    "dots": lambda text: f"{text.rstrip()} ...",
}
"""What the text of every input becomes."""

Reworded = tuple[Candidate, Callable[[Inputs], Inputs]]
"""A candidate, and what becomes of its inputs before it is asked."""


def rewordings(candidate: Candidate) -> dict[str, Reworded]:
    """Other forms by name, each different from the candidate's own and from each other. None for what reads nothing."""
    if any(isinstance(part, Single) and part.prompt for part in parts_of(candidate)):
        found: dict[str, Reworded] = {}
        seen = [candidate]
        for name in (*FIELDS, *MESSAGES):
            other = changed_parts(candidate, partial(_reworded, name))
            if other not in seen and len(found) < MOST:
                seen.append(other)
                found[name] = (other, lambda inputs: inputs)
        return found
    if any(isinstance(part, Single | Function) for part in parts_of(candidate)):
        return {name: (candidate, _on_inputs(change)) for name, change in INPUTS.items()}
    return {}


def orderings(candidate: Candidate, count: int) -> list[Candidate]:
    """At most `count` candidates that show the same fixed demonstrations in other orders, drawn by seed."""
    if not isinstance(candidate, Single) or not isinstance(candidate.shots, tuple):
        return []
    shots, random = candidate.shots, Random("orderings")
    drawn = dict.fromkeys(tuple(random.sample(shots, len(shots))) for _ in range(10 * count))
    others: list[Candidate] = [replace(candidate, shots=order) for order in drawn if order != shots]
    return others[:count]


def reword(template: Template, name: str) -> Template:
    """The template with its last message in the form of that name."""
    *leading, turn = template.messages
    text = plain_text(turn.content)
    text = MESSAGES[name](text) if name in MESSAGES else FIELD.sub(lambda field: _field(field, FIELDS[name]), text)
    return Template((*leading, Message(turn.role, text)))


def _field(field: re.Match[str], form: Callable[[str, str], str]) -> str:
    if field["column"] == PASSAGES:
        return field[0]
    return form(field["name"].strip() or field["column"], field["place"])


def _reworded(name: str, part: Candidate) -> Candidate:
    if isinstance(part, Single) and part.prompt:
        return replace(part, prompt=reword(part.prompt, name))
    return part


def _on_inputs(change: Callable[[str], str]) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {column: change(plain_text(content)) for column, content in inputs.items()}
