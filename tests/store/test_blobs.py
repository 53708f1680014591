"""Blobs: named by what they hold, whole or not there, never changed unseen."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.errors import DataError
from tuningfork.store.blobs import Blob, Blobs, write_atomically


@given(st.binary(max_size=200))
def test_a_blob_is_named_by_its_sha256(data: bytes) -> None:
    blob = Blob.of(data)
    assert (blob.sha256, blob.size, blob.read()) == (hashlib.sha256(data).hexdigest(), len(data), data)
    assert pickle.loads(pickle.dumps(blob)) == blob and blob in {Blob.of(data)}
    assert blob != Blob.of(data + b"x") and blob != data


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_what_is_put_is_got(tmp_path_factory: pytest.TempPathFactory, many: list[bytes]) -> None:
    store = Blobs(tmp_path_factory.mktemp("blobs") / "new")
    for data in many:
        kept = store.put(Blob.of(data))
        assert kept == Blob.of(data) and kept.read() == data
        assert store.get(kept.sha256).size == len(data)
    names = {path.name for path in store.folder.iterdir()} if many else set()
    assert names == {hashlib.sha256(data).hexdigest() for data in many}, "the same bytes once, and nothing else"


def test_putting_again_writes_nothing(tmp_path: Path) -> None:
    store = Blobs(tmp_path)
    path = tmp_path / store.put(Blob.of(b"data")).sha256
    before = path.stat().st_mtime_ns, path.stat().st_ino
    again = store.put(store.get(path.name))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before and again.read() == b"data"


def test_arrays_come_back_and_the_same_arrays_are_the_same_blob() -> None:
    arrays = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}
    blob = Blob.of_arrays(arrays)
    found = blob.arrays()
    assert set(found) == set(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    turned = {name: np.asfortranarray(arrays[name]) for name in reversed(arrays)}
    assert Blob.of_arrays(turned) == blob
    assert Blob.of_arrays({**arrays, "bias": np.ones(2, np.float32)}) != blob


def test_a_blob_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"blob 0{12} is not in .*moved without its blobs"):
        Blobs(tmp_path).get("0" * 64)


def test_a_blob_that_was_changed_or_deleted_is_noticed(tmp_path: Path) -> None:
    kept = Blobs(tmp_path).put(Blob.of(b"data"))
    path = tmp_path / kept.sha256
    path.write_bytes(b"date")
    with pytest.raises(DataError, match="is damaged"):
        kept.read()
    path.unlink()
    with pytest.raises(DataError, match="can't be read"):
        kept.read()


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path], "nothing half-written is left lying"
