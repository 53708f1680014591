"""Near-duplicates are found, and different texts are not."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.data.duplicates import clusters, normalise

LONG = "I was charged twice for the same order last week and nobody has answered my letter yet"


def test_case_space_and_punctuation_do_not_count() -> None:
    assert clusters([LONG, LONG.upper() + "!!", "  " + LONG.replace(" ", "\n"), "something else"]) == [0, 0, 0, 1]


def test_one_word_changed_in_a_long_text() -> None:
    assert clusters([LONG, LONG.replace("week", "month"), LONG[::-1]]) == [0, 0, 1]


def test_short_texts_are_compared_exactly() -> None:
    assert clusters(["card lost", "card cost", "Card lost?", "lost card", "card losts"]) == [0, 1, 0, 2, 3]


def test_texts_of_punctuation_only() -> None:
    assert clusters(["?!", "?", "?!", ":)", ""]) == [0, 1, 0, 2, 3]


def test_other_scripts_do_not_collapse() -> None:
    assert clusters(["請求書が届きません", "請求書が届きました", "🙂", "🙃"]) == [0, 1, 2, 3]


def test_threshold() -> None:
    texts = [LONG, LONG + " and I am not amused"]
    assert clusters(texts, 0.9) == [0, 1] and clusters(texts, 0.6) == [0, 0]
    with pytest.raises(ValueError, match="threshold"):
        clusters(texts, 0)


def jaccard(a: str, b: str) -> float:
    grams = [{text[i : i + 5] for i in range(len(text) - 4)} for text in map(normalise, (a, b))]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_against_all_pairs_compared_one_by_one() -> None:
    rng = random.Random(0)
    text = "card order letter charged twice week answer please help refund account number broken phone street"
    words = text.split()
    texts = [" ".join(rng.choices(words, k=14)) for _ in range(60)]
    texts += [text.replace(rng.choice(text.split()), "moon", 1) for text in texts[:40]]
    found = clusters(texts)
    apart = [
        (i, j) for i in range(100) for j in range(i) if jaccard(texts[i], texts[j]) >= 0.8 and found[i] != found[j]
    ]
    joined = {number: [t for t, n in zip(texts, found, strict=True) if n == number] for number in set(found)}
    lonely = [
        t
        for group in joined.values()
        if len(group) > 1
        for t in group
        if all(jaccard(t, o) < 0.8 for o in group if o != t)
    ]
    assert len(set(found)) < 90 and apart == [] and lonely == []


@given(st.lists(st.text(max_size=40), max_size=12))
@settings(deadline=None, max_examples=50)
def test_numbers_start_at_zero_in_order_and_do_not_depend_on_the_run(texts: list[str]) -> None:
    found = clusters(texts)
    assert found == clusters(texts)
    assert list(dict.fromkeys(found)) == list(range(len(set(found))))
    assert all(found[i] == found[j] for i in range(len(texts)) for j in range(i) if texts[i] == texts[j])


def test_thousands_take_seconds() -> None:
    rng = random.Random(1)
    words = [f"{a}{b}" for a in ("ta", "ki", "ro", "ne", "su") for b in ("ma", "lo", "vi", "de", "po")]
    texts = [" ".join(rng.choices(words, k=12)) for _ in range(3000)]
    begin = time.perf_counter()
    clusters(texts)
    assert time.perf_counter() - begin < 5
