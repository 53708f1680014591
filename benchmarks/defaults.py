"""Which learning rates the methods of tuning begin with: the runs that choose them, and those that check the choice.

    python benchmarks/defaults.py DATA_FOLDER [--minutes M] [--only TEXT] [--test N] [--seed S]

Each run is one method at one rate on one dataset, with a method's own number of epochs. Two datasets choose: the rate
of the highest mean accuracy over both wins, and a tie goes to the one that stands. Two others check: the winner is
taken over only where its accuracy there, pooled, is not below that of the rate that stands. A run is kept in
`benchmarks/results/defaults.json` when it is done, so the same command goes on where it stopped, and `--minutes` stops
it between two runs. The first of a method's rates is the one that stands.

What it does not say: anything about models much larger than these two, whose rates follow the literature.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from parts import Found, commit, read

NAME = "defaults"
PATH = Path(__file__).parent / "results" / f"{NAME}.json"
INSTRUCTIONS = {
    "sst2": "Is this sentence from a movie review positive or negative?",
    "tweet_eval_emotion": "Which emotion does this tweet show?",
    "ag_news": "Which section does this news text belong to?",
    "banking77": "Which intent does this question to a bank have?",
    "sms_spam": "Is this text message spam or not?",
}
CHOOSE, CHECK = ("sst2", "tweet_eval_emotion"), ("ag_news", "sms_spam")
PER_LABEL = {"minilm-l6": 32, "smollm2-135m": 16}
"""Examples to learn from, of each label: what a laptop's processor trains on in a minute."""
RATES = {
    "minilm-l6": {
        "contrastive": (5e-5, 1.5e-4, 2e-5),
        "lora": (1e-3, 3e-3, 3e-4),
        "full": (5e-5, 1.5e-4, 2e-5),
    },
    "smollm2-135m": {
        "lora": (1e-3, 3e-3, 3e-4),
        "prefix_tuning": (1e-2, 3e-2, 3e-3),
        "full": (5e-5, 1.5e-4, 2e-5),
    },
}


MANY, MANY_MODEL, MANY_METHOD, MANY_PER_LABEL = "banking77", "minilm-l6", "lora", 10
PASSES = (10.0, 5.77)
"""With 77 labels: passes where 16 examples of each label count as few, and where 256 in all do."""


def main() -> None:
    """Run what is not kept yet, as long as there is time, then print the table."""
    options = arguments()
    kept = recorded()
    began = time.perf_counter()
    for key, data, model, method, count, said in wanted(kept, options.seed):
        if key in kept or options.only not in key:
            continue
        if time.perf_counter() - began > 60 * options.minutes:
            return
        kept[key] = run(data, model, f"{method}({said})", count, options)
        print(f"{key}: {kept[key]['accuracy']:.3f} in {kept[key]['seconds']:.0f} s", flush=True)
        write(kept)
    for line in table(kept, options):
        print(line)


