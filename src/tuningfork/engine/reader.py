"""How a model reads a prompt, without its weights: its chat template, its tokens, its context.

The tokenizer alone opens in about a second, so a prompt can be looked at before anything is asked. The text and the
token ids are those of `Renderer`, which scoring and writing use, so what is shown is what is read.
"""

from __future__ import annotations

from pathlib import Path

import transformers
from transformers import AutoConfig

from ..model import Failure
from ..task import Prompt
from .opening import context_of, tokenizer_in
from .render import Renderer, common


class Reader:
    """A model folder's tokenizer. `context_tokens` is the longest input that the model was made for."""

    def __init__(self, folder: Path) -> None:
        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        tokenizer = tokenizer_in(folder)
        self._tokenizer, self._renderer = tokenizer, Renderer(tokenizer)
        self.chat = self._renderer.chat
        self.context_tokens = context_of(AutoConfig.from_pretrained(folder), tokenizer, folder)

    def read(self, prompt: Prompt) -> str | Failure:
        """The whole prompt as the model reads it, or why it can't."""
        return self._renderer.read(prompt)

    def count(self, text: str) -> int:
        """Tokens of a piece of text by itself."""
        return len(self._tokenizer(self._renderer.defused(text), add_special_tokens=False)["input_ids"])

    def lengths(self, texts: list[str]) -> tuple[list[int], int]:
        """Tokens of each whole prompt, and how many all of them begin with in common."""
        rows = self._renderer.ids(texts)
        return [len(row) for row in rows], common(rows)
