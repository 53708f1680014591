"""When it is asked again, by a clock that only the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.models.endpoint import retry
from tuningfork.models.endpoint.faults import Fault
from tuningfork.models.endpoint.retry import TRIES, Patience
from tuningfork.price import ASKED_AGAIN


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, list[float]()

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def patience(self) -> Patience:
        return Patience(self.wait, lambda: self.now)


def failing(*faults: Fault, then: str = "answer"):  # type: ignore[no-untyped-def]
    left = list(faults)

    def call() -> str:
        if left:
            raise left.pop(0)
        return then

    return call


def busy(after: float | None = None) -> Fault:
    return Fault("server", "busy", "later", after)


def test_a_busy_server_is_asked_again_after_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.5)
    clock = Clock()
    monkeypatch.setattr("random.Random.uniform", lambda self, low, high: high)
    assert clock.patience().ask(failing(*[busy() for _ in range(TRIES - 1)])) == ("answer", 0)
    assert clock.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


def test_it_gives_up_with_the_last_fault() -> None:
    with pytest.raises(Fault, match="busy"):
        Clock().patience().ask(failing(*[busy() for _ in range(TRIES)]))


@given(st.floats(0.01, 100))
def test_what_retry_after_says_is_waited_and_holds_for_all(seconds: float) -> None:
    clock = Clock()
    patience = clock.patience()
    assert patience.ask(failing(busy(seconds))) == ("answer", 0)
    assert seconds <= clock.now <= seconds + 1
    clock.now = 0.0
    patience.ask(failing())
    assert clock.now >= seconds, "another request that comes before that time waits too"


def test_who_asks_to_wait_for_hours_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(Fault):
        clock.patience().ask(failing(busy(3600.0)))
    assert clock.waits == []


def test_a_lost_answer_is_asked_for_again_as_often_as_a_budget_reserves() -> None:
    lost = [Fault("lost", "cut", "lost") for _ in range(ASKED_AGAIN + 1)]
    assert Clock().patience().ask(failing(*lost[:-1])) == ("answer", ASKED_AGAIN)
    with pytest.raises(Fault) as caught:
        Clock().patience().ask(failing(*lost))
    assert caught.value.lost == ASKED_AGAIN + 1


@pytest.mark.parametrize("fault", [Fault("refused", "no"), Fault("key", "no", everyone=True)])
def test_what_asking_again_can_not_mend_is_not_asked_again(fault: Fault) -> None:
    clock = Clock()
    with pytest.raises(Fault):
        clock.patience().ask(failing(fault))
    assert clock.waits == []


def test_who_is_told_to_stop_asks_no_more() -> None:
    patience = Patience()
    patience.stop.set()
    with pytest.raises(Fault):
        patience.ask(failing(busy()))
