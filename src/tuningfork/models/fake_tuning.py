"""How the fake models learn: a real, tiny LoRA over the words' directions, and a linear layer over answers.

The low-rank map stretches the directions in which the answers of the training items differ (M = I + alpha/r B A, as in
PEFT); on the stretched vectors a softmax regression over the known answers starts at their centroids and takes the
recipe's steps of gradient descent. numpy only, milliseconds, and it truly generalises to near texts. It is no study of
any real model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, MethodError, ModelError
from ..model import Adapter, CurvePoint, Recipe, TuneItem
from ..store.blobs import Blob
from .fake_words import DIMENSIONS, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model"
CENTROID_SCALE = 8.0
STEP_SIZE = 4.0


@dataclass(frozen=True)
class Learned:
    """What an adapter holds: the map `stretch` (64, 64), and logits `weight` (answers, 64), `bias` (answers,)."""

    answers: tuple[str, ...]
    down: NDArray[np.float64]  # (r, 64), LoRA's A
    up: NDArray[np.float64]  # (64, r), LoRA's B
    scale: float
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def seen(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vectors (..., 64) through the map, at the length that comes out."""
        through: NDArray[np.float64] = vectors + self.scale * (vectors @ self.down.T) @ self.up.T
        return through

    def logits(self, vector: NDArray[np.float64]) -> dict[str, float]:
        """Nats, up to a constant, for each known answer to an unmapped vector (64,)."""
        values = self.weight @ unit(self.seen(unit(vector))) + self.bias
        return dict(zip(self.answers, values.tolist(), strict=True))


@dataclass
class Lesson:
    """How a training went: `done_steps` of the plan, the curve, and why it ended."""

    learned: Learned
    curve: tuple[CurvePoint, ...]
    done_steps: int
    tokens: int
    why_stopped: str


@dataclass(frozen=True)
class Rows:
    """Items as arrays: vectors (n, 64), how much of each answer an item is (n, answers), weights (n,), tokens in all.
    Answers that are not `exclusive` are learnt each by itself."""

    vectors: NDArray[np.float64]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]
    tokens: int
    exclusive: bool = True


def target_of(item: TuneItem) -> str | None:
    """What an item should be answered: of shares the largest's choice. None for a text that is only read."""
    if item.shares:
        return item.choices[max(range(len(item.shares)), key=item.shares.__getitem__)]
    return item.target


def answers_of(items: Sequence[TuneItem]) -> tuple[str, ...]:
    """What can be answered: the items' choices where they all have the same, else every target once. Nothing where
    texts are only read."""
    if not items:
        raise MethodError("There is no example to learn from.")
    choices, targets = items[0].choices, [target_of(item) for item in items]
    answers = choices if choices and all(item.choices == choices for item in items) else ()
    answers = answers or tuple(dict.fromkeys(target for target in targets if target is not None))
    wrong = [target for target in targets if answers and target not in answers]
    if wrong:
        raise MethodError(f"The target {wrong[0]!r} is none of the choices {list(answers)!r}.")
    return answers


def learn(
    recipe: Recipe, rows: Rows, hold: Rows, start: Learned | None, answers: tuple[str, ...], step_seconds: float
) -> Lesson:
    """Train by the recipe and keep the state that was best on hold (without hold: the last one)."""
    import numpy as np

    down, up = _directions(rows, recipe.rank)
    stretched = Learned(answers, down, up, recipe.alpha / recipe.rank, np.zeros((0, 0)), np.zeros(0))
    x, x_hold = unit(stretched.seen(rows.vectors)), unit(stretched.seen(hold.vectors))
    weight, bias = _first(x, rows.targets, answers, start)
    steps, per_epoch, ends = _planned(recipe, rows)
    best = (np.inf, weight, bias)
    curve: list[CurvePoint] = []
    worse, why, step, nats = 0, ends, 0, 0.0
    for step in range(1, steps + 1):
        slope, nats = _slope(weight, bias, x, rows)
        weight, bias = weight - STEP_SIZE * (slope.T @ x), bias - STEP_SIZE * slope.sum(0)
        late = recipe.max_seconds is not None and step * step_seconds > recipe.max_seconds
        if step % per_epoch and step < steps and not late:
            continue
        quality = _slope(weight, bias, x_hold, hold)[1] if len(x_hold) else None
        curve.append(CurvePoint(step, nats, quality, step * step_seconds))
        if quality is None or quality <= best[0]:
            best, worse = (np.inf if quality is None else quality, weight, bias), 0
        else:
            worse += 1
        if late or worse >= recipe.patience:
            why = "seconds" if late else "patience"
            break
    learned = Learned(answers, down, up, stretched.scale, best[1], best[2])
    tokens = step * rows.tokens * min(recipe.batch, len(x)) // len(x)
    return Lesson(learned, tuple(curve), step, tokens, why)


def unmoved() -> Learned:
    """An adapter that changes nothing: what comes of texts that are only read."""
    import numpy as np

    none = np.zeros((1, DIMENSIONS))
    return Learned((), none, none.T.copy(), 1.0, np.zeros((0, DIMENSIONS)), np.zeros(0))


