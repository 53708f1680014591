"""What a model reads, known from its tokenizer alone."""

from __future__ import annotations

from tuningfork.engine.reader import Reader
from tuningfork.model import Failure
from tuningfork.task import Message, Prompt


def test_it_reads_as_the_opened_model_does(make, tiny):
    for kind, chat in (("llama", True), ("gpt2", False), ("roberta", True)):
        at = tiny(kind, chat)
        reader, renderer = Reader(at.folder), at.model._renderer
        prompts = [make.prompt(text, [("a", "b")]) for text in ("one", "another one")]
        texts = [reader.read(prompt) for prompt in prompts]
        assert texts == [renderer.read(prompt) for prompt in prompts]
        rows = renderer.ids(texts)
        shared = next(i for i, (a, b) in enumerate(zip(*rows, strict=False)) if a != b)
        assert reader.lengths(texts) == ([len(row) for row in rows], shared) and shared > 5
        assert reader.chat == (kind == "llama") or kind == "roberta"
        if kind != "roberta":  # whose first positions are taken, which only the weights tell
            assert reader.context_tokens == at.model._weights.context_tokens


def test_pieces_are_counted_without_what_stands_round_them(tiny):
    reader = Reader(tiny("llama").folder)
    assert reader.count("") == 0
    assert reader.count("refund") == len(tiny("llama").tokenizer("refund", add_special_tokens=False)["input_ids"])


def test_an_empty_prompt_is_no_prompt(tiny):
    assert isinstance(Reader(tiny("llama").folder).read(Prompt((Message("user", " "),))), Failure)
