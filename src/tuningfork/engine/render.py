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
from itertools import pairwise
from typing import Any

from ..errors import ModelError
from ..model import Failure
from ..task import Content, Message, Prompt, plain_text

TAIL_CHARACTERS = 200
TAILS = 4096
PROBE = "fork"
"""A word that any tokenizer reads, to see what it puts round a text."""
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Renderer:
    """Turns prompts of one tokenizer into token ids. `lead` are virtual tokens, with ids below zero, that stand before
    all that a model reads."""

    tokenizer: Any
    lead: tuple[int, ...] = ()
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
        for number, message in enumerate(prompt.messages, 1):
            if found := not_unicode(plain_text(message.content), f"message {number} of the prompt ({message.role})"):
                return found
        try:
            return self.text(prompt)
        except Exception as error:  # whatever a jinja template raises is about this prompt alone
            return Failure("template", f"The model's chat template refuses this prompt: {error}")

    def bare(self, content: Content) -> str | Failure:
        """A text that is no prompt, as it is embedded; or why it can't be."""
        text = plain_text(content)
        if not text.strip():
            return Failure("empty_prompt", "The text is empty.")
        return not_unicode(text, "the text") or self.defused(text)

    def unreadable(self, content: Content | Prompt) -> Failure | None:
        """Why a prompt or a text to embed can't be read."""
        if not isinstance(content, Prompt):
            return not_unicode(plain_text(content), "the text")
        text = self.read(content)
        return text if isinstance(text, Failure) else None

    def text(self, prompt: Prompt) -> str:
        """The whole prompt as the model reads it, up to where its answer begins."""
        if not self.chat:
            return self._transcript(prompt)
        turns = [{"role": m.role, "content": self.defused(plain_text(m.content))} for m in prompt.messages]
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
            text = self.defused(plain_text(message.content))
            match message.role:
                case "system":
                    said += f"\n\n{text}"
                case "user":
                    said += f"\n\nInput: {text}"
                case "assistant":
                    said += f"\nOutput: {text}"
        return said.lstrip("\n") + "\nOutput:"

    @cached_property
    def wrapping(self) -> tuple[list[int], list[int]]:
        """The special tokens that the tokenizer itself puts before and after a text: start, end, both or none."""
        return _around(*(self.tokenizer(PROBE, add_special_tokens=add)["input_ids"] for add in (True, False)))

    @cached_property
    def target_wrapping(self) -> tuple[list[int], list[int]]:
        """The same round a text that an encoder-decoder is to write."""
        return _around(
            *(self.tokenizer(text_target=PROBE, add_special_tokens=add)["input_ids"] for add in (True, False))
        )

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole prompts that an answer follows: the tokenizer's own start token is added once where it
        uses one, its end token is left off. A chat template writes all special tokens itself."""
        before = [*self.lead, *([] if self.chat else self.wrapping[0])]
        return [[*before, *row] for row in self._bare_ids(texts)]

    def encoder_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole texts for an encoder, between the tokens that the tokenizer puts round them; one that a
        chat template has written is not written again."""
        before, after = self.wrapping
        found = []
        for row in self._bare_ids(texts):
            begun = before and row[: len(before)] == before
            ended = after and row[-len(after) :] == after
            found.append([*self.lead, *([] if begun else before), *row, *([] if ended else after)])
        return found

    def target_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of answers that a decoder writes, without the special tokens round them."""
        if not answers:
            return []
        defused = [self.defused(answer) for answer in answers]
        encoded = self.tokenizer(text_target=defused, add_special_tokens=False)["input_ids"]
        return [list(row) for row in encoded]

    def _bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Turns that several prompts share, such as demonstrations, are tokenized once."""
        if len(texts) < 2 or not self._parts:
            return self._whole_ids(texts)
        cut = [self._segments(text) for text in texts]
        distinct = list(dict.fromkeys(segment for segments in cut for segment in segments))
        known = dict(zip(distinct, self._whole_ids(distinct), strict=True))
        return [[token for segment in segments for token in known[segment]] for segments in cut]

    def _whole_ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return [list(row) for row in encoded]

    def _segments(self, text: str) -> list[str]:
        """A text cut before each of its special tokens."""
        assert self._specials is not None
        cuts = [0, *(found.start() for found in self._specials.finditer(text)), len(text)]
        return [text[begin:end] for begin, end in pairwise(cuts) if begin < end]

    @cached_property
    def _parts(self) -> bool:
        """Whether a special token parts a text in two that are read apart: one that takes no spaces with it, and that
        is found before anything is normalized. Tried on a dialogue too."""
        if not (self.chat and self._specials):
            return False
        added = [token for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        if any(token.lstrip or token.rstrip or token.normalized or token.single_word for token in added):
            return False
        turns = [Message("user", f" {PROBE} "), Message("assistant", PROBE), Message("user", f"\n{PROBE}s")]
        try:
            text = self.text(Prompt(tuple(turns)))
        except Exception:  # a template that wants other turns: nothing is known of it
            return False
        pieces = self._whole_ids(self._segments(text))
        return [token for piece in pieces for token in piece] == self._whole_ids([text])[0]

    def continuations(self, text: str, ids: Sequence[int], answers: Sequence[str]) -> list[tuple[int, list[int]]]:
        """For each answer: how many of the prompt's ids stand when it follows, and the ids after these."""
        last = None
        if self.chat and self._specials:
            for found in self._specials.finditer(text):
                last = found
        tail = text[last.start() :] if last else ""
        before = self._tail_ids(tail)
        answers = [self.defused(answer) if self.chat else " " + self.defused(answer) for answer in answers]
        if before and list(ids[-len(before) :]) == before:
            joined = [self._tail_ids(tail + answer) for answer in answers]
        else:  # a plain prompt, or a tail that reads otherwise when it stands alone
            before, joined = list(ids), self.ids([text + answer for answer in answers])
        keep = [common([before, row]) for row in joined]
        return [(len(ids) - len(before) + n, row[n:]) for n, row in zip(keep, joined, strict=True)]

    def edges(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters; for a tokenizer that can't say, where each of its
        words does."""
        if self.tokenizer.is_fast:
            offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            return [(begin, end) for begin, end in offsets]
        return [word.span() for word in re.finditer(r"\S+", text)]

    def _tail_ids(self, tail: str) -> list[int]:
        known = self._tails.get(tail)
        if known is None:
            known = list(self.tokenizer(tail, add_special_tokens=False)["input_ids"]) if tail else []
            if len(tail) < TAIL_CHARACTERS:  # longer ones hold a user's text and won't come again
                if len(self._tails) >= TAILS:
                    self._tails.clear()
                self._tails[tail] = known
        return known

    def defused(self, text: str) -> str:
        """User text with the tokenizer's special tokens broken up, so that data can't end a turn or begin one."""
        return self._specials.sub(lambda m: " ".join((m[0][0], m[0][1:])), text) if self._specials else text


def not_unicode(text: str, where: str) -> Failure | None:
    """Half of a surrogate pair is no character, and no tokenizer takes it: the Failure that names the first one in
    `text`, which stands at `where`."""
    found = SURROGATE.search(text)
    if not found:
        return None
    return Failure(
        "not_unicode",
        f"Character {found.start() + 1} of {where} is half of a surrogate pair ({found[0]!a}), which is no character. "
        "Where it comes from the text was decoded or cut wrongly: repair it there.",
    )


def _around(whole: Sequence[int], bare: Sequence[int]) -> tuple[list[int], list[int]]:
    """What stands in `whole` before and after `bare`."""
    whole, bare = list(whole), list(bare)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise ModelError(
        f"The tokenizer reads {PROBE!r} as {bare}, and as {whole} with its special tokens: it doesn't only put them "
        "before and after, so texts can't be joined. Use another model."
    )


def common(rows: Sequence[Sequence[int]]) -> int:
    """Length of the longest common beginning of all rows."""
    if not rows:
        return 0
    low, high = min(map(list, rows)), max(map(list, rows))
    return next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