def pack(learned: Learned, base: str, model_id: str, with_answers: bool) -> Adapter:
    """The adapter in PEFT's layout. `with_answers`: the layer over answers too (an encoder gives it back as its
    head)."""
    import numpy as np

    arrays = {f"{PREFIX}.words.lora_A.weight": learned.down, f"{PREFIX}.words.lora_B.weight": learned.up}
    if with_answers:
        arrays |= {f"{PREFIX}.answers.weight": learned.weight, f"{PREFIX}.answers.bias": learned.bias}
    rank = len(learned.down)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if with_answers else "FEATURE_EXTRACTION",
        "base_model_name_or_path": model_id,
        "r": rank,
        "lora_alpha": learned.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["words"],
        "modules_to_save": ["answers"] if with_answers else None,
        "fake_answers": list(learned.answers) if with_answers else [],
    }
    weights = Blob.of_arrays({name: array.astype(np.float32) for name, array in arrays.items()})
    return Adapter(base, {CONFIG_FILE: Blob.of(json.dumps(config, indent=1).encode()), WEIGHTS_FILE: weights})


def unpack(adapter: Adapter, base: str, model_id: str) -> Learned:
    """What an adapter holds. Raises ModelError when it belongs to another base or can't be read."""
    import numpy as np

    if adapter.base and adapter.base != base:
        raise ModelError(
            f"The adapter belongs to the weights {adapter.base!r}, and those of the model {model_id!r} are {base!r}. "
            "An adapter only means something on the weights it was tuned on: open that model, or tune this one."
        )
    try:
        config: dict[str, Any] = json.loads(adapter.files[CONFIG_FILE].read())
        arrays = {key: value.astype(np.float64) for key, value in adapter.files[WEIGHTS_FILE].arrays().items()}
        down, up = arrays[f"{PREFIX}.words.lora_A.weight"], arrays[f"{PREFIX}.words.lora_B.weight"]
        answers = tuple(config["fake_answers"])
        weight = arrays.get(f"{PREFIX}.answers.weight", np.zeros((0, DIMENSIONS)))
        bias = arrays.get(f"{PREFIX}.answers.bias", np.zeros(0))
        return Learned(answers, down, up, config["lora_alpha"] / config["r"], weight, bias)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, DataError) as error:
        raise ModelError(
            f"The adapter for {model_id!r} can't be read ({error}): no fake model made it. Tune again."
        ) from error


def _directions(rows: Rows, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """LoRA's A (r, 64) and B (64, r): the directions in which the answers' centroids differ most."""
    import numpy as np

    centroids = _centroids(rows.vectors, rows.targets)
    present = np.linalg.norm(centroids, axis=1) > 0
    spread = centroids - centroids[present].mean(0) if present.sum() > 1 else centroids
    axes = np.linalg.svd(spread[present], full_matrices=False)[2][: max(1, min(rank, int(present.sum()) - 1))]
    return axes, axes.T.copy()


def _centroids(x: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    return unit(targets.T @ x)


def _first(
    x: NDArray[np.float64], targets: NDArray[np.float64], answers: tuple[str, ...], start: Learned | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    weight, bias = CENTROID_SCALE * _centroids(x, targets), np.zeros(len(answers))
    for index, answer in enumerate(answers):
        if start is not None and answer in start.answers:
            old = start.answers.index(answer)
            weight[index], bias[index] = start.weight[old], start.bias[old]
    return weight, bias


def _planned(recipe: Recipe, rows: Rows) -> tuple[int, int, str]:
    """Steps in all, and in an epoch, fixed before the first one as the recipe promises; and which limit ends them."""
    per_epoch = -(-len(rows.vectors) // recipe.batch)
    steps, ends = max(1, round(recipe.epochs * per_epoch)), "epochs"
    if recipe.max_steps is not None and recipe.max_steps < steps:
        steps, ends = recipe.max_steps, "steps"
    if recipe.max_tokens is not None:
        a_step = max(1, rows.tokens * min(recipe.batch, len(rows.vectors)) // len(rows.vectors))
        if (most := max(1, recipe.max_tokens // a_step)) < steps:
            steps, ends = most, "tokens"
    return steps, per_epoch, ends


def _slope(
    weight: NDArray[np.float64], bias: NDArray[np.float64], x: NDArray[np.float64], rows: Rows
) -> tuple[NDArray[np.float64], float]:
    """Slope of the mean cross-entropy by the logits, (n, answers), and that mean in nats."""
    import numpy as np

    logits, share = x @ weight.T + bias, rows.weights / rows.weights.sum()
    if not rows.exclusive:
        loss = np.logaddexp(0.0, logits) - rows.targets * logits
        return (1 / (1 + np.exp(-logits)) - rows.targets) * share[:, None], float(share @ loss.sum(1))
    logits -= logits.max(1, keepdims=True)
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(1, keepdims=True)
    loss = -(rows.targets * np.log(np.maximum(probabilities, 1e-300))).sum(1)
    return (probabilities - rows.targets) * share[:, None], float(share @ loss)
