"""Is a verdict right as often as it says? Simulated races whose truth is known; curves foretold, and then seen.

    python benchmarks/verdict.py [--quick] [--only CASES]
    python benchmarks/verdict.py --forecast DATA_FOLDER

Without a folder everything is simulated (`simulated.py`), with the product's own racing test, rule and intervals: some
minutes, `--quick` under one. With one, learning curves of real roads on four public datasets are
measured, the last doubling is foretold from the points before it, and what was foretold is compared with what came: a
full run takes hours and goes on where it was stopped. Results, with their seed, stand in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import simulated as sim
from parts import Found, Parts, commit

SEED = 0
SIZES = (50, 100, 320, 1000, 2000)
RATES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
F1_SIZES = (50, 320, 1000)
F1_RATES = (0.1, 0.5, 0.8, 0.98)

Holds = Callable[[Found], bool]


def cases(quick: bool) -> dict[str, tuple[Callable[[], Found], str, Holds]]:
    """Case -> what is run, what it has to reach in words, and whether it did."""
    races, draws = (60, 200) if quick else (1000, 1000)
    grid = (50, 320) if quick else SIZES
    covers: Holds = lambda f: 0.94 <= f["mean"] <= 0.965 and f["least"] >= 0.92  # noqa: E731
    loose: Holds = (lambda f: f["mean"] > 0.92) if quick else covers
    found: dict[str, tuple[Callable[[], Found], str, Holds]] = {
        "null-8": (
            lambda: sim.null(races, 2000, 500, SEED),
            "clear in at most 5%",
            lambda f: f["clear"] <= (0.1 if quick else 0.05),
        )
    }
    for items, gap, most, size in ((2000, 0.1, 0.25, 1), (2000, 0.05, 2 / 3, 8), (300, 0.1, 1, 8), (300, 0.05, 1, 8)):
        found[f"planted-{items}-{100 * gap:.0f}"] = (
            lambda items=items, gap=gap: sim.planted(races, items, gap, seed=SEED),  # type: ignore[misc]
            f"best in the set >= 95%, median set <= {size}, median used <= {most:.2f}",
            lambda f, most=most, size=size: (  # type: ignore[misc]
                f["best_in_set"] >= 0.95 and f["median_set"] <= size and f["median_used"] <= most
            ),
        )
    for items, tolerance in ((500, 0.05), (2000, 0.02)):
        found[f"non-inferiority-{items}-{100 * tolerance:.0f}"] = (
            lambda items=items, tolerance=tolerance: sim.non_inferiority(races, items, tolerance, seed=SEED),  # type: ignore[misc]
            "wrongly cheaper in at most 5%",
            lambda f: f["wrongly"] <= (0.1 if quick else 0.05),
        )
    found["coverage-accuracy"] = (
        lambda: sim.coverage_of_accuracy(grid, RATES),
        "mean 94 to 96.5%, no cell under 92%",
        covers,
    )
    found["coverage-difference"] = (
        lambda: sim.coverage_of_difference(draws, grid, RATES, SEED),
        "mean 94 to 96.5%, no cell under 92%",
        loose,
    )
    found["coverage-macro-f1"] = (
        lambda: sim.coverage_of_macro_f1(draws, F1_SIZES[:1] if quick else F1_SIZES, F1_RATES, SEED),
        "mean 94 to 96.5%, no cell under 92%",
        loose,
    )
    found["coverage-3-seeds"] = (
        lambda: sim.coverage_over_seeds(draws // 4, 320, 3, 0.03, SEED),
        "at least 93% where seeds spread by 3 points",
        lambda f: f["crossed"] >= 0.93,
    )
    found["coverage-folds"] = (
        lambda: sim.coverage_over_folds(draws, 60, 3, SEED),
        "at least 93% on 60 rows",
        lambda f: f["corrected"] >= 0.93 and f["shipped"] >= 0.93,
    )
    return found


def main() -> None:
    """Run what is asked for and print a table, then one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few races; nothing is kept")
    parser.add_argument("--only", default="", help="cases, with commas between")
    parser.add_argument("--forecast", type=Path, metavar="DATA_FOLDER", help="curves of real roads instead")
    options = parser.parse_args()
    if options.forecast:
        from foretold import foretold

        finish([foretold(options.forecast)], quick=False, name="forecast")
        return
    chosen = {
        name: case for name, case in cases(options.quick).items() if name in options.only.split(",") or not options.only
    }
    rows = []
    for name, (make, goal, holds) in chosen.items():
        found = make()
        rows.append({"case": name, "goal": goal, "holds": holds(found), "seed": SEED, **found})
        print(line(rows[-1]), flush=True)
    finish(rows, options.quick or bool(options.only), "verdict")


def line(row: Found) -> str:
    """One row for people."""
    numbers = {key: value for key, value in row.items() if key not in ("case", "goal", "holds", "seed")}
    said = ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())
    return f"{row['case']:<26} {'holds ' if row['holds'] else 'MISSED'} ({row['goal']}): {said}"


def finish(rows: list[Found], quick: bool, name: str) -> None:
    """The last line, and the file of a full run."""
    found: dict[str, Any] = {"benchmark": name, "quick": quick, "commit": commit(), "rows": rows}
    if not quick:
        Parts(name).write(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
