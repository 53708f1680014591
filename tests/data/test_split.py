"""Dealing: nothing lost, nothing twice, clusters whole, labels fair, and the same again for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.data.load import Dataset, load
from tuningfork.data.split import deal
from tuningfork.errors import DataError
from tuningfork.task import Columns, Example, Sources, Split, Task

SHARED = Path(__file__).parents[3] / "shared" / "data"
TASK = Task("t", "classification", Sources("a"), Columns(("text",), "label"))


def row(number: int, label: str, cluster: str | None = None, part: str = "r") -> Example:
    """A row whose text repeats no other: under 30 characters, texts are compared exactly."""
    return Example(f"{part}{number}", {"text": f"{part} {number}"}, label, cluster=cluster)


def dataset(counts: list[int], test: int = 0) -> Dataset:
    labels = [f"l{i}" for i, count in enumerate(counts) for _ in range(count)]
    rows = tuple(row(i, label) for i, label in enumerate(labels))
    tested = tuple(row(i, f"l{i % len(counts)}", part="t") for i in range(test))
    return Dataset(rows, tested or None)


def ids(examples: tuple[Example, ...]) -> list[str]:
    return [example.id for example in examples]


def all_ids(split: Split) -> list[str]:
    return [name for part in (split.train, split.hold, split.dev, split.test) for name in ids(part)]


def per_label(examples: tuple[Example, ...]) -> Counter[str]:
    return Counter(example.answer for example in examples)


counts = st.lists(st.integers(2, 60), min_size=2, max_size=15).filter(lambda c: sum(c) >= 20)


@given(counts, st.integers(0, 5), st.booleans())
@settings(deadline=None, max_examples=50)
def test_disjoint_complete_seeded_and_stratified(sizes: list[int], seed: int, tested: bool) -> None:
    data = dataset(sizes, 30 if tested else 0)
    task = TASK.with_(seed=seed)
    split = deal(task, data)
    everything = [*ids(data.train), *ids(data.test or ())]
    assert sorted(all_ids(split)) == sorted(everything)
    assert deal(task, data) == split
    rest = len(split.train) + len(split.hold) + len(split.dev)
    assert 2 * len(split.train) >= rest
    whole, kept, dev = per_label(data.train), per_label(split.train), per_label(split.dev)
    here = whole if tested else whole - per_label(split.test)
    for label, n in here.items():
        assert kept[label] >= 1
        assert abs(dev[label] - 0.25 * n) < 1
        assert kept[label] - 0.6 * n < 1 + 1e-9 or n < 4
    if not tested:
        for label, n in whole.items():
            share = len(split.test) / len(data.train)
            assert abs(per_label(split.test)[label] - share * n) <= 1 or n <= 3 or share * n < 1


def test_another_seed_deals_otherwise() -> None:
    data = dataset([50, 50])
    assert ids(deal(TASK, data).test) != ids(deal(TASK.with_(seed=1), data).test)


def test_dev_comes_in_a_random_order() -> None:
    split = deal(TASK, dataset([200, 200], test=10))
    first = per_label(split.dev[:40])
    assert min(first["l0"], first["l1"]) >= 8
    assert ids(split.dev) != sorted(ids(split.dev), key=lambda name: int(name[1:]))


@pytest.mark.parametrize(
    ("rows", "test", "dev", "hold"),
    [(20, 8, 3, 2), (100, 40, 15, 9), (400, 120, 70, 42), (1000, 300, 175, 105), (9000, 2000, 500, 300)],
)
def test_sizes_without_a_test_file(rows: int, test: int, dev: int, hold: int) -> None:
    split = deal(TASK, dataset([rows // 2, rows // 2]))
    assert len(split.test) == test and abs(len(split.dev) - dev) <= 1 and abs(len(split.hold) - hold) <= 1
    assert f"{test} of {rows} rows" in split.notes[0]


def test_seventy_seven_labels_of_ten() -> None:
    split = deal(TASK, dataset([10] * 77, test=77))
    assert set(per_label(split.train).values()) == {6}
    assert set(per_label(split.dev).values()) == {2, 3} and set(per_label(split.hold).values()) == {1, 2}


@pytest.mark.parametrize("sizes", [[2, 2], [2, 2, 2], [2] * 10])
def test_two_of_each_label_is_enough_with_a_test_file(sizes: list[int]) -> None:
    split = deal(TASK, dataset(sizes, test=20))
    assert set(per_label(split.train)) == set(per_label(dataset(sizes).train)) and split.hold and split.dev


def test_rare_labels_get_into_the_test() -> None:
    split = deal(TASK, dataset([300, 3, 1]))
    assert per_label(split.test)["l1"] == 1 and per_label(split.test)["l2"] == 0 and per_label(split.train)["l2"] == 1


def test_generation_of_ten_rows() -> None:
    task = TASK.with_(kind="generation")
    split = deal(task, Dataset(tuple(row(i, f"answer {i}") for i in range(10))))
    assert [len(part) for part in (split.train, split.hold, split.dev, split.test)] == [3, 1, 2, 4]


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from("ab")), min_size=40, max_size=150), st.booleans())
@settings(deadline=None, max_examples=50)
def test_clusters_are_never_broken(pairs: list[tuple[int, str]], classify: bool) -> None:
    rows = tuple(row(i, label, cluster=f"c{c}") for i, (c, label) in enumerate(pairs))
    task = TASK if classify else TASK.with_(kind="generation")
    try:
        split = deal(task, Dataset(rows))
    except DataError as error:
        assert "too few to cut" in str(error)
        return
    assert sorted(all_ids(split)) == sorted(ids(rows))
    homes = [(e.cluster, name) for name in ("train", "hold", "dev", "test") for e in getattr(split, name)]
    assert len({cluster for cluster, _ in homes}) == len(set(homes))
    if classify:
        assert {e.answer for e in split.train} == {label for _, label in pairs}


def test_clusters_of_many_labels_still_fill_the_parts() -> None:
    rows = tuple(row(i, f"l{(i * 7) % 20}", cluster=f"user {i // 10}") for i in range(1000))
    split = deal(TASK, Dataset(rows))
    assert 240 <= len(split.test) <= 300 and 140 <= len(split.dev) <= 175 and 80 <= len(split.hold) <= 110


def test_one_cluster_is_too_few() -> None:
    rows = tuple(row(i, "ab"[i % 2], cluster="all") for i in range(40))
    with pytest.raises(DataError, match=r"too few to cut.*Three that may be parted"):
        deal(TASK, Dataset(rows))


LONG = "the parcel with my order never came and nobody answers the phone at your office"


def test_near_duplicates_stay_together_and_share_a_cluster() -> None:
    same = [Example(f"s{i}", {"text": LONG + "!" * i}, "l0") for i in range(6)]
    data = Dataset((*dataset([60, 60]).train, *same))
    for seed in range(5):
        split = deal(TASK.with_(seed=seed), data)
        homes = [n for n in ("train", "hold", "dev", "test") for e in getattr(split, n) if e.id.startswith("s")]
        assert len(homes) == 6 and len(set(homes)) == 1
        marks = {e.cluster for n in homes[:1] for e in getattr(split, n) if e.id.startswith("s")}
        assert len(marks) == 1 and None not in marks


def test_train_rows_that_repeat_the_test_are_left_out() -> None:
    base = dataset([30, 30], test=10)
    leak = Example("leak", {"text": LONG}, "l0")
    data = Dataset((*base.train, leak), (*(base.test or ()), Example("same", {"text": LONG.upper()}, "l0")))
    split = deal(TASK, data)
    assert ids(split.test) == ids(data.test or ()) and "leak" not in all_ids(split)
    assert any("1 of 61" in note for note in split.notes)


def test_a_label_that_only_repeats_the_test() -> None:
    base = dataset([30, 30], test=10)
    rows = tuple(Example(f"x{i}", {"text": LONG}, "odd") for i in range(2))
    with pytest.raises(DataError, match="label 'odd' nearly repeats"):
        deal(TASK, Dataset((*base.train, *rows), (*(base.test or ()), Example("same", {"text": LONG}, "odd"))))


def test_what_else_there_is_passes_through() -> None:
    base = dataset([20, 20])
    extra = (row(999, "l0"),)
    split = deal(TASK, Dataset(base.train, None, extra, extra, (), ("a note",)))
    assert (split.unlabelled, split.documents, split.notes[0]) == (extra, extra, "a note")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public datasets are not beside the checkout")
def test_on_ten_of_each_of_77_real_labels() -> None:
    data = Sources("train_10shot.jsonl", "test.jsonl")
    task = Task("banking77", "classification", data, Columns(("text",), "label"), folder=str(SHARED / "banking77"))
    split = deal(task, load(task))
    assert len(split.test) == 3080 and min(per_label(split.train).values()) >= 5 and len(per_label(split.dev)) == 77
