"""What names a model's answers: every byte of its weights, its tokenizer, its dtype."""

from __future__ import annotations

import json
import os

import pytest

from tuningfork.engine import identity
from tuningfork.engine.identity import identity_of


def test_identity_names_the_weights_and_model_identity_the_tokenizer_too(make, tmp_path):
    one, same, other = (
        make.model("llama", tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert identity_of(one) == identity_of(same) != identity_of(other)
    again = make.model("llama", tmp_path / "d", template="{{ messages[0]['content'] }}")
    models = [make.open(folder) for folder in (one, same, other, again)]
    assert models[0].base == models[3].base
    assert models[0].identity == models[1].identity
    assert len({model.identity for model in models}) == 3


@pytest.fixture
def folder(tmp_path):
    """A model folder of 3 MiB of weights that were written long ago."""
    home = tmp_path / "model"
    home.mkdir()
    (home / "config.json").write_text("{}")
    (home / "model.safetensors").write_bytes(bytes(3 << 20))
    return home


def change(folder, at):
    """One byte, with size and time of change as they were."""
    path = folder / "model.safetensors"
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("at", [0, (3 << 20) // 2, (3 << 20) - 1])
@pytest.mark.parametrize("remembers", [True, False])
def test_one_byte_anywhere_is_another_model(folder, tmp_path, monkeypatch, at, remembers):
    monkeypatch.setattr(identity, "SETTLED_SECONDS", -1.0)
    cache = tmp_path / "cache" if remembers else None
    before = identity_of(folder, cache)
    assert identity_of(folder, cache) == before
    change(folder, at)
    assert identity_of(folder, cache) != before


def test_a_large_file_is_hashed_once(folder, tmp_path, monkeypatch):
    cache, hashed = tmp_path / "cache", []
    digest = identity.hashlib.file_digest
    monkeypatch.setattr(identity, "SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(
        identity.hashlib, "file_digest", lambda file, name: hashed.append(file.name) or digest(file, name)
    )
    first = identity_of(folder, cache)
    assert len(hashed) == 2
    assert identity_of(folder, cache) == first == identity_of(folder)
    assert [name.rpartition("/")[2] for name in hashed[2:]] == ["config.json", "config.json", "model.safetensors"]


def test_a_file_of_a_moment_ago_is_not_remembered(folder, tmp_path):
    identity_of(folder, tmp_path)
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.parametrize("spoilt", ["", "[]", "{", '{"PATH": 3}', '{"PATH": {"seen": []}}'])
def test_a_spoilt_memory_is_as_none(folder, tmp_path, monkeypatch, spoilt):
    monkeypatch.setattr(identity, "SETTLED_SECONDS", -1.0)
    memory = tmp_path / "digests.json"
    memory.write_text(spoilt.replace("PATH", str(folder / "model.safetensors")))
    assert identity_of(folder, tmp_path) == identity_of(folder)
    assert list(json.loads(memory.read_text())) == [str(folder / "model.safetensors")]


def test_a_folder_that_can_not_be_written_is_no_matter(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "SETTLED_SECONDS", -1.0)
    (tmp_path / "file").write_text("")
    assert identity_of(folder, tmp_path / "file") == identity_of(folder)


@pytest.mark.parametrize("name", ["source.spm", "bpe.codes", "tekken.json", "vocab.txt", "spiece.model"])
def test_what_reads_text_another_way_is_another_tokenizer(folder, name):
    before = identity.tokenizer_of(folder)
    (folder / name).write_bytes(b"one")
    there = identity.tokenizer_of(folder)
    (folder / name).write_bytes(b"two")
    assert len({before, there, identity.tokenizer_of(folder)}) == 3
