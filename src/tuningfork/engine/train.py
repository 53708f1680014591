"""THE training loop. Whatever moves, it moves here.

A recipe (data) says what moves and for how long; items are prompts rendered by the code that `predict` uses. The loss
sits only where the answer is: over the given choices (log-probabilities of all their tokens, as scoring computes them,
then softmax), over the target's tokens, or, for an encoder, over a linear head on its vectors. Tokens that all prompts
share are read once a step, with gradients. Steps are fixed before the first one; the best state on hold is what comes
back.

Selection looks at the mean probability of the right choice, not at its log: on few examples the log-loss turns up
long before decisions get worse. An earlier state wins over the last one only where hold shows it to be better. The
adapter's masters are fp32, products run in the base's dtype.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..errors import MethodError
from ..model import Adapter, CurvePoint, Failure, Recipe, Tuned, TuneItem, Usage
from ..store.blobs import Blob
from ..task import Prompt
from . import choices as choices_
from . import rows as rows_
from .adapters import lora as lora_
from .attention import KeysValues, Span, held
from .embed import pooled, token_ids
from .fit import fitted
from .render import Renderer, common
from .rows import Row
from .score import branch
from .tree import Node
from .weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Branches = tuple[list[int], list[list[int]]]
"""A prompt's tokens, and those of each choice after it."""

MICRO_TOKENS = 768
FEWEST_SHARED = 8
LOOKS = 10
LOOK_SHARE = 0.2
LOOK_COST = 1 / 3
"""A pass forward, in tokens trained: about a third of forward and backward."""
CENTROID_SCALE = 10.0


@dataclass
class _Item:
    """A row to learn: `target` is the index of the right choice (0 where there is one text)."""

    row: Row
    target: int
    weight: float
    choices: bool


