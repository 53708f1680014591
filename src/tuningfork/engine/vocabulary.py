"""A tokenizer's vocabulary as llguidance reads it: what bytes each token stands for.

The library knows byte-level tokenizers and those decoded like Llama's. Others that mark words with "\u2581", such as
T5's, are spelt out for it here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .spelling import special_ids

if TYPE_CHECKING:
    from llguidance import LLTokenizer

MARK = "\u2581"
BYTE = re.compile("<0x([0-9A-F]{2})>")
_known: WeakKeyDictionary[Any, LLTokenizer] = WeakKeyDictionary()
"""Reading a vocabulary takes up to a second; it is done once a tokenizer."""


def vocabulary(tokenizer: Any, end_ids: Collection[int]) -> LLTokenizer | None:
    """None for a tokenizer whose tokens can't be told in bytes."""
    if tokenizer not in _known:
        made = _read(tokenizer, sorted(end_ids))
        if made is None:
            return None
        _known[tokenizer] = made
    return _known[tokenizer]


def _read(tokenizer: Any, end_ids: list[int]) -> LLTokenizer | None:
    import llguidance.hf
    from llguidance import LLTokenizer, TokenizerWrapper

    fast = tokenizer.is_fast
    marks = any(token.startswith(MARK) for token in tokenizer.get_vocab())
    if marks and not (fast and "Metaspace" not in str(tokenizer.backend_tokenizer.decoder)):
        return LLTokenizer(TokenizerWrapper(Marked(tokenizer)), eos_token=end_ids or None)
    return llguidance.hf.from_tokenizer(tokenizer, eos_token=end_ids or None) if fast else None


class Marked:
    """A tokenizer that marks words, in the form that llguidance's wrapper asks for."""

    def __init__(self, tokenizer: Any) -> None:
        self.eos_token_id = tokenizer.eos_token_id
        self.bos_token_id = tokenizer.bos_token_id
        self.special_token_ids = sorted(special_ids(tokenizer))
        self.tokens = [_bytes(token) for token in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))]

    def __call__(self, text: bytes) -> list[int]:
        """Tokens of exactly these bytes, the longest first: the tokenizer itself would put a space before them."""
        found = []
        while text:
            size = next((n for n in range(min(self._longest, len(text)), 0, -1) if text[:n] in self._ids), 0)
            if not size:
                break
            found.append(self._ids[text[:size]])
            text = text[size:]
        return found

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        special = set(self.special_token_ids)
        return {text: i for i, text in enumerate(self.tokens) if i not in special}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._ids))


def _bytes(token: str | None) -> bytes:
    byte = BYTE.fullmatch(token or "")
    return bytes([int(byte[1], 16)]) if byte else (token or "").replace(MARK, " ").encode()
