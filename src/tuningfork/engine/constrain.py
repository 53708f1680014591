"""Answers that must be one of a list, match a regular expression or be JSON of a schema: which tokens may come next.

The constraint is on the text, whatever its tokens (llguidance walks the grammar and the vocabulary together, bytes
first, so half characters are fine; where one text only is left, its tokens are the tokenizer's own). Regular
expressions are those of Rust's regex crate: no look-around, no back-references. JSON may have white space between
its parts, but never more than a little, since small models like to write it for ever.

A model without a chat template, and most tokenizers that mark words, begin an answer with a space that is no part of
it. So an answer may begin with one space more than its constraint allows, where the model likes that better; the space
is not in its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtra
from ..model import Constraint, Failure, JsonSchema, OneOf, Regex
from .render import not_unicode
from .vocabulary import vocabulary

if TYPE_CHECKING:
    from llguidance import LLMatcher

JSON_STYLE = {"whitespace_pattern": r"[ \n\r\t]{0,8}"}


class Guide:
    """One answer on its way through its constraint."""

    def __init__(self, name: str, bare: LLMatcher, spaced: LLMatcher | None) -> None:
        self._name = name
        self._ways = [(bare, False)] + ([(spaced, True)] if spaced is not None else [])
        self._begun = False

    @property
    def spaced(self) -> bool:
        """Whether the answer began with a space that is not its own."""
        return self._begun and self._ways[0][1]

    @property
    def complete(self) -> bool:
        """Whether nothing more may be written."""
        matcher = self._ways[0][0]
        return self._begun and bool(matcher.is_stopped()) and not matcher.is_error()

    def allowed(self, width: int) -> NDArray[np.bool_] | Failure:
        """(width,): which tokens may come next; those that end an answer where it may end here."""
        masks = [_mask(matcher, width) for matcher, _ in self._ways]
        masks = [mask for mask, (matcher, _) in zip(masks, self._ways, strict=True) if not matcher.is_error()]
        found: NDArray[np.bool_] = np.logical_or.reduce(masks) if masks else np.zeros(width, dtype=np.bool_)
        if found.any():
            return found
        matcher = self._ways[0][0]
        reason = "" if matcher.stop_reason() == "NoExtensionBias" else f" ({_said(matcher)})"
        return Failure(
            "constraint", f"{self._name} can't be met{reason}: there is no token that the answer may go on with."
        )

    def take(self, token: int) -> None:
        """This token, which was allowed and ends nothing, is written. The first one decides about the space."""
        if not self._begun:
            fit = [way for way in self._ways if way[0].validate_tokens([token]) == 1]
            self._ways = (fit or self._ways)[:1]
            self._begun = True
        self._ways[0][0].consume_token(token)


class Guides:
    """Makes guides; what requests of a call have in common is compiled once."""

    def __init__(self, tokenizer: Any, end_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._end_ids = sorted(end_ids)
        self._made: dict[Constraint, tuple[LLMatcher, LLMatcher | None] | Failure] = {}

    def guide(self, constraint: Constraint) -> Guide | Failure:
        """A guide at the beginning of an answer, or why no answer can be. Raises MissingExtra without llguidance."""
        if constraint not in self._made:
            self._made[constraint] = self._compiled(constraint)
        made = self._made[constraint]
        if isinstance(made, Failure):
            return made
        bare, spaced = made
        return Guide(_named(constraint), bare.deep_copy(), None if spaced is None else spaced.deep_copy())

    def _compiled(self, constraint: Constraint) -> tuple[LLMatcher, LLMatcher | None] | Failure:
        try:
            from llguidance import LLMatcher
        except ImportError as error:
            raise MissingExtra("A constrained answer", "llguidance", "local") from error

        words = vocabulary(self._tokenizer, self._end_ids)
        grammars = _grammars(constraint)
        if isinstance(grammars, Failure):
            return grammars
        if words is None:
            return Failure(
                "constraint",
                "This model's tokenizer doesn't say which bytes its tokens stand for, so it can't be held to one.",
            )
        bare, spaced = (LLMatcher(words, grammar, log_level=0) for grammar in grammars)
        if bare.is_error():
            return Failure("constraint", f"{_named(constraint)} can't be used: {_said(bare)}")
        return bare, None if spaced.is_error() else spaced


def _grammars(constraint: Constraint) -> tuple[str, str] | Failure:
    """The constraint as grammars for llguidance, without and with a space before it."""
    from llguidance import LLMatcher

    if fault := _fault(constraint):
        return fault
    match constraint:
        case OneOf(texts):
            return _regexes("|".join("".join(f"\\x{{{ord(character):x}}}" for character in text) for text in texts))
        case Regex(pattern):
            return _regexes(pattern)
        case JsonSchema(schema):
            data = json.loads(schema)
            data = {"x-guidance": JSON_STYLE, **data} if isinstance(data, dict) else data
            lark = f"answer\nanswer: %json {json.dumps(data)}"
            return LLMatcher.grammar_from_lark(f"start: {lark}"), LLMatcher.grammar_from_lark(f'start: " " {lark}')


def _regexes(pattern: str) -> tuple[str, str]:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(pattern), LLMatcher.grammar_from_regex(f" (?:{pattern})")


def _fault(constraint: Constraint) -> Failure | None:
    """What llguidance would not say, or not say well."""
    match constraint:
        case OneOf(()):
            return Failure("constraint", "The list of allowed answers is empty.")
        case OneOf(texts):
            return next((found for text in texts if (found := _not_unicode(text))), None)
        case Regex(pattern):
            return _not_unicode(pattern)
        case JsonSchema(schema):
            try:
                json.loads(schema)
            except (ValueError, RecursionError) as error:
                return Failure("constraint", f"The JSON schema {schema[:80]!r} is no JSON: {error}.")
            return _not_unicode(schema)


def _not_unicode(text: str) -> Failure | None:
    found = not_unicode(text, f"the constraint {text!a:.80}")
    return Failure("constraint", found.message) if found else None


def _mask(matcher: LLMatcher, width: int) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    found = np.zeros(width, dtype=np.bool_)
    found[: len(bits)] = bits[:width]
    return found


def _named(constraint: Constraint) -> str:
    match constraint:
        case OneOf(texts):
            return f"The list of allowed answers {list(texts)!r:.80}"
        case Regex(pattern):
            return f"The regular expression {pattern!r:.80}"
        case JsonSchema(schema):
            return f"The JSON schema {schema!r:.80}"


def _said(matcher: LLMatcher) -> str:
    """The library's own reason, without its state and the lines of the grammar that we made."""
    reason = re.split(r"<state>|\n *\d+ \| ", str(matcher.get_error()))[0]
    return re.sub(r"^at \d+\(\d+\): ", "", " ".join(reason.split()))[:300]
