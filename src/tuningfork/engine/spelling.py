"""Tokens to text, piece by piece.

A token may be half a character, and what it looks like may depend on the one before it (a tokenizer that marks words
drops the space before the first). So each new token is decoded together with a few before it, never with all: the work
a token is the same however long the answer gets. The pieces make the text that decoding all tokens at once would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

WINDOW = 8
"""Tokens that are decoded again before the window moves on."""
HALF = "\ufffd"
"""What a decoder writes for bytes that are no character, or not yet."""
_specials: WeakKeyDictionary[Any, frozenset[int]] = WeakKeyDictionary()


class Spelling:
    """Text of tokens that come one by one; special ones have none. Text begins after that of `before`."""

    def __init__(self, tokenizer: Any, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._silent = special_ids(tokenizer)
        self._window = list(before)
        self._whole = len(self._window)
        self._out = len(self._decoded())

    def add(self, token: int) -> str:
        """What has become certain with this token. Bytes that may be half a character wait for their other half."""
        if token in self._silent:
            return ""
        self._window.append(token)
        text = self._decoded()
        certain = text.rstrip(HALF)
        piece = certain[self._out :]
        self._out = max(self._out, len(certain))
        if len(certain) == len(text):
            self._move_on()
        return piece

    def skip(self, characters: int) -> None:
        """The next characters are not said."""
        self._out += characters

    def rest(self) -> str:
        """What never became certain, when nothing follows."""
        piece = self._decoded()[self._out :]
        self._out += len(piece)
        return piece

    def _move_on(self) -> None:
        """No character is half said. A long window keeps the tokens since this was last so: whole characters too."""
        if len(self._window) >= WINDOW:
            self._window = self._window[self._whole :]
            self._out = len(self._decoded())
        self._whole = len(self._window)

    def _decoded(self) -> str:
        if not self._window:
            return ""
        return str(self._tokenizer.decode(self._window, skip_special_tokens=True, clean_up_tokenization_spaces=False))


class Text:
    """An answer's text as it grows: it ends before the first stop string, and what may begin one is not said yet."""

    def __init__(self, spelling: Spelling, stops: Sequence[str], say: Callable[[str], None] | None = None) -> None:
        self.spelling = spelling
        self.text = ""
        self._stops = tuple(stops)
        self._say = say
        self._said = 0

    def add(self, token: int) -> bool:
        """Whether a stop string is complete with this token."""
        return self._grow(self.spelling.add(token))

    def end(self) -> bool:
        """No more tokens follow: says the rest. Whether a stop string has ended it after all."""
        stopped = self._grow(self.spelling.rest())
        self._speak(len(self.text))
        return stopped

    def _grow(self, piece: str) -> bool:
        before = len(self.text)
        self.text += piece
        ends = [self.text.find(stop, max(0, before - len(stop) + 1)) for stop in self._stops]
        found = min((end for end in ends if end >= 0), default=None)
        if found is not None:
            self.text = self.text[:found]
        self._speak(len(self.text) - (0 if found is not None else self._held()))
        return found is not None

    def _held(self) -> int:
        """The length of the longest end of the text that may begin a stop string."""
        longest = 0
        for stop in self._stops:
            fits = (n for n in range(min(len(stop) - 1, len(self.text)), longest, -1) if self.text.endswith(stop[:n]))
            longest = next(fits, longest)
        return longest

    def _speak(self, end: int) -> None:
        if self._say is not None and end > self._said:
            self._say(self.text[self._said : end])
            self._said = end


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that are no text. Looked up once a tokenizer: some have hundreds."""
    if tokenizer not in _specials:
        added = (i for i, token in tokenizer.added_tokens_decoder.items() if token.special)
        _specials[tokenizer] = frozenset((*tokenizer.all_special_ids, *added))
    return _specials[tokenizer]
