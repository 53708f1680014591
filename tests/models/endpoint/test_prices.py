"""Whose price counts, and that none is ever made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tuningfork.errors import ModelError
from tuningfork.models.endpoint import address_of, is_endpoint
from tuningfork.models.endpoint.naming import shipped
from tuningfork.models.endpoint.prices import own_file, price_of


def write_own(text: str) -> Path:
    path = own_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_task_file_counts_before_the_users_own_and_that_before_what_is_shipped() -> None:
    mini = address_of("openai:gpt-4.1-mini")
    assert (price_of(mini).read, price_of(mini).cached, price_of(mini).write) == (0.4, None, 1.6)
    assert "check it" in price_of(mini).about
    write_own("openai:gpt-4.1-mini: {in: 7, cached: 2, out: 8}\n")
    assert (price_of(mini).read, price_of(mini).cached) == (7, 2) and str(own_file()) in price_of(mini).about
    assert price_of(mini, {mini.name: {"in": 1, "out": 2}}).about == "by the task file"


def test_a_price_that_nobody_said_is_asked_for_with_the_line_to_write() -> None:
    unknown = address_of("openai:brand-new")
    with pytest.raises(ModelError, match="Nobody says what openai:brand-new costs") as caught:
        price_of(unknown)
    line = str(caught.value).rpartition("\n")[2]
    write_own(line)
    assert (price_of(unknown).read, price_of(unknown).write) == (0.0, 0.0), "said by the user, so it may be zero"


def test_a_server_on_this_machine_is_free_unless_a_price_says_otherwise() -> None:
    local = address_of("openai:m@http://localhost:8000/v1")
    assert price_of(local).read == 0 and "on this machine" in price_of(local).about
    assert price_of(local, {local.name: {"in": 3, "out": 4}}).write == 4
    with pytest.raises(ModelError, match="Nobody says"):
        price_of(address_of("openai:m@http://192.168.0.7:8000/v1"))


@pytest.mark.parametrize("price", ["{in: 1}", "{in: -1, out: 1}", "{in: a, out: 1}", "{in: 1, out: 1, of: 2}", "3"])
def test_a_price_that_is_none_is_refused_by_name(price: str) -> None:
    write_own(f"openai:odd: {price}\n")
    with pytest.raises(ModelError, match="openai:odd"):
        price_of(address_of("openai:odd"))


@pytest.mark.parametrize("text", ["[1, 2]", "a: {b", "3"])
def test_a_file_of_prices_that_can_not_be_read_is_named(text: str) -> None:
    path = write_own(text)
    with pytest.raises(ModelError, match=r"prices\.yaml"):
        price_of(address_of("openai:gpt-5"))
    assert path.exists()


def test_every_price_that_is_shipped_is_one() -> None:
    for name in shipped("prices.yaml"):
        price = price_of(address_of(name))
        assert is_endpoint(name) and price.read > 0 and (price.cached is None or price.cached < price.read)
        assert yaml.safe_load(f"{name}: 1") == {name: 1}
