"""How a task file names a thing and sets it: `NAME`, or `NAME(setting=value, ...)`. Methods and metrics are named so.

Values are read as YAML reads them, so that a word needs quotes only where it holds a comma, a bracket or a quote:
`lora(rank=16, dora=true)`, `judge(model=fake, question="Is it polite, and short?")`, `scoring:points(range=[0, 10])`.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import TaskError

CLOSES = {"(": ")", "[": "]", "{": "}"}


def parse(spec: str, what: str) -> tuple[str, dict[str, Any]]:
    """The name, and the settings in the brackets after it. `what` says what is named, for errors. Raises TaskError."""
    found = re.fullmatch(r"([^()]+)\((.*)\)", spec.strip(), re.DOTALL)
    if not found:
        return spec.strip(), {}
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in _parts(found[2]))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise TaskError(f"{part!r} in the {what} {spec!r} is no setting. Write name(setting=value, ...).")
        given[key.strip()] = _value(value, spec, what)
    return found[1].strip(), given


def fits(value: Any, usual: Any) -> bool:
    """Whether a setting is of the kind that it is as a rule, and above 0 where that is. None as a rule is a number that
    is chosen where it is not given."""
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(usual, bool) and isinstance(value, bool)
    if isinstance(usual, str):
        return isinstance(value, str | int | float)
    if isinstance(usual, int):
        return isinstance(value, int) and (value > 0 or usual <= 0 <= value)
    if usual is None or isinstance(usual, float):
        return isinstance(value, int | float) and 0 <= value < float("inf")
    return True


def _parts(text: str) -> list[str]:
    """Cut at the commas that stand in no quotes and no brackets."""
    parts, begin, quote, waiting = [], 0, "", ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and text[:at].rstrip()[-1:] in ("=", ",", "[", ""):  # and not the apostrophe of a word
            quote = sign
        elif sign in CLOSES:
            waiting += CLOSES[sign]
        elif waiting and sign == waiting[-1]:
            waiting = waiting[:-1]
        elif sign == "," and not waiting:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


def _value(text: str, spec: str, what: str) -> Any:
    import yaml

    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        raise TaskError(
            f"{text.strip()!r} in the {what} {spec!r} can't be read. Put quotes around a text with : , [ ] or quotes."
        ) from None
    if not isinstance(read, str):
        return read
    try:
        return float(read)  # YAML takes 1e-4 for a word
    except ValueError:
        return read
