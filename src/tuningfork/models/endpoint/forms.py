"""Constraints on what a server writes.

A constraint becomes a `json_schema` response format: one of some texts, or a pattern, as the field `answer` of an
object. What comes back is checked here, because some servers take the format and ignore it: an answer that is none of
the texts, does not match the pattern, or (of a schema) is no JSON is a Failure, never passed on. A server whose first
answers all break the form is not asked for it again.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from ...model import Constraint, Failure, JsonSchema, OneOf, Regex

TRIED = 3


class Forms:
    """How often a server kept to a form, and how often not."""

    def __init__(self) -> None:
        self._kept = self._broken = 0
        self._lock = threading.Lock()

    def count(self, constraint: Constraint | None, kept: bool) -> None:
        """Count an answer; one without a constraint does not count."""
        if constraint is not None:
            with self._lock:
                self._kept += kept
                self._broken += not kept

    def fault(self, constraint: Constraint | None) -> Failure | None:
        """Why it is not worth asking for a form."""
        if constraint is None or self._kept or self._broken < TRIED:
            return None
        said = f"the first {self._broken} answers that were to keep to one did not"
        return Failure("no_constraints", f"The server keeps to no form (response_format json_schema): {said}.")


def format_of(constraint: Constraint) -> Mapping[str, Any]:
    """A constraint as a response format."""
    match constraint:
        case OneOf(texts):
            schema = _object({"type": "string", "enum": list(texts)})
        case Regex(pattern):
            schema = _object({"type": "string", "pattern": f"^(?:{pattern})$"})
        case JsonSchema(text):
            schema = json.loads(text)
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def kept(text: str, constraint: Constraint) -> str | None:
    """The answer in a text that keeps to a constraint; None for any other text."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if isinstance(constraint, JsonSchema):
        return text
    said = found.get("answer") if isinstance(found, dict) else None
    if not isinstance(said, str):
        return None
    good = said in constraint.texts if isinstance(constraint, OneOf) else re.fullmatch(constraint.pattern, said)
    return said if good else None


def _object(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}
