"""What is reserved is never less than what comes to be paid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.model import EmbedRequest, GenerateRequest, JsonSchema, OneOf, Regex, ScoreRequest, Usage
from tuningfork.price import ASKED_AGAIN, Price, most_tokens
from tuningfork.task import Message, Prompt

TEXT = st.text(max_size=60)
PROMPT = st.lists(st.builds(Message, st.just("user"), TEXT), max_size=3).map(lambda m: Prompt(tuple(m)))
MONEY = st.floats(0, 1000)
PRICE = st.builds(Price, MONEY, MONEY, st.none() | MONEY, st.integers(0, 3000), st.booleans())
FORM = st.none() | st.builds(OneOf, st.just(("a", "b"))) | st.just(Regex("a+")) | st.just(JsonSchema("{}"))
REQUEST = (
    st.builds(GenerateRequest, PROMPT, st.integers(1, 500), constraint=FORM)
    | st.builds(ScoreRequest, PROMPT, st.lists(TEXT, min_size=1, max_size=3).map(tuple))
    | st.builds(EmbedRequest, TEXT | PROMPT)
)


def tokens(text: str) -> int:
    """As many as a tokenizer can make of it: one a byte."""
    return len(text.encode("utf-8", "surrogatepass"))


@given(PRICE, REQUEST, st.floats(0, 1), st.integers(0, ASKED_AGAIN))
def test_the_most_is_the_most(price: Price, request: object, cached: float, lost: int) -> None:
    content = getattr(request, "content", getattr(request, "prompt", ""))
    texts = [content] if isinstance(content, str) else [m.content for m in content.messages]
    whole = sum(map(tokens, texts)) + 8 * len(texts)
    reused = int(whole * cached)
    written = getattr(request, "max_tokens", 0 if isinstance(request, EmbedRequest) else 1)
    paid = price.usd(Usage(whole - reused, written + (price.hidden if written else 0), reused))
    assert paid * (1 + lost) <= price.most_usd(request) * (1 + 1e-9)  # type: ignore[arg-type]


@given(PRICE, REQUEST)
def test_the_most_is_one_answer_and_those_that_may_get_lost(price: Price, request: object) -> None:
    assert price.most_usd(request) == pytest.approx((1 + ASKED_AGAIN) * price.once_usd(request))  # type: ignore[arg-type]


def test_cached_tokens_have_their_own_price_where_one_is_said() -> None:
    usage = Usage(tokens_in=1_000_000, tokens_out=2_000_000, tokens_reused=3_000_000)
    assert Price(1.0, 10.0, 0.5).usd(usage) == pytest.approx(1 + 20 + 1.5)
    assert Price(1.0, 10.0).usd(usage) == pytest.approx(1 + 20 + 3)


def test_where_every_choice_is_asked_about_the_prompt_is_read_as_often() -> None:
    request = ScoreRequest(Prompt((Message("user", "x"),)), ("a", "b", "c"))
    once, each = Price(1.0, 1.0), Price(1.0, 1.0, by_choice=True)
    assert each.most_usd(request) == pytest.approx(3 * once.most_usd(request))
    assert most_tokens(request)[1] == 1
