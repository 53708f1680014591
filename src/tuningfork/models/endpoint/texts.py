"""What can't be sent to a server, found before it is: empty prompts, texts that are no Unicode, broken constraints."""

from __future__ import annotations

import json
import re

from ...model import Constraint, Failure, JsonSchema, OneOf, Regex, ScoreRequest
from ...task import Content, Prompt, plain_text


def fault(prompt: Prompt) -> Failure | None:
    """Why a prompt can't be sent."""
    return text_fault("".join(plain_text(message.content) for message in prompt.messages))


def text_fault(text: str) -> Failure | None:
    """Why a text can't be sent."""
    if not text.strip():
        return Failure("empty_prompt", "The prompt is empty.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Failure("not_unicode", f"Character {error.start + 1} of the prompt is half of a surrogate pair.")
    return None


def choices_fault(request: ScoreRequest) -> Failure | None:
    """Why choices can't be told apart."""
    choices = request.choices
    if not choices or not all(choice.strip() for choice in choices):
        return Failure("empty_choice", f"A choice is empty: {list(choices)!r}.")
    if len(set(choices)) < len(choices):
        return Failure("same_choice", f"Two choices are the same: {sorted(choices)!r}.")
    return fault(request.prompt) or text_fault(" ".join(choices))


def constraint_fault(constraint: Constraint) -> Failure | None:
    """Why nothing can keep to a constraint."""
    try:
        match constraint:
            case OneOf(allowed):
                return None if allowed else Failure("constraint", "The list of allowed answers is empty.")
            case Regex(pattern):
                re.compile(pattern)
            case JsonSchema(schema):
                json.loads(schema)
    except (ValueError, re.error) as error:
        return Failure("constraint", f"The constraint can't be read: {error}.")
    return None


def of_content(content: Content | Prompt) -> str:
    """What is embedded, as one text; of a chat its turns, a line each."""
    if isinstance(content, Prompt):
        return "\n".join(plain_text(message.content) for message in content.messages)
    return plain_text(content)
