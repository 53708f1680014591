"""The results of full runs as Markdown, so that no figure is typed by hand.

python benchmarks/table.py            prints it
python benchmarks/table.py --write    puts it into docs/performance.md, between the two marks there
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import embedding
import generation
import scoring
from parts import HERE, Found, recorded

PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- made by benchmarks/table.py -->", "<!-- end -->"
BENCHMARKS = {"scoring": scoring.CASES, "generation": generation.CASES, "embedding": embedding.CASES}
HEAD = ("case", "ours", "theirs", "against", "faster", "of the limit", "same answers", "memory")
UNITS = {"s": "s", "s/item": "s an item", "tokens/s": "tokens a second"}


def main() -> None:
    """Print the tables, or write them into the page."""
    text = "\n".join(lines())
    if "--write" not in sys.argv[1:]:
        print(text)
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def lines() -> Iterator[str]:
    """The table, then what each row was measured with."""
    yield ""
    yield "| " + " | ".join(HEAD) + " |"
    yield "| " + " | ".join("---" for _ in HEAD) + " |"
    done: list[tuple[str, Found]] = []
    for name, cases in BENCHMARKS.items():
        rows = {row["case"]: row for row in recorded(name).get("rows", [])}
        for case in cases:
            if case in rows:
                done.append((name, rows[case]))
                yield "| " + " | ".join(cells(rows[case])) + " |"
            else:
                yield f"| `{case}` | not measured yet |" + " |" * (len(HEAD) - 2)
    for name in BENCHMARKS:
        rows_ = [row for of, row in done if of == name]
        if rows_:
            yield ""
            yield from notes(name, rows_)
    yield ""


def cells(row: Found) -> Iterator[str]:
    """One row of the table."""
    unit = UNITS[row["unit"]]
    yield f"`{row['case']}`"
    yield f"{number(row['ours'])} {unit}"
    yield f"{number(row['theirs'])} {unit}"
    yield row["peer"]
    yield f"**{number(row['ratio'])}x** (goal {row['goal']:g}x: {word(row['goal_holds'])})"
    yield f"**{row['limit_fraction']:.2f}** (bar {row['bar']:g}: {word(row['bar_holds'])})"
    yield f"{100 * row['same_answers']:.1f}%"
    memory = row["mib_above_weights"]
    said = "not known" if memory is None else f"{memory:.0f} MiB"
    bar = f" (bar {row['memory_bar_mib']:.0f}: {word(row['memory_holds'])})" if "memory_bar_mib" in row else ""
    yield said + bar


def notes(name: str, rows: list[Found]) -> Iterator[str]:
    """What stands behind the rows of one benchmark: machine, versions, limit, check."""
    kept = recorded(name)
    machine, versions = kept["machine"], kept["versions"]
    rates = ", ".join(f"{rate:.0f} GFLOP/s in {dtype}" for dtype, rate in machine["matmul_gflops"].items())
    yield f"`{name}`: {machine['cores']} cores, {machine['processor']}; {rates}; {machine['gib_per_s']:.1f} GiB/s."
    yield "Versions: " + ", ".join(f"{package} {version}" for package, version in sorted(versions.items())) + "."
    for row in rows:
        yield ""
        where = f"`{row['case']}` ({row['items']} items, {row['when']}, commit {row['commit']})"
        yield f"- {where}: {limit_of(row)} {check_of(row)}"


def limit_of(row: Found) -> str:
    """What the limit of a row was worked out from."""
    phases = "; ".join(
        f"{phase['name']} {phase['tokens']:,} distinct tokens, {phase['rows']:,} output rows: {phase['gflop']:,.0f} "
        f"GFLOP, {phase['gib']:.2f} GiB, {number(phase['seconds'])} s by {phase['bound_by']}"
        for phase in row["phases"]
    )
    runs = ", ".join(number(seconds) for seconds in row["ours_runs"])
    return f"{phases}. Our runs: {runs} s."


def check_of(row: Found) -> str:
    """How the same answers were checked."""
    check: dict[str, Any] = row["check"]
    if "cosine_least" in check:
        return f"Cosine to fp32: at least {check['cosine_least']:.5f}, mean {check['cosine_mean']:.5f}."
    floor = f"{check['noise_floor_nats']:.3f} nats, which is how far {row['dtype']} moves plain transformers"
    if "fp32_nats_apart" in check:
        apart = f"{check['fp32_nats_apart']:.1g} nats from plain transformers on {check['fp32_items']} items"
        exact = f"In fp32 at most {apart}"
        parted = f"{check['differ']} of {check['decisions']} decisions differ from the peer's"
        sides = f"; in {check['differ_fp32_agrees_with_ours']} fp32 sides with ours"
    else:
        exact = f"In fp32 {check['fp32_same']} of {check['fp32_items']} answers equal plain transformers'"
        parted, sides = f"{check['differ']} of {check['answers']} answers differ from the peer's", ""
    if not check["differ"]:
        return f"{exact}. {parted}."
    return f"{exact}. {parted}, {check['differ_under_floor']} of them where the margin is under {floor}{sides}."


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def word(holds: bool | None) -> str:
    """Wins and losses alike."""
    return "reached" if holds else "missed"


if __name__ == "__main__":
    main()
