"""Documents cut, found and shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Passages, Shot, Single, Template, blobs_of, from_dict, identity, models_of, to_dict
from tuningfork.errors import UnknownName
from tuningfork.model import EmbedRequest
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.passages import Passage, cut, finder, index_of
from tuningfork.predict.prompt import render
from tuningfork.predict.shots import nearest_of, prompter
from tuningfork.task import Message, Prompt, plain_text

PIECES = (
    Passage("A refund takes five days.", "money.md#1"),
    Passage("The export writes a table.", "data.md"),
    Passage("A refund needs a receipt and a card.", "money.md#2"),
)
TEMPLATE = Template((Message("system", "Answer."), Message("user", "Passages:\n{{passages}}\n\nAsked: {{text}}")))


def index(by: str = "bm25", k: int = 2) -> Passages:
    encoder = FakeModel("fake-encoder", kind="encoder")
    vectors = [v.values for v in encoder.embed([EmbedRequest(p.text) for p in PIECES])]  # type: ignore[union-attr]
    return index_of(PIECES, k, by, "fake-encoder", vectors)  # type: ignore[arg-type]


def models(**about: object) -> dict[str, FakeModel]:
    return {"fake": FakeModel("fake"), "fake-encoder": FakeModel("fake-encoder", kind="encoder", **about)}  # type: ignore[arg-type]


def asking(by: str = "bm25", **about: object) -> Single:
    about = {"prompt": TEMPLATE, "answer_by": "generate", "passages": index(by)} | about
    return Single("fake", **about)  # type: ignore[arg-type]


def last(prompt: object) -> str:
    assert isinstance(prompt, Prompt)
    return plain_text(prompt.messages[-1].content)


def test_paragraphs_are_joined_and_headings_stay_with_what_follows() -> None:
    text = "# Shop\n\n## Returns\nWithin 30 days.\n\nBring a receipt.\r\n\r\n## Hours\n\nNine to five.\n"
    assert cut(text) == ["# Shop\n\n## Returns\nWithin 30 days.\n\nBring a receipt.", "## Hours\n\nNine to five."]
    assert cut("one\n\ntwo\n\nthree", size=9) == ["one\n\ntwo", "three"]
    assert cut("only\n\n# A heading at the end") == ["only", "# A heading at the end"]
    assert cut("  \n\n ") == []


def test_a_long_paragraph_is_cut_between_words_and_overlaps() -> None:
    words = " ".join(f"word{n}" for n in range(200))
    pieces = cut(words, size=200, overlap=40)
    assert all(len(piece) <= 200 for piece in pieces)
    assert all(piece.split()[0] in before.split()[-6:] for before, piece in pairwise(pieces))
    assert set(" ".join(pieces).split()) == set(words.split())
    assert [len(piece) for piece in cut("字" * 500, size=200, overlap=40)] == [200, 200, 140]


@given(st.text(alphabet="ab \n#字", max_size=400), st.integers(8, 60), st.integers(0, 80))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, size: int, overlap: int) -> None:
    pieces = cut(text, size, overlap)
    assert all(0 < len(piece) <= size and piece.strip() for piece in pieces)
    assert not "".join(text.split()) or pieces
    at = 0
    bare = "".join(text.split())
    for piece in ("".join(piece.split()) for piece in pieces):
        found = bare.rfind(piece, 0, at + len(piece))
        assert found >= 0  # every piece begins at the latest where the last one ended
        at = max(at, found + len(piece))
    assert at == len(bare)


@pytest.mark.parametrize("by", ["bm25", "embedding", "both"])
def test_the_nearest_are_shown_numbered_and_cited(by: str) -> None:
    (rendered,) = prompter(asking(by), models())([{"text": "when does my refund come, five days?"}])
    assert last(rendered.prompt) == (
        "Passages:\n[1] money.md#1\nA refund takes five days.\n\n[2] money.md#2\nA refund needs a receipt and a card."
        "\n\nAsked: when does my refund come, five days?"
    )
    assert rendered.citations == ("money.md#1", "money.md#2")
    (said,) = predict(asking(by), models(), [{"text": "when does my refund come, five days?"}])
    assert said.failure is None and said.citations == rendered.citations


def test_scored_answers_and_heads_cite_too() -> None:
    from tuningfork.predict.head import head_of

    labels = ("yes", "no")
    scored = asking(labels=labels, words=labels, answer_by="score")
    import numpy as np

    headed = asking(labels=labels, words=labels, answer_by="head", head=head_of(np.ones((2, 64)), np.zeros(2)))
    for candidate in (scored, headed):
        (said,) = predict(candidate, models(), [{"text": "refund"}])
        assert said.answer in labels and said.citations == ("money.md#1", "money.md#2")


def test_by_words_what_shares_none_is_not_shown() -> None:
    (one, none) = prompter(asking(), models())([{"text": "table"}, {"text": "zebra"}])
    assert one.citations == ("data.md",)
    assert none.citations == () and last(none.prompt) == "Asked: zebra"


def test_demonstrations_have_no_passages() -> None:
    shots = (Shot((("text", "a table?"),), "yes"),)
    encoder = models()["fake-encoder"]
    (vector,) = encoder.embed([EmbedRequest("a table?")])
    picked = nearest_of("fake-encoder", shots, [vector.values], 1)  # type: ignore[union-attr]
    for shown in (shots, picked):
        (rendered,) = prompter(asking(shots=shown), models())([{"text": "refund"}])
        assert isinstance(rendered.prompt, Prompt)
        assert [plain_text(m.content) for m in rendered.prompt.messages[1:3]] == ["Asked: a table?", "yes"]
        assert "[1] money.md#1" in last(rendered.prompt)


def test_an_input_that_cannot_be_embedded_fails_alone() -> None:
    found = list(predict(asking("both"), models(fail_on="break"), [{"text": "break"}, {"text": "refund"}]))
    assert [p.failure is None for p in found] == [False, True] and found[0].citations == ()


def test_what_finding_costs_is_part_of_the_answer() -> None:
    (words,) = predict(asking("bm25", passages=index("bm25")), models(), [{"text": "refund five"}])
    (vectors,) = predict(asking("both"), models(), [{"text": "refund five"}])
    assert vectors.usage.tokens_in == words.usage.tokens_in + 2


def test_an_encoder_that_was_not_opened_is_told() -> None:
    with pytest.raises(UnknownName, match="fake-encoder"):
        finder(index("both"), {"fake": FakeModel("fake")})


def test_it_is_kept_and_named_with_the_candidate() -> None:
    kept = asking("both")
    blobs = {blob.sha256: blob for blob in blobs_of(kept)}
    assert len(blobs) == 2 and models_of(kept) == ("fake", "fake-encoder")
    again = from_dict(to_dict(kept), blobs.__getitem__)
    assert identity(again) == identity(kept) != identity(asking("both", passages=index("both", 1)))


@pytest.mark.parametrize(
    ("turn", "without"),
    [
        ("Look:\n{{passages}}\n\n{{text}}", "T"),
        ("Look: {{ passages }}\nAsked: {{text}}", "Asked: T"),
        ("{{passages}} {{text}}", " T"),
        ("{{text}}", "T"),
    ],
)
def test_no_passages_leave_no_hole(turn: str, without: str) -> None:
    prompt = render(Template((Message("user", turn),)), {"text": "T"}, passages="")
    assert last(prompt) == without


def test_without_documents_the_place_is_any_column() -> None:
    template = Template((Message("user", "{{passages}}\n\n{{text}}"),))
    shots = (Shot((("text", "a"), ("passages", "own")), "x"),)
    prompt = render(template, {"text": "T", "passages": ""}, shots)
    assert plain_text(prompt.messages[0].content) == "own\n\na" and last(prompt) == "\n\nT"
    with pytest.raises(UnknownName, match="passages"):
        render(template, {"text": "T"})
