"""Writing text: rows run side by side, finished ones leave, waiting ones enter.

Greedy, or sampled with noise of each request's own seed, so that an answer does not depend on its batch. What touches
weights is in `decoder`, text in `spelling`, constraints in `constrain`; here is the order of events.

An answer's `nats` are those of its tokens, its end included where the model wrote one, under the model's own
distribution: at temperature 1, without `top_p`, and without the constraint, which only says which of them may be
chosen. So a low value under a constraint still says that the model would have written something else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from ..model import Answer, Failure, GenerateRequest, Usage
from .constrain import Guide
from .decoder import Decoder, open_decoder
from .memory import ran_short
from .ready import Ready, begin, ready
from .render import Renderer
from .rows import no_memory
from .spelling import Spelling, Text
from .weights import Weights

OnText = Callable[[int, str], None]


@dataclass
class Writing:
    """A row on its way: its prompt's tokens and how many of them were computed for it, the tokens written, their
    log-probability, the text, and why it ended."""

    request: GenerateRequest
    ids: list[int]
    room: int
    text: Text
    guide: Guide | None = None
    dice: torch.Generator | None = None
    computed: int = 0
    wrote: list[int] = field(default_factory=list)
    nats: float = 0.0
    why: str = ""
    failure: Failure | None = None

    @property
    def over(self) -> bool:
        return bool(self.why) or self.failure is not None


def generate(
    weights: Weights, renderer: Renderer, requests: Sequence[GenerateRequest], on_text: OnText | None = None
) -> list[Answer | Failure]:
    """One Answer or Failure a request, in order; `on_text(i, piece)` as pieces of request i become certain, which come
    in order for each i, those of many requests by turns. Raises MissingExtra for a constraint without its library."""
    start = time.perf_counter()
    read = ready(weights, renderer, requests)
    fit = [one for one in read if isinstance(one, Ready)]
    writing = [_writing(weights, renderer, one, on_text) for one in fit]
    with torch.inference_mode():
        _write_all(weights, renderer, writing)
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    found = {one.index: _answer(one, written, seconds) for one, written in zip(fit, writing, strict=True)}
    return [one if isinstance(one, Failure) else found[index] for index, one in enumerate(read)]


def _answer(one: Ready, writing: Writing, seconds: float) -> Answer | Failure:
    read, wrote = writing.computed, len(writing.wrote)
    usage = Usage(read, wrote, len(one.ids) - read, tokens_cut=one.cut, seconds=seconds)
    return writing.failure or Answer(writing.text.text, writing.nats, writing.why, usage)


def _writing(weights: Weights, renderer: Renderer, one: Ready, on_text: OnText | None) -> Writing:
    # A constraint counts every character, so its text is decoded as if a word stood before it: no space is dropped.
    before = renderer.tokenizer("a", add_special_tokens=False)["input_ids"] if one.guide else ()
    say = partial(on_text, one.index) if on_text else None
    text = Text(Spelling(renderer.tokenizer, before), one.request.stop, say)
    return Writing(one.request, one.ids, one.room, text, one.guide, _dice(weights, one.request))


def _dice(weights: Weights, request: GenerateRequest) -> torch.Generator | None:
    return torch.Generator(weights.device).manual_seed(request.seed % (1 << 63)) if request.temperature > 0 else None


def _write_all(weights: Weights, renderer: Renderer, writing: Sequence[Writing]) -> None:
    """Until all have ended. Where memory runs short those that are left go on from what they have written, half as many
    side by side; one that does not fit alone fails."""
    left, most = list(writing), max(1, len(writing))
    while left:
        live: list[Writing] = []
        lost: list[Writing] = []
        try:
            _write(weights, renderer.end_ids, _opened(weights, renderer, left, most), left, live, lost)
        except RuntimeError as error:
            if not ran_short(error) or not live:
                raise
        stuck = [one for one in (*live, *lost) if not one.over]
        if most == 1:
            for one in stuck:
                one.failure = no_memory(len(one.ids) + len(one.wrote))
        left = [one for one in left if not one.over]
        most = max(1, min(most, len(stuck)) // 2)


def _opened(weights: Weights, renderer: Renderer, writing: Sequence[Writing], most: int) -> Decoder:
    """A decoder for what is left of these answers."""
    ids, wrote = [one.ids for one in writing], [one.wrote for one in writing]
    room = [one.room - len(one.wrote) for one in writing]
    decoder = open_decoder(weights, ids, wrote, room, begin(weights, renderer), most)
    for one, computed in zip(writing, decoder.computed, strict=True):
        one.computed = one.computed or computed
    return decoder


def _write(
    weights: Weights,
    end_ids: frozenset[int],
    decoder: Decoder,
    writing: Sequence[Writing],
    live: list[Writing],
    lost: list[Writing],
) -> None:
    """Until all have ended: rows enter where there is room, else every live row gets its next token. `live` is kept up
    to date, for the case that memory runs short; prompts that did not fit beside the live go to `lost`."""
    waiting = deque(decoder.order)
    while waiting or live:
        entering = [waiting.popleft() for _ in range(decoder.fits(waiting))]
        if entering:
            states, asked = _admitted(decoder, writing, entering, live, lost)
        else:
            states, asked = decoder.step([one.wrote[-1] for one in live]), live
        if asked:
            _choose(weights, end_ids, states, asked)
        gone = {place for place, one in enumerate(live) if one.over}
        if gone:
            live[:] = [live[place] for place in decoder.release(gone)]


def _admitted(
    decoder: Decoder, writing: Sequence[Writing], entering: Sequence[int], live: list[Writing], lost: list[Writing]
) -> tuple[torch.Tensor, list[Writing]]:
    """The states of those that entered, and these. All that are to enter count as live until it is known."""
    before = list(live)
    live += [writing[i] for i in entering]
    entered, states = decoder.admit(entering)
    asked = [writing[i] for i in entered]
    live[:] = [*before, *asked]
    lost += [writing[i] for i in entering if i not in entered]
    return states, asked


def _choose(weights: Weights, end_ids: frozenset[int], states: torch.Tensor, asked: Sequence[Writing]) -> None:
    """The next token of every row, from states (n, d); one transfer brings all tokens and nats from the device."""
    logits = weights.logits(states)
    all_nats = torch.log_softmax(logits, -1)
    open_ = _constrained(logits, asked)
    tokens = open_.argmax(-1)
    sampled = [row for row, one in enumerate(asked) if one.dice is not None]
    if sampled:
        tokens[sampled] = _sampled(open_[sampled], [asked[row] for row in sampled])
    logit, chosen = (found.gather(1, tokens[:, None])[:, 0] for found in (logits, all_nats))
    if weights.dtype != torch.float32:
        chosen = chosen - logit + weights.logits_of(states, tokens)
    both = torch.stack([tokens.double(), chosen.double()]).tolist()
    for one, token, nats in zip(asked, *both, strict=True):
        _take(one, end_ids, int(token), nats)


def _constrained(logits: torch.Tensor, asked: Sequence[Writing]) -> torch.Tensor:
    """Logits (n, V) with -inf for what constraints forbid. A row that nothing is left for fails."""
    guided = [(row, one.guide.allowed(logits.shape[1])) for row, one in enumerate(asked) if one.guide]
    if not guided:
        return logits
    allowed = torch.ones(logits.shape, dtype=torch.bool)
    for row, mask in guided:
        if isinstance(mask, Failure):
            asked[row].failure = mask
        else:
            allowed[row] = torch.from_numpy(mask)
    return logits.masked_fill(~allowed.to(logits.device), float("-inf"))


def _sampled(logits: torch.Tensor, asked: Sequence[Writing]) -> torch.Tensor:
    """One token of each row (n, V): the largest of logit / temperature and Gumbel noise is a sample, and hardly ever
    changes with the last digits of the logits, which depend on the batch."""
    warmth = torch.tensor([[one.request.temperature] for one in asked], device=logits.device)
    scaled = (logits - logits.amax(-1, keepdim=True)) / warmth
    if any(one.request.top_p < 1 for one in asked):
        # A row with all tokens keeps them, whatever its neighbours ask for: sums of chances may round to more than 1.
        top_p = [[one.request.top_p if one.request.top_p < 1 else 2.0] for one in asked]
        scaled = _nucleus(scaled, torch.tensor(top_p, device=logits.device))
    noise = torch.empty_like(scaled)
    for row, one in enumerate(asked):
        noise[row].exponential_(generator=one.dice)
    return scaled.sub_(noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_()).argmax(-1)


def _nucleus(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """-inf for all but the likeliest tokens that together have `top_p` (n, 1); the likeliest always stays."""
    chances, order = torch.softmax(logits, -1).sort(-1, descending=True)
    beyond = chances.cumsum(-1) - chances >= top_p
    return logits.masked_fill(beyond.scatter(1, order, beyond), float("-inf"))


def _take(one: Writing, end_ids: frozenset[int], token: int, nats: float) -> None:
    """A row's next token: it may end the answer, alone or by what it completes."""
    if nats != nats:
        one.failure = one.failure or Failure("nan", "The model gave NaN for this prompt.")
    if one.failure:
        return
    one.nats += nats
    if token in end_ids:
        one.why = "end"
    else:
        one.wrote.append(token)
        if one.guide:
            _guide(one, one.guide)
        if one.text.add(token):
            one.why = "stop"
        elif one.guide and one.guide.complete:
            one.why = "end"
        elif len(one.wrote) >= one.room:
            one.why = "length"
    if one.why and one.text.end():
        one.why = "stop"


def _guide(one: Writing, guide: Guide) -> None:
    first = len(one.wrote) == 1
    guide.take(one.wrote[-1])
    if first and guide.spaced:
        one.text.spelling.skip(1)
