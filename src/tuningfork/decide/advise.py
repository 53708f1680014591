"""A first answer before any race: prompt or fine-tune, from what the data is. Facts in, advice out; nothing is opened.

Between two numbers of labelled examples the advice is to race; under the lower one to prompt, from the upper one on to
fine-tune. The numbers are published ones and stand beside their sources. Nobody's task is the average of eight
published ones, so this is a guess with its reasons, and a race says whether it was right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..stats.intervals import wilson

Road = Literal["prompt", "tune", "race"]

FEW = 16
"""Under so many examples there is too little for gradient steps to learn from and to stop by."""
A_CLASS = 8
"""Examples of each class from which contrastive tuning of a small encoder works: SetFit (Tunstall et al. 2022), 8 a
class: CR 88.5, AG News 82.9; a linear head alone is 4 to 18 points under that."""
BREAK_EVEN = 100
"""Labelled examples at which tuned small models pass prompted large ones, on average over eight tasks (Pecher, Srba and
Bielikova, EMNLP 2025); with several classes earlier."""
FOR_VARIANCE = 3
"""Counting how much both vary, 100 to 200% more examples are needed (the same)."""
BINARY = 5000
"""With two classes up to so many were needed (the same, version 2)."""
WRITING = 1000
"""For written answers demonstrations still help at 1,000 to 2,000 of them (Bertsch et al., NAACL 2025)."""
LARGE = 1e9
"""Parameters from which a prompt is worth something; of smaller ones a tuned one gains most (distil labs 2025)."""
SKEWED = 0.8
"""From this share of one class on, accuracy says little."""
UNFAMILIAR_NATS = 4.5
"""Nats a token of the inputs from which on a model seems not to know this kind of text; our own guess."""


@dataclass(frozen=True)
class Facts:
    """What is known before a race. `classes` is 0 for written answers; `parameters` are those of the largest model that
    can be prompted, None where unknown (an endpoint).

    `zero_shot`: (right, of) of a bare prompt on a few train items; `nats_a_token`: how surprising the inputs are to the
    model. Both None where no model was asked.
    """

    examples: int
    classes: int
    rarest: int
    largest_share: float
    promptable: bool
    tunable: bool
    parameters: float | None
    zero_shot: tuple[int, int] | None = None
    nats_a_token: float | None = None


@dataclass(frozen=True)
class Advice:
    """Which road to take first (`race`: neither is to be expected to win), and why."""

    road: Road
    sentence: str
    reasons: tuple[str, ...]


def advise(facts: Facts) -> Advice:
    """The advice for a task."""
    if not facts.tunable or not facts.promptable:
        able: Road = "prompt" if facts.promptable else "tune"
        lacking = "tuned" if facts.promptable else "prompted"
        return Advice(able, f"{SAID[able]}: no model of this task can be {lacking}.", tuple(_data(facts)))
    low, high = _range(facts)
    road: Road = "prompt" if facts.examples < low else "tune" if facts.examples >= high else "race"
    between = f"between {low:,} and {high:,}" if low < high else f"at about {high:,}"
    sentence = (
        f"{SAID[road]}: you have {facts.examples:,} labelled examples, and fine-tuning tends to overtake prompting"
        f" {between} on tasks like this one."
    )
    return Advice(road, sentence, (*_data(facts), *_model(facts)))


SAID = {"prompt": "Prompt first", "tune": "Fine-tune", "race": "Too close to say without a race"}
PREFIX = "Advice before the race: "


def note(advice: Advice) -> str:
    """The advice as a note of the log, so that the verdict can say later whether it was right."""
    return f"{PREFIX}{advice.road}. {advice.sentence}"


def noted(notes: Sequence[str]) -> tuple[Road, str] | None:
    """The road and sentence of a log's advice; None where there was none."""
    for text in notes:
        if text.startswith(PREFIX):
            road, _, sentence = text.removeprefix(PREFIX).partition(". ")
            for known in ("prompt", "tune", "race"):
                if road == known:
                    return known, sentence
    return None


def _range(facts: Facts) -> tuple[int, int]:
    """Examples under which a prompt is to be expected ahead, and from which tuning is."""
    if facts.classes == 0:
        low, high = BREAK_EVEN, WRITING
    elif facts.classes == 2:
        low, high = BREAK_EVEN, BINARY
    else:
        low, high = min(BREAK_EVEN, A_CLASS * facts.classes), FOR_VARIANCE * BREAK_EVEN
    if _small(facts) or _knows(facts) is False:
        low, high = min(low, A_CLASS * max(2, facts.classes)), low
    elif _knows(facts):
        low = high
    return max(FEW, low), max(FEW, high)


def _small(facts: Facts) -> bool:
    return facts.parameters is not None and facts.parameters < LARGE


def _knows(facts: Facts) -> bool | None:
    """Whether a bare prompt is shown to beat always saying the largest class; False where it is shown not to be far
    above; None where nothing was measured or it can't be told."""
    if facts.zero_shot is None or not facts.classes:
        return None
    found = wilson(*facts.zero_shot)
    if found.low > facts.largest_share:
        return True
    return False if found.value <= facts.largest_share else None


def _data(facts: Facts) -> Iterator[str]:
    if facts.examples < FEW:
        yield f"Under {FEW} examples there is too little to learn weights from and to stop by."
    if facts.classes > 2:
        yield (
            "With several classes tuned small models pass prompted large ones at about 100 labels or earlier; counting"
            " how much both vary, at 200 to 300 (Pecher et al. 2025)."
        )
    elif facts.classes == 2:
        yield "With two classes prompting stays ahead longest: up to 5,000 labels (Pecher et al. 2025)."
    else:
        yield "For written answers demonstrations still help at 1,000 of them and more (Bertsch et al. 2025)."
    if facts.classes and facts.rarest < A_CLASS:
        yield f"The rarest class has {facts.rarest} examples; from {A_CLASS} a class on, tuning a small encoder works."
    if facts.classes and facts.largest_share >= SKEWED:
        share = f"{100 * facts.largest_share:.0f}%"
        yield f"{share} of the examples bear one label, so accuracy says little: name macro_f1 as the metric."


def _model(facts: Facts) -> Iterator[str]:
    if _small(facts):
        yield (
            f"The largest model that can be prompted has {(facts.parameters or 0) / 1e6:,.0f}M parameters: so small, it"
            " gains most from tuning, and says little about prompts given to a large one."
        )
    if facts.zero_shot is not None:
        right, of = facts.zero_shot
        found = wilson(right, of)
        knows = {True: "it knows the task", False: "it does not know the task"}.get(_knows(facts) is True)
        ends = f"95% between {100 * found.low:.0f}% and {100 * found.high:.0f}%"
        said = f"A bare prompt got {right} of {of} train items right ({ends})"
        if not facts.classes:
            yield f"{said}."
        elif _knows(facts) is None:
            yield f"{said}: not told apart from always saying the largest class."
        else:
            yield f"{said}: {knows}, beside {100 * facts.largest_share:.0f}% for always saying the largest class."
    if facts.nats_a_token is not None:
        odd = facts.nats_a_token >= UNFAMILIAR_NATS
        kind = "unfamiliar: weights that read more of it may help" if odd else "of a familiar kind"
        yield f"The inputs cost the model {facts.nats_a_token:.1f} nats a token, so the text is {kind}."
