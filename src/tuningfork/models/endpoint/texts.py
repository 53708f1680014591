"""What can't be sent to a server, found before it is: empty prompts, texts that are no Unicode, broken constraints."""

from __future__ import annotations

import json
import re

from ...engine.choices import fault as choices_fault
from ...engine.render import not_unicode
from ...engine.request import fault as request_fault
from ...model import Constraint, Failure, GenerateRequest, JsonSchema, OneOf, Regex, ScoreRequest
from ...task import Content, Prompt, plain_text


def writing_fault(request: GenerateRequest) -> Failure | None:
    """Why this can't be asked to be written."""
    return (
        request_fault(request)
        or _prompt_fault(request.prompt)
        or not_unicode("".join(request.stop), "the stop strings")
        or (_constraint_fault(request.constraint) if request.constraint else None)
    )


def scoring_fault(request: ScoreRequest) -> Failure | None:
    """Why these choices can't be scored."""
    return choices_fault(request.choices) or _prompt_fault(request.prompt)


def text_fault(text: str) -> Failure | None:
    """Why a text can't be sent."""
    if not text.strip():
        return Failure("empty_prompt", "The prompt is empty.")
    return not_unicode(text, "the prompt")


def of_content(content: Content | Prompt) -> str:
    """What is embedded, as one text; of a chat its turns, a line each."""
    if isinstance(content, Prompt):
        return "\n".join(plain_text(message.content) for message in content.messages)
    return plain_text(content)


def _prompt_fault(prompt: Prompt) -> Failure | None:
    return text_fault("\n".join(plain_text(message.content) for message in prompt.messages))


def _constraint_fault(constraint: Constraint) -> Failure | None:
    """Why nothing can keep to a constraint."""
    match constraint:
        case OneOf(allowed):
            text = "".join(allowed)
            if not allowed:
                return Failure("constraint", "The list of allowed answers is empty.")
        case Regex(text) | JsonSchema(text):
            try:
                re.compile(text) if isinstance(constraint, Regex) else json.loads(text)
            except (ValueError, re.error) as error:
                return Failure("constraint", f"The constraint {text[:80]!r} can't be read: {error}.")
    return not_unicode(text, "the constraint")
