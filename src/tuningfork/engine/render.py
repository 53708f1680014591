"""A Prompt as token ids, the same in scoring, generation, embedding and training.

A model with a chat template is asked through it; one without reads a plain transcript. Choices and targets are
tokenized together with the end of their prompt, so that joining never changes the tokens: what stands before the last
special token of a chat prompt can't matter, so the short tail from there is all that is tokenized again for a choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..model import Failure
from ..task import Prompt, plain_text

TAIL_CHARACTERS = 200


@dataclass
class Renderer:
    """Turns prompts of one tokenizer into token ids."""

    tokenizer: Any
    _tails: dict[str, list[int]] = field(default_factory=dict)
    _specials: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        added = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        names = sorted({*self.tokenizer.all_special_tokens, *added} - {""}, key=len, reverse=True)
        self._specials = re.compile("|".join(map(re.escape, names))) if names else None

    @property
    def chat(self) -> bool:
        """Whether the tokenizer brings a chat template."""
        return bool(self.tokenizer.chat_template)

    @cached_property
    def end_id(self) -> int | None:
        """The token that ends an answer: the one the chat template closes a turn with, else the end of text."""
        end: int | None = self.tokenizer.eos_token_id
        if not self.chat or not self._specials:
            return end
        turns = [{"role": "user", "content": "tuning"}, {"role": "assistant", "content": "fork"}]
        closed = str(self.tokenizer.apply_chat_template(turns, tokenize=False)).rpartition("fork")[2]
        closing = self._specials.search(closed)
        return int(self.tokenizer.convert_tokens_to_ids(closing[0])) if closing else end

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that writing stops at: the end of an answer and the end of text."""
        return frozenset(i for i in (self.end_id, self.tokenizer.eos_token_id) if i is not None)

    def read(self, prompt: Prompt) -> str | Failure:
        """`text`, or why this prompt can't be asked."""
        if not any(plain_text(m.content).strip() for m in prompt.messages):
            return Failure("empty_prompt", "The prompt is empty.")
        try:
            return self.text(prompt)
        except Exception as error:  # whatever a jinja template raises is about this prompt alone
            return Failure("template", f"The model's chat template refuses this prompt: {error}")

    def text(self, prompt: Prompt) -> str:
        """The whole prompt as the model reads it, up to where its answer begins."""
        if not self.chat:
            return self._transcript(prompt)
        turns = [{"role": m.role, "content": self._defused(plain_text(m.content))} for m in prompt.messages]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a jinja template raises its own errors; many refuse a system turn
            if "system" not in str(error).lower() or turns[0]["role"] != "system":
                raise
            instruction, *rest = turns
            asked = [instruction["content"], *(turn["content"] for turn in rest[:1])]
            merged = [{"role": "user", "content": "\n\n".join(asked)}, *rest[1:]]
            text = self.tokenizer.apply_chat_template(merged, tokenize=False, add_generation_prompt=True)
        return str(text)

    def _transcript(self, prompt: Prompt) -> str:
        """For models without a chat template: instructions first, then Input / Output pairs, ending where the answer
        begins."""
        said = ""
        for message in prompt.messages:
            text = self._defused(plain_text(message.content))
            match message.role:
                case "system":
                    said += f"\n\n{text}"
                case "user":
                    said += f"\n\nInput: {text}"
                case "assistant":
                    said += f"\nOutput: {text}"
        return said.lstrip("\n") + "\nOutput:"

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole prompts; the tokenizer's own start token is added once where it uses one."""
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=not self.chat, return_attention_mask=False)
        found: list[list[int]] = encoded["input_ids"]
        if not self.chat and self.end_id is not None and found and all(row and row[-1] == self.end_id for row in found):
            return [row[:-1] for row in found]
        return found

    def continuation(self, text: str, ids: Sequence[int], answer: str) -> tuple[int, list[int]]:
        """How many of the prompt's ids stand when `answer` follows it, and the ids after these."""
        answer = self._defused(answer) if self.chat else " " + self._defused(answer)
        last = None
        if self.chat and self._specials:
            for found in self._specials.finditer(text):
                last = found
        tail = text[last.start() :] if last else ""
        before = self._tail_ids(tail)
        if before and list(ids[-len(before) :]) == before:
            joined = self._tail_ids(tail + answer)
        else:  # a plain prompt, or a tail that reads otherwise when it stands alone
            before, joined = list(ids), self.ids([text + answer])[0]
        keep = common([before, joined])
        return len(ids) - len(before) + keep, joined[keep:]

    def _tail_ids(self, tail: str) -> list[int]:
        known = self._tails.get(tail)
        if known is None:
            known = list(self.tokenizer(tail, add_special_tokens=False)["input_ids"]) if tail else []
            if len(tail) < TAIL_CHARACTERS:  # longer ones hold a user's text and won't come again
                self._tails[tail] = known
        return known

    def _defused(self, text: str) -> str:
        """User text with the tokenizer's special tokens broken up, so that data can't end a turn or begin one."""
        return self._specials.sub(lambda m: " ".join((m[0][0], m[0][1:])), text) if self._specials else text


def common(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest common beginning of all rows."""
    if not rows:
        return 0
    low, high = min(map(list, rows)), max(map(list, rows))
    for index, (a, b) in enumerate(zip(low, high, strict=False)):
        if a != b:
            return index
    return min(len(low), len(high))
