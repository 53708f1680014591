"""Does a judge that is corrected by a few people's grades tell the truth? 200 simulated settings, good to useless.

Each setting is a scale (right or wrong, or 1 to 5), a true mean, a judge (perfect, lenient, noisy, useless, contrary)
and a number of people's grades among 500 items that the judge graded all. In each, the share of 95% intervals that hold
the true mean must be at least 93%. Beside it stands what the judge is worth: how many grades of people alone would have
told as much. numpy and our own statistics only; ends with exit code 1 where a setting falls short.

python benchmarks/judge.py            2,000 draws a setting, a minute or two; keeps results/judge.json
python benchmarks/judge.py --quick    300 draws, and 90% will do: noise alone moves a share by 4 points
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tuningfork.stats.ppi import corrected_mean

HERE = Path(__file__).parent
ITEMS = 500
PEOPLE = (15, 30, 60, 150)
LEVELS = (0.1, 0.3, 0.5, 0.8, 0.95)
JUDGES = ("perfect", "lenient", "noisy", "useless", "contrary")
SCALES = ("right or wrong", "1 to 5")
GOAL = 0.93

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Setting:
    """One world: `level` is how good the answers are, as a share of the scale."""

    scale: str
    level: float
    judge: str
    people: int

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.scale == "right or wrong" else (1.0, 5.0)

    @property
    def truth(self) -> float:
        """The mean of people's grades over all the items there could be."""
        low, high = self.bounds
        return low + self.level * (high - low)

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """People's grades and the judge's of ITEMS answers."""
        graded = self._grades(rng, self.level)
        low, high = self.bounds
        fresh = self._grades(rng, self.level)
        match self.judge:
            case "perfect":
                return graded, graded
            case "lenient":  # half of the lower grades are raised to the best
                return graded, np.where(rng.uniform(size=ITEMS) < 0.5, high, graded)
            case "noisy":  # three grades of ten have nothing to do with the answer
                return graded, np.where(rng.uniform(size=ITEMS) < 0.3, fresh, graded)
            case "useless":
                return graded, fresh
        return graded, high + low - graded

    def _grades(self, rng: np.random.Generator, level: float) -> Array:
        low, high = self.bounds
        return low + rng.binomial(int(high - low), level, size=ITEMS).astype(float)


def settings() -> Iterator[Setting]:
    """All 200."""
    for scale, level, judge, people in product(SCALES, LEVELS, JUDGES, PEOPLE):
        yield Setting(scale, level, judge, people)


def coverage(setting: Setting, draws: int, seed: int = 0) -> tuple[float, float]:
    """The share of intervals that hold the truth, and the median worth of the judge: grades of people alone that would
    have told as much, over those that there were."""
    rng = np.random.default_rng([seed, *map(ord, repr(setting))])
    holds, worth = 0, []
    for _ in range(draws):
        graded, judged = setting.draw(rng)
        people = [*graded[: setting.people].tolist(), *[None] * (ITEMS - setting.people)]
        found = corrected_mean(judged.tolist(), people, bounds=setting.bounds)
        holds += found.interval.low <= setting.truth <= found.interval.high
        worth.append(found.plain_people / setting.people)
    return holds / draws, float(np.median(worth))


def main() -> None:
    """A line for each kind of judge, then all as one JSON line."""
    quick = "--quick" in sys.argv[1:]
    draws, goal = (300, 0.90) if quick else (2000, GOAL)
    rows = []
    for setting in settings():
        held, worth = coverage(setting, draws)
        rows.append({**asdict(setting), "coverage": held, "worth": round(worth, 3), "holds": held >= goal})
    print(f"{'judge':10} {'settings':>8} {'least coverage':>15} {'mean':>6} {'worth (median)':>15}")
    for judge in JUDGES:
        own = [row for row in rows if row["judge"] == judge]
        held = [float(row["coverage"]) for row in own]
        worth = float(np.median([float(row["worth"]) for row in own]))
        print(f"{judge:10} {len(own):8} {min(held):15.3f} {np.mean(held):6.3f} {worth:15.2f}")
    least = min(float(row["coverage"]) for row in rows)
    print(f"{sum(bool(row['holds']) for row in rows)} of {len(rows)} settings hold; least {least:.3f}, goal {goal:.2f}")
    about = {"benchmark": "judge", "quick": quick, "draws": draws, "goal": goal, "least": least}
    text = json.dumps({**about, "versions": {"numpy": np.__version__, "scipy": version("scipy")}, "rows": rows})
    if not quick:
        (HERE / "results" / "judge.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    raise SystemExit(0 if all(row["holds"] for row in rows) else 1)


if __name__ == "__main__":
    main()
