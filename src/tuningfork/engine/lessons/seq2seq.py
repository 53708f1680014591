"""Lessons for an encoder-decoder: the encoder reads the prompt, the decoder every choice or the text to write."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import MethodError
from ...model import Failure, TuneItem
from ...task import Prompt
from .. import choices as choices_
from .. import rows as rows_
from .. import seq2seq
from ..fit import fitted
from ..render import Renderer
from ..rows import Row
from ..weights import Weights
from .lesson import Lesson, answer_of, loss_of


def _length(ids: list[int]) -> int:
    return len(ids)


class Seq2SeqReader:
    """Reads prompts padded to the longest of a pass."""

    shared_tokens = 0

    def __init__(self, weights: Weights, renderer: Renderer) -> None:
        self.weights = weights
        self.renderer = renderer
        self.before = seq2seq.begin_ids(weights, renderer)

    def lessons(self, items: Sequence[TuneItem]) -> list[Lesson]:
        """Items whose prompt or answer is too long are left out."""
        if any(item.target is None and not item.shares for item in items):
            raise MethodError("An encoder-decoder learns what to answer; a text alone teaches it nothing here.")
        found = []
        for index, item in enumerate(items):
            fit = fitted(self.renderer, item.prompt, self.weights.context_tokens, _length, self._ids)
            ids: list[int] | Failure = fit[0]
            branches = self._branches(item)
            if isinstance(ids, Failure) or isinstance(branches, Failure):
                continue
            target, shares = answer_of(item, len(branches) > 1)
            row = Row(index, ids, len(ids))
            found.append(Lesson(row, target, item.weight, shares, item.exclusive, tuple(map(tuple, branches))))
        return found

    def _ids(self, prompt: Prompt) -> list[int] | Failure:
        text = self.renderer.read(prompt)
        return text if isinstance(text, Failure) else self.renderer.encoder_ids([text])[0]

    def _branches(self, item: TuneItem) -> list[list[int]] | Failure:
        """The tokens of each choice, or of the text with its end."""
        choices = item.choices or (item.target or "",)
        if fault := choices_.fault(choices):
            return fault
        end = self.renderer.tokenizer.eos_token_id
        branches = choices_.parted(self.renderer.target_ids(choices), end)
        if fault := choices_.token_fault(choices, branches):
            return fault
        if not item.choices and end is not None:
            branches = [[*branches[0], end]]
        longest = len(self.before) + max(map(len, branches)) - 1
        if longest > self.weights.answer_tokens:
            return Failure(
                "too_long", f"An answer has {longest} tokens, the decoder reads {self.weights.answer_tokens}."
            )
        return branches

    def begin(self, learn: Sequence[Lesson], labels: int) -> None:
        """Nothing learns beside the adapter."""

    def parameters(self) -> list[torch.Tensor]:
        return []

    def losses(self, part: Sequence[Lesson]) -> torch.Tensor:
        """(lessons,) losses in nats."""
        states, mask = seq2seq.encode(self.weights, [lesson.row.ids for lesson in part])
        owners = [i for i, lesson in enumerate(part) for _ in lesson.branches]
        branches = [choice for lesson in part for choice in lesson.branches]
        at = torch.tensor(owners, device=states.device)
        ids, _ = rows_.padded(self.weights, [[*self.before, *choice[:-1]] for choice in branches])
        said = self.weights.net.get_decoder()(
            input_ids=ids, encoder_hidden_states=states[at], encoder_attention_mask=mask[at], use_cache=False
        ).last_hidden_state[:, len(self.before) - 1 :]
        width = said.shape[1]
        wanted = [(r * width + depth, token) for r, own in enumerate(branches) for depth, token in enumerate(own)]
        each = rows_.wanted_nats(self.weights, said.flatten(0, 1), wanted)
        nats = [own.sum() for own in torch.split(each, [len(own) for own in branches])]
        losses, begin = [], 0
        for lesson in part:
            end = begin + len(lesson.branches)
            losses.append(loss_of(lesson, torch.stack(nats[begin:end]), len(lesson.branches[0])))
            begin = end
        return torch.stack(losses)
