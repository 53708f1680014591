"""Who goes to the final: the best of each family always, then the best of those still in, then of those that were
paused because their learning curves may still overtake, until the plan is full.

The best of a family goes also when its road is far behind, so that "prompt or fine-tune?" itself gets a tested answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics import Metric, item_range
from .plan import Trial
from .state import Standing

BACK = ("dropped", "paused")
"""Who has left with one of these may come back, as the best of its family or for its curve."""


def choose(standing: Standing, trials: Sequence[Trial], metric: Metric, most: int) -> dict[str, str]:
    """Trial name -> why it goes, best dev mean first. What the user brought (`yours`) always goes."""
    able = [t for t in trials if _can_go(standing, t)]
    # More items measured counts before the mean: a dropped one's mean stands on fewer.
    ranked = sorted(able, key=lambda t: (t.name in standing.left, -_mean(standing, t, metric)))
    chosen: dict[str, str] = {}
    for trial in ranked:
        family = trial.method.family
        if family == "yours":
            chosen[trial.name] = "yours, raced unchanged"
        elif not any(why.endswith(f"of family {family}") for why in chosen.values()):
            chosen[trial.name] = f"best of family {family}"
    for status, why in (None, "still in after the race on dev"), ("paused", "its learning curve may still overtake"):
        for trial in ranked:
            left = standing.left.get(trial.name)
            here = (left.status if left else None) == status and trial.method.family != "baseline"
            if here and trial.name not in chosen and len(chosen) < most:
                chosen[trial.name] = why
    return {t.name: chosen[t.name] for t in ranked if t.name in chosen}


def _can_go(standing: Standing, trial: Trial) -> bool:
    """Whether it is still in, or may come back: not where it left before it had answered anything."""
    left = standing.left.get(trial.name)
    asked = standing.scores.get(standing.where(trial.name, "race", "dev"))
    return left is None or (left.status in BACK and bool(asked))


def _mean(standing: Standing, trial: Trial, metric: Metric) -> float:
    """Of the item scores on dev, higher is better; a failed item counts as the worst score, as it does in the race."""
    low, high = item_range(metric)
    sign, worst = (1.0, low) if metric.higher_is_better else (-1.0, high)
    found = standing.scores.get(standing.where(trial.name, "race", "dev"), {}).values()
    scores = [sign * (worst if score is None else score) for score in found]
    return sum(scores) / len(scores) if scores else 0.0
