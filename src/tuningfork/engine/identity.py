"""Names for what decides a model's answers: hashes of its weights and of its tokenizer.

Weight files are hashed whole, so that two models that differ anywhere have different names. Gigabytes take a second
each, so the hash of a file is remembered in the cache folder for as long as its size and times stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..store.blobs import write_atomically

READING_FILES = (
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "generation_config.json",
    "tokenizer*",
    "*.jinja",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.spm",
    "*.codes",
    "tekken.json",
)
REMEMBER_BYTES = 1 << 20
"""Smaller files are hashed in less time than it takes to look them up."""
SETTLED_SECONDS = 5.0
"""A file that changed a moment ago may change again within the clock's resolution, so it is not remembered yet."""


def tokenizer_of(folder: Path) -> str:
    """A hash of the files that decide how text becomes tokens, chat template included, and tokens a vector."""
    digest = hashlib.sha256()
    names = [path for pattern in READING_FILES for path in folder.glob(pattern)]
    for path in sorted(set(names)):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def identity_of(folder: Path, cache_folder: Path | None = None) -> str:
    """A hash of the weight files and the config, all of them. `cache_folder` remembers those of large files."""
    memory = cache_folder / "digests.json" if cache_folder else None
    known = _read(memory) if memory else {}
    before = dict(known)
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), folder / "config.json"]):
        digest.update(f"{path.name} {_sha256(path, known)}\n".encode())
    if memory and known != before:
        with suppress(OSError):  # a cache that can't be written costs the hashing again next time, and nothing else
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(memory, json.dumps(known, indent=1).encode())
    return digest.hexdigest()[:16]


def _sha256(path: Path, known: dict[str, Any]) -> str:
    """The file's hash, from `known` where the file is as it was; a large settled file is added there."""
    about = path.stat()
    key, seen = str(path.resolve()), [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    entry = known.get(key)
    if isinstance(entry, dict) and entry.get("seen") == seen and isinstance(entry.get("sha256"), str):
        return str(entry["sha256"])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    settled = time.time() - max(about.st_mtime, about.st_ctime) > SETTLED_SECONDS
    if about.st_size >= REMEMBER_BYTES and settled:
        known[key] = {"seen": seen, "sha256": found}
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
