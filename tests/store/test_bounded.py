"""The bounded store: it keeps what it can, forgets the oldest, and never fails its caller."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuningfork.store import bounded
from tuningfork.store.bounded import Bounded

MIB = 1 << 20
WRITER = """
import sys
from pathlib import Path
from tuningfork.store.bounded import Bounded

store, name = Bounded(Path(sys.argv[1]), 1 << 30), sys.argv[2]
for call in range(int(sys.argv[3])):
    own = {f"{name} {call} {n}".encode(): bytes(500) for n in range(20)}
    store.put({**own, **{f"both {call} {n}".encode(): name.encode() for n in range(20)}})
    print(call, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Bounded]:
    with Bounded(tmp_path / "deep" / "kept.sqlite", 64 * MIB) as made:
        yield made


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def some(*numbers: int, size: int = 1000) -> dict[bytes, bytes]:
    return {key(number): bytes([number % 256]) * size for number in numbers}


def writing(path: Path, name: str, calls: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(path), name, str(calls)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_was_put_is_there_also_when_opened_again(store: Bounded) -> None:
    assert store.size() == (0, 0) and not store.path.exists(), "looking makes no file"
    entries = {**some(*range(1200)), b"empty": b"", b"": b"no key"}
    store.put(entries)
    assert store.get([key(-1 + 2**200), *entries]) == entries
    store.close()
    assert Bounded.get(store, list(entries)) == entries
    assert store.size()[1] == len(entries) and not store.troubles
    store.put({key(0): b"another"})
    assert store.get([key(0)]) == some(0), "the first stays"


def test_without_keys_nothing_is_opened(store: Bounded) -> None:
    assert store.get([]) == {}
    store.put({})
    assert not store.path.exists()


def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hour = [100]
    monkeypatch.setattr(bounded, "_hour", lambda: hour[0])
    with Bounded(tmp_path / "kept.sqlite", MIB) as store:
        for number in range(0, 1400, 40):
            store.put(some(*range(number, number + 40)))
            store.get([key(0), key(1)])
            assert store.path.stat().st_size <= 1.3 * MIB
            hour[0] += 1
        kept = sorted(int.from_bytes(found, "big") for found in store.get([key(n) for n in range(1400)]))
        assert not store.troubles
    assert len(kept) > 500, "most of the room is used"
    assert kept[:2] == [0, 1], "these were asked for again and again"
    assert kept[2:] == list(range(1400 - len(kept) + 2, 1400)), "the others went in order"


def test_a_lower_limit_makes_the_file_smaller(tmp_path: Path) -> None:
    with Bounded(tmp_path / "kept.sqlite", 64 * MIB) as store:
        store.put(some(*range(4000)))
    assert store.path.stat().st_size > 4 * MIB
    with Bounded(tmp_path / "kept.sqlite", MIB) as store:
        store.put(some(5000))
    assert store.path.stat().st_size <= MIB and store.size()[1] > 500
    store.close()


def test_asking_writes_at_most_once_an_hour(store: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "_hour", lambda: 7)
    store.put(some(1, 2))
    assert store._connection is not None
    before = store._connection.total_changes
    store.get([key(1), key(2)])
    assert store._connection.total_changes == before
    monkeypatch.setattr(bounded, "_hour", lambda: 8)
    store.get([key(1)])
    store.get([key(1)])
    assert store._connection.total_changes == before + 1


def test_two_processes_and_threads_at_once(store: Bounded) -> None:
    processes = [writing(store.path, name, 30) for name in ("one", "two")]
    threads = [
        threading.Thread(target=lambda n=n: [store.put(some(n, n + 1)) for n in range(1000 * n, 1000 * n + 50)])
        for n in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    for name in ("one", "two"):
        own = [f"{name} {call} {n}".encode() for call in range(30) for n in range(20)]
        assert len(store.get(own)) == 600
    both = store.get([f"both {call} {n}".encode() for call in range(30) for n in range(20)])
    assert len(both) == 600 and set(both.values()) <= {b"one", b"two"}
    assert len(store.get([key(n) for base in (1000, 2000, 3000) for n in range(base, base + 51)])) == 153
    assert not store.troubles


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_kill_at_any_moment_leaves_whole_puts(store: Bounded) -> None:
    for wait in (0.0, 0.003, 0.01):
        process = writing(store.path, f"killed {wait}", 100_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        done = 1 + len(said.splitlines())
        for call in range(done + 2):
            found = store.get([f"killed {wait} {call} {n}".encode() for n in range(20)])
            assert len(found) in ((20,) if call < done else (0, 20))
    assert not store.troubles


@pytest.mark.parametrize("damage", ["no database", "a changed value", "pages of zeros"])
def test_a_damaged_file_is_set_aside_with_one_sentence(store: Bounded, damage: str) -> None:
    store.put(some(*range(200)))
    store.close()
    data = store.path.read_bytes()
    match damage:
        case "no database":
            data = b"what is this? " * 1000
        case "a changed value":
            at = data.index(bytes([77]) * 1000) + 500
            data = data[:at] + b"!" + data[at + 1 :]
        case _:
            data = data[:8192] + bytes(len(data) - 8192)
    store.path.write_bytes(data)
    assert store.get([key(n) for n in range(200)]) == {}
    store.put(some(1))
    assert store.get([key(1)]) == some(1), "a new one was begun"
    (said,) = store.troubles
    assert "was damaged" in said and "kept.damaged.sqlite" in said
    assert (store.path.parent / "kept.damaged.sqlite").read_bytes() == data


def test_a_file_that_is_damaged_again_is_left_alone(store: Bounded) -> None:
    for _ in range(2):
        store.put(some(1))
        store.close()
        store.path.write_bytes(b"no database" * 1000)
        assert store.get([key(1)]) == {}
    store.put(some(1))
    assert store.get([key(1)]) == {} and len(store.troubles) == 2 and "without it" in store.troubles[1]


def test_what_another_process_has_mended_is_not_set_aside_again(store: Bounded) -> None:
    store.put(some(1))
    with Bounded(store.path, MIB) as other:
        other.get([key(1)])
        other.close()
        other._set_aside(sqlite3.DatabaseError("found by the other"))
        other.put(some(2))
        store._take(bounded._Changed("found by us, later"))
        store.close()
        assert not store.troubles and store.get([key(1), key(2)]) == some(2)


def test_a_full_disk_turns_it_off_with_one_sentence(store: Bounded) -> None:
    store.put(some(1))
    assert store._connection is not None
    pages = bounded._number(store._connection, "page_count")
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    store.put(some(*range(10, 60)))
    store.put(some(*range(60, 90)))
    assert store.get([key(1)]) == {}
    (said,) = store.troubles
    assert "full" in said and str(store.path) in said and "went on without it" in said
    with Bounded(store.path, MIB) as again:
        assert again.get([key(1), key(10)]) == some(1), "all or nothing, and what was there is whole"


def test_a_folder_that_can_not_be_written_turns_it_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with Bounded(tmp_path / "file" / "kept.sqlite", MIB) as store:
        assert store.get([key(1)]) == {}
        store.put(some(1))
        assert store.get([key(1)]) == {} and len(store.troubles) == 1


def test_a_file_that_may_only_be_read_turns_it_off(store: Bounded) -> None:
    store.put(some(1))
    assert store._connection is not None
    store._connection.execute("PRAGMA query_only = ON")
    store.put(some(2))
    assert len(store.troubles) == 1 and "readonly" in store.troubles[0] and store.get([key(1)]) == {}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a folder is read-only to no root")
def test_a_read_only_folder_turns_it_off(store: Bounded) -> None:
    store.path.parent.mkdir()
    store.path.parent.chmod(0o500)
    store.put(some(1))
    assert len(store.troubles) == 1
    store.path.parent.chmod(0o700)


def test_who_waits_too_long_for_another_goes_on_without(store: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "WAIT_SECONDS", 0.05)
    store.put(some(1))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.get([key(1)]) == some(1), "reading waits for nobody"
    store.put(some(2))
    other.close()
    assert len(store.troubles) == 1 and "locked" in store.troubles[0]


def test_an_interrupt_takes_the_whole_put_back(store: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(some(1))

    def interrupted(key: bytes, value: bytes) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bounded, "_sealed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.put(some(2, 3))
    store.put(some(4))
    assert store.get([key(n) for n in range(6)]) == some(1, 4) and not store.troubles


def test_clearing_forgets_everything(store: Bounded) -> None:
    store.clear()
    store.put(some(1))
    (store.path.parent / "kept.damaged.sqlite").write_bytes(b"old")
    store.clear()
    assert [path.name for path in store.path.parent.iterdir() if "lock" not in path.name] == []
    assert store.get([key(1)]) == {} and store.size()[1] == 0 and not store.troubles
