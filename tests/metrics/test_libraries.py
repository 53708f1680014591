"""Our metrics beside independent computations of them, on random data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from tuningfork.candidate import Prediction
from tuningfork.metrics import open_metric, value
from tuningfork.task import Example, Target, set_of, set_text

LABELS = ("a", "b", "c; d", "e")


def examples(targets: Sequence[Target]) -> list[Example]:
    return [Example(f"e{n}", {"text": "t"}, target) for n, target in enumerate(targets)]


def ours(name: str, targets: Sequence[Target], answers: Sequence[str]) -> float:
    found = value(open_metric(name, LABELS), examples(targets), [Prediction(answer) for answer in answers])
    assert found is not None
    return found


labels = st.sampled_from(LABELS)
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=30)


@given(pairs)
def test_one_label_an_item(made: list[tuple[str, str]]) -> None:
    wanted, said = [w for w, _ in made], [s for _, s in made]
    present = sorted(set(wanted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {
            "accuracy": sk.accuracy_score(wanted, said),
            "balanced_accuracy": sk.balanced_accuracy_score(wanted, said),
            "macro_f1": sk.f1_score(wanted, said, average="macro", labels=present, zero_division=0),
            "macro_precision": sk.precision_score(wanted, said, average="macro", labels=present, zero_division=0),
            "macro_recall": sk.recall_score(wanted, said, average="macro", labels=present, zero_division=0),
            "micro_f1": sk.f1_score(wanted, said, average="micro", zero_division=0),
            "micro_precision": sk.precision_score(wanted, said, average="micro", zero_division=0),
            "micro_recall": sk.recall_score(wanted, said, average="micro", zero_division=0),
            "mcc": sk.matthews_corrcoef(wanted, said),
        }
    for name, their in theirs.items():
        assert ours(name, wanted, said) == pytest.approx(their, abs=1e-9), name


sets = st.frozensets(labels)
set_pairs = st.lists(st.tuples(sets, sets), min_size=1, max_size=30)


@given(set_pairs)
def test_several_labels_an_item(made: list[tuple[frozenset[str], frozenset[str]]]) -> None:
    binary = MultiLabelBinarizer(classes=list(LABELS))
    wanted, said = binary.fit_transform([w for w, _ in made]), binary.transform([s for _, s in made])
    present = np.flatnonzero(wanted.any(axis=0))
    theirs = {
        "samples_f1": sk.f1_score(wanted, said, average="samples", zero_division=1),
        "jaccard": np.mean([len(w & s) / len(w | s) if w | s else 1.0 for w, s in made]),
        "exact_set": sk.accuracy_score(wanted, said),
        "hamming_loss": sk.hamming_loss(wanted, said),
    }
    if len(present):
        wide = {"average": "macro", "labels": present, "zero_division": 0}
        theirs["macro_f1"] = sk.f1_score(wanted, said, **wide)
        theirs["macro_recall"] = sk.recall_score(wanted, said, **wide)
        theirs["macro_precision"] = sk.precision_score(wanted, said, **wide)
        theirs["micro_f1"] = sk.f1_score(wanted, said, average="micro", zero_division=0)
        theirs["micro_precision"] = sk.precision_score(wanted, said, average="micro", zero_division=0)
    for name, their in theirs.items():
        assert ours(name, [w for w, _ in made], [set_text(s) for _, s in made]) == pytest.approx(their), name


@given(st.frozensets(st.text(max_size=6).filter(str.strip) | st.sampled_from(["a;b", "[x", '["a"]', " c "])))
def test_a_set_as_text_is_read_back_as_it_was(made: frozenset[str]) -> None:
    assert set_of(set_text(made)) == made


@given(st.lists(st.tuples(labels, st.lists(st.floats(0.01, 1), min_size=4, max_size=4)), min_size=2, max_size=20))
def test_probabilities(made: list[tuple[str, list[float]]]) -> None:
    wanted = [label for label, _ in made]
    shares = np.array([weights for _, weights in made])
    shares /= shares.sum(axis=1, keepdims=True)
    predictions = [Prediction(LABELS[row.argmax()], tuple(map(math.log, row))) for row in shares]
    found = {
        n: value(open_metric(n, LABELS), examples(wanted), predictions) for n in ("log_loss", "brier", "perplexity")
    }
    theirs = sk.log_loss(wanted, shares, labels=list(LABELS))
    assert found["log_loss"] == pytest.approx(theirs) and found["perplexity"] == pytest.approx(math.exp(theirs))
    one_hot = np.array([[label == want for label in LABELS] for want in wanted], dtype=float)
    assert found["brier"] == pytest.approx(((shares - one_hot) ** 2).sum(axis=1).mean())


def ece(sure: np.ndarray, right: np.ndarray) -> float:
    predictions = [Prediction("a", confidence=float(c)) for c in sure]
    found = value(open_metric("ece"), examples(["a" if r else "b" for r in right]), predictions)
    assert found is not None
    return found


def test_ece_of_the_calibrated_is_near_zero_and_of_the_others_what_they_are_off() -> None:
    rng = np.random.default_rng(0)
    plain, found, off = [], [], []
    for _ in range(30):
        sure = rng.uniform(0.4, 1.0, 450)
        right = rng.uniform(size=450) < sure
        found.append(ece(sure, right))
        order = np.array_split(np.argsort(sure), 15)
        plain.append(np.mean([abs(right[at].mean() - sure[at].mean()) for at in order]))
        off.append(ece(np.minimum(1.0, sure + 0.2), rng.uniform(size=450) < sure))
    assert np.mean(found) < 0.65 * np.mean(plain)  # noise alone gives 0.06 without debiasing
    true = np.mean(np.minimum(0.2, 1.0 - np.linspace(0.4, 1.0, 10_001)))
    assert np.mean(off) == pytest.approx(true, abs=0.01)


def test_ece_of_few_items_has_fewer_bins() -> None:
    assert ece(np.array([0.9]), np.array([True])) == pytest.approx(0.1)
    assert ece(np.full(20, 1.0), np.full(20, True)) == 0.0


texts = st.text(alphabet="abcd e.", min_size=1, max_size=30)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
def test_bleu_and_chrf(made: list[tuple[str, str, str]]) -> None:
    answers, one, two = ([row[i] for row in made] for i in range(3))
    targets = [tuple(dict.fromkeys((a, b))) for a, b in zip(one, two, strict=True)]
    theirs = sacrebleu.corpus_bleu(answers, [one, two]).score / 100
    assert ours("bleu", targets, answers) == pytest.approx(theirs, abs=1e-9)
    for answer, target in zip(answers, targets, strict=True):
        bleu = sacrebleu.sentence_bleu(answer, list(target), use_effective_order=True).score / 100
        items = examples([target]), [Prediction(answer)]
        assert open_metric("bleu").item(items[0][0], items[1][0]) == pytest.approx(bleu)
        assert value(open_metric("chrf"), *items) == pytest.approx(
            sacrebleu.sentence_chrf(answer, list(target)).score / 100
        )


@given(texts, texts)
def test_rouge(target: str, answer: str) -> None:
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(target, answer)
    for name, key in [("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")]:
        assert ours(name, [target], [answer]) == pytest.approx(theirs[key].fmeasure)


def test_rouge_with_stems() -> None:
    assert (
        ours("rouge_1", ["he runs"], ["he running"]) == 0.5
        and ours("rouge_1(stem=true)", ["he runs"], ["he running"]) == 1.0
    )


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("First 3, then 4. So it is $1,234.50.", True),
        ("1234.5", True),
        ("about 1.2345e3 in all", True),
        ("1234.51", False),
        ("-1234.5", False),
        ("none", False),
        ("", False),
    ],
)
def test_numeric_reads_the_last_number(text: str, right: bool) -> None:
    assert ours("numeric", ["#### 1,234.5"], [text]) == right


@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_numeric_knows_any_number_again(number: float) -> None:
    assert ours("numeric", [f"it is {number}"], [f"7 and so {number!r}."]) == 1.0
