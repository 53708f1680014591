"""Who goes to the final: the best of each family always, then the best of those still in, until the plan is full.

The best of a family goes also when its road is far behind, so that "prompt or fine-tune?" itself gets a tested answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..metrics import Metric, item_range
from .plan import Trial
from .state import Standing


def choose(standing: Standing, trials: Sequence[Trial], metric: Metric, most: int) -> dict[str, str]:
    """Trial name -> why it goes, best dev mean first. What the user brought (`yours`) always goes."""
    able = [t for t in trials if standing.left.get(t.name) is None or standing.left[t.name].status == "dropped"]
    # More items measured counts before the mean: a dropped one's mean stands on fewer.
    ranked = sorted(able, key=lambda t: (t.name in standing.left, -_mean(standing, t, metric)))
    chosen: dict[str, str] = {}
    for trial in ranked:
        family = trial.method.family
        if family == "yours":
            chosen[trial.name] = "yours, raced unchanged"
        elif not any(why.endswith(f"of family {family}") for why in chosen.values()):
            chosen[trial.name] = f"best of family {family}"
    for trial in ranked:
        if len(chosen) >= most:
            break
        if trial.name not in chosen and trial.name not in standing.left and trial.method.family != "baseline":
            chosen[trial.name] = "still in after the race on dev"
    return {t.name: chosen[t.name] for t in ranked if t.name in chosen}


def _mean(standing: Standing, trial: Trial, metric: Metric) -> float:
    """Of the item scores on dev, higher is better; a failed item counts as the worst score, as it does in the race."""
    low, high = item_range(metric)
    sign, worst = (1.0, low) if metric.higher_is_better else (-1.0, high)
    found = standing.scores.get(standing.where(trial.name, "race", "dev"), {}).values()
    scores = [sign * (worst if score is None else score) for score in found]
    return sum(scores) / len(scores) if scores else 0.0