@dataclass
class _Run:
    """What a training holds while it runs."""

    weights: Weights
    recipe: Recipe
    lora: lora_.Lora
    beginning: Node | None
    head: tuple[torch.Tensor, torch.Tensor] | None = None
    continued: bool = False
    curve: list[CurvePoint] = field(default_factory=list)
    tokens: int = 0

    @property
    def moving(self) -> list[dict[str, object]]:
        groups: list[dict[str, object]] = [{"params": self.lora.parameters(), "lr": self.recipe.learning_rate}]
        if self.head:
            groups.append({"params": list(self.head), "lr": self.recipe.head_learning_rate})
        return groups

    def snapshot(self) -> list[torch.Tensor]:
        return [t.detach().clone() for t in self._tensors()]

    def restore(self, snapshot: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for tensor, saved in zip(self._tensors(), snapshot, strict=True):
                tensor.copy_(saved)

    def _tensors(self) -> list[torch.Tensor]:
        return [*self.lora.parameters(), *(self.head or ())]


def tune(
    weights: Weights,
    renderer: Renderer,
    model_id: str,
    recipe: Recipe,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    start: Adapter | None = None,
) -> Tuned:
    """Train by the recipe. A loss that is no number restarts once at a quarter of the rate, then raises MethodError."""
    began, tokens = time.perf_counter(), 0
    for attempt in (0, 1):
        used = replace(recipe, learning_rate=recipe.learning_rate / 4**attempt)
        run, learn, watch, left_out = _prepare(weights, renderer, used, items, hold, start)
        with lora_.worn(weights, run.lora):
            why = _loop(run, learn, watch, began)
        tokens += run.tokens
        if why != "diverged":
            break
    else:
        raise MethodError(f"The loss became no number twice, the second time at a rate of {used.learning_rate:g}.")
    head = Blob.of_arrays({"weight": _numpy(run.head[0]), "bias": _numpy(run.head[1])}) if run.head else None
    notes = {"left_out": float(left_out), "learning_rate": used.learning_rate, "restarts": float(attempt)}
    usage = Usage(tokens_trained=tokens, seconds=time.perf_counter() - began)
    return Tuned(lora_.pack(weights, run.lora, model_id), head, tuple(run.curve), usage, why, notes)


def _prepare(
    weights: Weights,
    renderer: Renderer,
    recipe: Recipe,
    items: Sequence[TuneItem],
    hold: Sequence[TuneItem],
    start: Adapter | None,
) -> tuple[_Run, list[_Item], list[_Item], int]:
    lora = lora_.fresh(weights, recipe)
    if start is not None:
        lora = lora_.unpack(weights, start, torch.float32)
        for tensor in lora.parameters():
            tensor.requires_grad_(True)
    encode = _causal_items if weights.causal else _encoder_items
    learn, prefix = encode(weights, renderer, items)
    watch, _ = encode(weights, renderer, hold, prefix)
    if not learn:
        raise MethodError("No example fits the model's context, so there is nothing to learn from.")
    run = _Run(weights, recipe, lora, prefix, continued=start is not None)
    if not weights.causal:
        with lora_.worn(weights, lora):
            run.head = _centroids(weights, learn, len(items[0].choices))
    return run, learn, watch, len(items) - len(learn)


def _causal_items(
    weights: Weights, renderer: Renderer, items: Sequence[TuneItem], like: Node | None = None
) -> tuple[list[_Item], Node | None]:
    """Items as rows after the tokens that all prompts share. Those that can't be read, or are longer than the context
    and may not be cut, are left out."""
    parts: list[tuple[TuneItem, list[int], list[list[int]]]] = []
    for item in items:
        made = fitted(renderer, item.prompt, weights.context_tokens, _tokens, partial(_branches, renderer, item))
        if not isinstance(made[0], Failure):
            parts.append((item, *made[0]))
    prompts = [kept for _, kept, _ in parts]
    node = like or (_beginning(prompts) if weights.shares else None)
    found = []
    for index, (item, kept, branches) in enumerate(parts):
        if node and (kept[: node.end] != node.ids or len(kept) == node.end):
            continue
        if not weights.shares and len(branches) > 1:  # a trie needs the tree mask that this model can't take
            branches = [[*branches[item.choices.index(item.target)]]]
        row = rows_.build(index, kept[node.end if node else 0 :], branches, node)
        several = len(branches) > 1
        found.append(_Item(row, item.choices.index(item.target) if several else 0, item.weight, several))
    return found, node


def _branches(renderer: Renderer, item: TuneItem, prompt: Prompt) -> Branches | Failure:
    """The prompt's tokens and those of each choice after it; a text is learnt with its end."""
    text = renderer.read(prompt)
    if isinstance(text, Failure):
        return text
    if fault := choices_.fault(item.choices or (item.target,)):
        return fault
    kept, branches = branch(renderer, text, renderer.ids([text])[0], item.choices or (item.target,))
    if not item.choices and renderer.end_id is not None:
        branches = [[*branches[0], renderer.end_id]]
    return kept, branches


def _tokens(made: Branches) -> int:
    return len(made[0]) + max(map(len, made[1]))


def _beginning(prompts: Sequence[Sequence[int]]) -> Node | None:
    """What all prompts begin with, where that is worth a pass of its own in each step."""
    if len(prompts) < 2:
        return None
    shared = min(common(prompts), min(map(len, prompts)) - 1)
    return Node(list(prompts[0][:shared]), 0, None) if shared >= FEWEST_SHARED else None


def _encoder_items(
    weights: Weights, renderer: Renderer, items: Sequence[TuneItem], like: Node | None = None
) -> tuple[list[_Item], Node | None]:
    if not all(item.choices for item in items):
        raise MethodError("An encoder learns to choose between labels; an item here has no choices.")
    ids = token_ids(weights, renderer, [item.prompt for item in items])
    return [
        _Item(rows_.build(i, own, []), item.choices.index(item.target), item.weight, True)
        for i, (item, (own, _)) in enumerate(zip(items, ids, strict=True))
        if not isinstance(own, Failure)
    ], None


def _centroids(weights: Weights, items: Sequence[_Item], labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A head that starts as nearest class mean: weight (labels, d) and bias (labels,)."""
    sums: torch.Tensor | None = None
    with torch.inference_mode():
        by_row = {id(item.row): item.target for item in items}
        for batch in rows_.batches(rows_.by_length([item.row for item in items])):
            vectors = torch.nn.functional.normalize(pooled(weights, batch, (), -1, None), dim=-1)
            if sums is None:
                sums = torch.zeros((labels, vectors.shape[1]), device=weights.device)
            targets = torch.tensor([by_row[id(row)] for row in batch], device=weights.device)
            sums.index_add_(0, targets, vectors)
        assert sums is not None
        centroids = torch.nn.functional.normalize(sums, dim=-1) * CENTROID_SCALE
    weight = centroids.clone().detach().requires_grad_(True)
    return weight, torch.zeros(labels, device=weights.device, requires_grad=True)


@dataclass
class _Best:
    """The state to give back: the latest that is not shown worse on hold than the best look.

    A handful of hold items can't tell two good states apart, and the last state of a rate that falls to zero is rarely
    bad; so an earlier one wins only where it is better by more than one standard error of the paired difference.
    """

    state: list[torch.Tensor]
    top: torch.Tensor | None = None
    worse: int = 0

    def see(self, run: _Run, quality: torch.Tensor) -> None:
        """Take in a look: `quality` (hold items,) of the state as it is now."""
        if self.top is not None and _shown_better(self.top, quality):
            self.worse += 1
            return
        self.state, self.worse = run.snapshot(), 0
        if self.top is None or not len(quality) or quality.mean() > self.top.mean():
            self.top = quality


def _shown_better(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether a is better than b on the same items, by more than one standard error. A mere handful shows nothing."""
    if len(a) < 2:
        return False
    gaps = a - b
    return float(gaps.mean()) > float(gaps.std()) / math.sqrt(len(gaps))


def _loop(run: _Run, learn: list[_Item], watch: list[_Item], began: float) -> str:
    """Steps until the plan, the clock or patience ends it; leaves the best state in place and says why it ended."""
    recipe = run.recipe
    steps, looks = _planned(run, learn, watch)
    optimizer = torch.optim.AdamW(run.moving, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _ramp(steps, recipe.warmup))
    look_every = max(1, math.ceil(steps / looks))
    best, why = _Best(run.snapshot()), "epochs"
    if run.continued:  # a continued adapter competes with where it started
        best.see(run, _look(run, watch)[0])
    nats, seen = 0.0, 0
    dealt = _deal(learn, recipe)
    for step in range(1, steps + 1):
        loss = _step(run, next(dealt), optimizer)
        if not math.isfinite(loss):
            return "diverged"
        schedule.step()
        nats, seen = nats + loss, seen + 1
        late = recipe.max_seconds is not None and time.perf_counter() - began > recipe.max_seconds
        if step % look_every == 0 or step == steps or late:
            quality, hold_nats = _look(run, watch)
            run.curve.append(CurvePoint(step, nats / seen, hold_nats, round(time.perf_counter() - began, 2)))
            nats, seen = 0.0, 0
            best.see(run, quality)
            if late or best.worse >= recipe.patience:
                why = "seconds" if late else "patience"
                break
    run.restore(best.state)
    return why if all(torch.isfinite(tensor).all() for tensor in best.state) else "diverged"


def _planned(run: _Run, learn: Sequence[_Item], watch: Sequence[_Item]) -> tuple[int, int]:
    """How many steps, and how many looks at hold on the way: looking takes at most a fifth of the tokens."""
    recipe = run.recipe
    per_epoch = math.ceil(len(learn) / recipe.batch)
    steps = max(1, round(recipe.epochs * per_epoch))
    if recipe.max_steps is not None:
        steps = min(steps, recipe.max_steps)
    prefix = run.beginning.end if run.beginning else 0
    a_step = sum(len(item.row.ids) for item in learn) / len(learn) * min(recipe.batch, len(learn)) + prefix
    a_look = (sum(len(item.row.ids) for item in watch) + prefix) * LOOK_COST
    if recipe.max_tokens is not None:
        steps = min(steps, max(1, int((1 - LOOK_SHARE) * recipe.max_tokens / a_step)))
    looks = int(LOOK_SHARE * steps * a_step / a_look) if watch else LOOKS
    return steps, max(1, min(LOOKS, looks))


def _ramp(steps: int, warmup: float) -> Callable[[int], float]:
    rise = max(1, round(steps * warmup))
    return lambda k: min(1.0, (k + 1) / rise) * max(0.0, 1 - k / steps)


def _deal(learn: Sequence[_Item], recipe: Recipe) -> Iterator[list[_Item]]:
    """Batches without end: shuffled each epoch, rows of like length together, batches in random order."""
    dice = random.Random(recipe.seed)
    while True:
        order = list(range(len(learn)))
        dice.shuffle(order)
        stretch = recipe.batch * 8
        dealt = []
        for begin in range(0, len(order), stretch):
            part = sorted(order[begin : begin + stretch], key=lambda i: len(learn[i].row.ids))
            dealt += [part[b : b + recipe.batch] for b in range(0, len(part), recipe.batch)]
        dice.shuffle(dealt)
        for batch in dealt:
            yield [learn[i] for i in batch]


def _step(run: _Run, batch: list[_Item], optimizer: torch.optim.Optimizer) -> float:
    """One update over a batch, in parts small enough for memory; the mean loss in nats an item."""
    total = sum(item.weight for item in batch)
    loss_sum = 0.0
    for part in _parts(batch):
        losses = _losses(run, part)
        loss = (losses * torch.tensor([i.weight for i in part], device=losses.device)).sum() / total
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.item()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss_sum


def _parts(batch: Sequence[_Item]) -> list[list[_Item]]:
    by_row = {id(item.row): item for item in batch}
    parts = rows_.batches(rows_.by_length([item.row for item in batch]), MICRO_TOKENS)
    return [[by_row[id(row)] for row in part] for part in parts]


def _losses(run: _Run, part: Sequence[_Item]) -> torch.Tensor:
    """(items,) losses in nats, fp32."""
    scores = _scores(run, part)
    losses = []
    for item, score in zip(part, scores, strict=True):
        if item.choices:
            target = torch.tensor([item.target], device=score.device)
            losses.append(torch.nn.functional.cross_entropy(score[None], target))
        else:
            losses.append(-score[0] / len(item.row.asked))
    return torch.stack(losses)


def _scores(run: _Run, part: Sequence[_Item]) -> list[torch.Tensor]:
    """For each item its choices' log-probabilities or logits."""
    rows = [item.row for item in part]
    run.tokens += sum(len(row.ids) for row in rows) + (run.beginning.end if run.beginning else 0)
    if run.head:
        vectors = torch.nn.functional.normalize(pooled(run.weights, rows, (), -1, None), dim=-1)
        return list(vectors @ run.head[0].T + run.head[1])
    states = rows_.forward(run.weights, rows, _prefix(run, rows))
    nats = rows_.asked_nats(run.weights, rows, states)
    return [rows_.choice_nats(row, own) for row, own in zip(rows, nats, strict=True)]


def _prefix(run: _Run, rows: Sequence[Row]) -> list[Span]:
    """What all prompts begin with, read anew in each pass since its keys and values move; with gradients where they
    are on."""
    if not run.beginning:
        return []
    kept: dict[int, KeysValues] = {}
    rows_.forward(run.weights, [rows_.build(0, run.beginning.ids, ())], kept=kept)
    return [Span(0, sum(len(row.ids) for row in rows), kept if torch.is_grad_enabled() else held(kept))]


@torch.no_grad()
def _look(run: _Run, watch: Sequence[_Item]) -> tuple[torch.Tensor, float | None]:
    """(hold items,) quality to select by, and the mean loss in nats, on hold; nothing and None without hold."""
    if not watch:
        return torch.zeros(0), None
    qualities, nats, before = [], 0.0, run.tokens
    with torch.inference_mode():
        for part in _parts(watch):
            losses = _losses(run, part)
            nats += float(losses.sum())
            several = torch.tensor([item.choices for item in part], device=losses.device)
            qualities.append(torch.where(several, torch.exp(-losses), -losses).float().cpu())
    run.tokens = before + round((run.tokens - before) * LOOK_COST)
    return torch.cat(qualities), nats / len(watch)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