def wanted(kept: Found, seed: int) -> Iterator[tuple[str, str, str, str, int, str]]:
    """Every run: its name, dataset, model, method, examples of each label, and the setting. What checks a choice comes
    after the runs that make it."""
    for model, methods in RATES.items():
        for method, rates in methods.items():
            about = (model, method, seed)
            for data in (*CHOOSE, *CHECK):
                for rate in rates if data in CHOOSE else checked(kept, about, rates):
                    said = f"learning_rate={rate!r}"
                    yield name_of(data, about, rate), data, model, method, PER_LABEL[model], said
    for passes in PASSES:
        yield name_of_passes(passes, seed), MANY, MANY_MODEL, MANY_METHOD, MANY_PER_LABEL, f"epochs={passes!r}"


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    parser.add_argument("--only", default="", help="runs whose name holds this text")
    parser.add_argument("--test", type=int, default=200, help="test items")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def run(data: str, model: str, method: str, per_label: int, options: argparse.Namespace) -> Found:
    """One training, by a method with its settings, and its answers to the test items."""
    from tuningfork.candidate import Single
    from tuningfork.method import Bench, Share
    from tuningfork.methods import open_method
    from tuningfork.metrics import open_metric
    from tuningfork.models import capabilities, open_model
    from tuningfork.predict import predict
    from tuningfork.predict.prompt import default_template, words_of
    from tuningfork.task import Columns, Sources, Task

    rows = read(options.folder / data / "train.jsonl")
    labels = tuple(sorted({row["label"] for row in rows}))
    task = Task(data, "classification", Sources("train.jsonl"), Columns(("text",), "label"), INSTRUCTIONS[data], labels)
    train, hold = drawn(rows, labels, per_label, options.seed)
    test = examples(read(options.folder / data / "test.jsonl")[: options.test], "test")
    opened = Watched(open_model(model))
    bench = Bench(
        task,
        train,
        hold,
        {model: opened},
        open_metric("accuracy"),
        lambda: Share(10**9, 10**9, 3600.0),
        seed=options.seed,
        capabilities={model: capabilities(model)},
    )
    start = Single(model, labels, words_of(labels), default_template(task))
    began = time.perf_counter()
    made = open_method(method)(start, bench)
    seconds = time.perf_counter() - began
    said = predict(made, {model: opened}, [example.inputs for example in test])
    right = [int(p.answer == example.answer) for p, example in zip(said, test, strict=True)]
    return {
        "accuracy": sum(right) / len(right),
        "right": "".join(map(str, right)),
        "labels": len(labels),
        "train": len(train),
        "hold": len(hold),
        "seconds": round(seconds, 1),
        "tunings": opened.tunings,
        "commit": commit(),
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


class Watched:
    """A model that writes down how its trainings went."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.tunings: list[Found] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def tune(self, recipe: Any, *rest: Any) -> Any:
        made = self._model.tune(recipe, *rest)
        curve = [[p.step, round(p.train_nats, 4), p.hold_nats and round(p.hold_nats, 4)] for p in made.curve]
        self.tunings.append({"epochs": recipe.epochs, "why": made.why_stopped, "curve": curve, **made.notes})
        return made


def drawn(
    rows: Sequence[Found], labels: Sequence[str], per_label: int, seed: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """So many of each label to learn from, and a quarter as many to choose on."""
    train: list[Found] = []
    hold: list[Found] = []
    for label in labels:
        own = [row for row in rows if row["label"] == label]
        some = random.Random(f"{NAME} {seed} {label}").sample(own, min(len(own), per_label + per_label // 4))
        train, hold = [*train, *some[:per_label]], [*hold, *some[per_label:]]
    random.Random(f"{NAME} order {seed}").shuffle(train)
    return examples(train, "train"), examples(hold, "hold")


def examples(rows: Sequence[Found], split: str) -> tuple[Any, ...]:
    """Rows as the tool reads them."""
    from tuningfork.task import Example

    return tuple(Example(f"{split}-{i}", {"text": row["text"]}, row["label"]) for i, row in enumerate(rows))


About = tuple[str, str, int]
"""Model, method, seed."""


def name_of(data: str, about: About, rate: float) -> str:
    """A run's name in the file."""
    model, method, seed = about
    return f"{data}/{model}/{method}/{rate:g}/{PER_LABEL[model]}/{seed}"


def name_of_passes(passes: float, seed: int) -> str:
    """The same of a run with many labels."""
    return f"{MANY}/{MANY_MODEL}/{MANY_METHOD}/epochs {passes:g}/{MANY_PER_LABEL}/{seed}"


def winner(kept: Found, about: About, rates: Sequence[float]) -> float | None:
    """The rate of the highest mean accuracy on what chooses; None while a run is missing. Ties go to the one that
    stands, which is the first."""
    found: dict[float, float] = {}
    for rate in rates:
        names = [name_of(data, about, rate) for data in CHOOSE]
        if any(name not in kept for name in names):
            return None
        found[rate] = sum(kept[name]["accuracy"] for name in names) / len(names)
    return max(rates, key=lambda rate: found[rate])


def checked(kept: Found, about: About, rates: Sequence[float]) -> list[float]:
    """The rates that are checked: the one that stands, and the winner where that is another."""
    best = winner(kept, about, rates)
    return [] if best is None else list(dict.fromkeys((rates[0], best)))


def table(kept: Found, options: argparse.Namespace) -> list[str]:
    """A line for each method: its accuracies, and what they say of the rate that stands."""
    lines = []
    for model, methods in RATES.items():
        for method, rates in methods.items():
            about = (model, method, options.seed)
            cells = [
                f"{rate:g}: " + " ".join(accuracy(kept, name_of(data, about, rate)) for data in (*CHOOSE, *CHECK))
                for rate in rates
            ]
            lines.append(f"{model} {method}: {'; '.join(cells)} -> {verdict(kept, about, rates)}")
    cells = [f"{passes:g}: {accuracy(kept, name_of_passes(passes, options.seed))}" for passes in PASSES]
    return [*lines, f"{MANY_MODEL} {MANY_METHOD}, passes on {MANY}: {'; '.join(cells)}"]


def accuracy(kept: Found, key: str) -> str:
    return f"{kept[key]['accuracy']:.3f}" if key in kept else "-"


def verdict(kept: Found, about: About, rates: Sequence[float]) -> str:
    """What the runs say of the rate that stands."""
    from tuningfork.stats.paired import difference

    best, stands = winner(kept, about, rates), rates[0]
    if best is None:
        return "not all run"
    if best == stands:
        return f"{stands:g} stands"
    names = [(name_of(data, about, best), name_of(data, about, stands)) for data in CHECK]
    if any(name not in kept for pair in names for name in pair):
        return f"{best:g} chosen, not checked"
    ours, theirs = ([float(x) for pair in names for x in kept[pair[i]]["right"]] for i in (0, 1))
    gap = difference(ours, theirs)
    said = f"{100 * gap.value:+.1f} points on what checks ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
    return f"{best:g} instead of {stands:g}: {said}" + ("" if gap.value >= 0 else ", so the old one stays")


def recorded() -> Found:
    """The runs that are kept."""
    return dict(json.loads(PATH.read_text(encoding="utf-8"))["runs"]) if PATH.is_file() else {}


def write(kept: Found) -> None:
    """All runs to disk, a line each."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(kept[key])}" for key in sorted(kept))
    PATH.parent.mkdir(exist_ok=True)
    new = PATH.with_suffix(".json.new")
    new.write_text(f'{{"benchmark": "{NAME}",\n "runs": {{\n{lines}\n }}\n}}\n', encoding="utf-8")
    new.replace(PATH)


if __name__ == "__main__":
    main()
