"""A candidate, taken out so that it works without this tool: plain messages, PEFT files, arrays, and a card.

`export` writes a folder, `load_export` reads it back as the same candidate. The prompt is rendered by the renderer that
the race used, so what is exported is what was measured. Nothing here opens a model.

    candidate.json, blobs/      all of it, as `load_export` reads it
    prompt.json, prompt.txt     chat messages with {{column}} places, and how the answer is read
    adapter/                    the adapter in the PEFT layout (adapter-under/: the one that it lies over)
    head.safetensors, labels.json    the classification head
    pool.jsonl, vectors.safetensors  demonstrations to pick from for each input
    passages.jsonl, passages.safetensors  pieces of documents to find for each input
    parts/1, parts/2 ...        the same for each part of a candidate that is made of others
    README.md                   the card: how it was measured, what it holds for, how to load it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..candidate import Candidate, blobs_of, from_dict, to_dict
from ..errors import DataError, UnknownName, UserError
from ..log import Born, RunLog
from ..store.blobs import Blobs
from .card import card
from .layout import FILES, FOLDERS, as_json, files_of

__all__ = ["export", "load_export"]

OURS = ("candidate.json", *FILES, "README.md")
"""Files that an export writes, and that a later export to the same folder takes away first."""


def export(log: RunLog, verdict: Mapping[str, Any], folder: Path, trial: str | None = None) -> list[Path]:
    """Write the recommended candidate, or that of `trial`, to `folder`; returns the files written.

    Raises UnknownName for a trial that is not on the leaderboard, and UserError where a trial has no candidate or the
    folder holds something else than an earlier export, which is overwritten.
    """
    name = trial or (verdict.get("recommended") or {}).get("candidate")
    if not name:
        raise UserError("This run recommends no candidate. Name one of its leaderboard with --trial METHOD@MODEL.")
    born = _born(log, verdict, str(name))
    candidate = log.candidate(born)
    reads = (log.started.task.get("columns") or {}).get("input") or []
    about = {**to_dict(candidate), "name": name, "reads": [reads] if isinstance(reads, str) else list(reads)}
    texts = {"candidate.json": as_json(about), "README.md": card(log, verdict, str(name), born, candidate)}
    files = {place: text.encode("utf-8", "replace") for place, text in texts.items()} | files_of(candidate)
    # all is read by now, so that a damaged run leaves an earlier export as it was
    _make_room(folder)
    store = Blobs(folder / "blobs")
    written = [folder / "blobs" / store.put(blob).sha256 for blob in blobs_of(candidate)]
    for place, data in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.append(path)
    return sorted(set(written))


def load_export(folder: Path) -> tuple[Candidate, str, tuple[str, ...]]:
    """The candidate of an exported folder, its name, and the input columns that it reads. Raises DataError when it is
    none."""
    path = folder / "candidate.json"
    if not path.is_file():
        raise DataError(
            f"{str(folder)!r} is no export: it has no candidate.json. `tuningfork export RUN DIR` makes one."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}). Export the candidate again.") from None
    candidate = from_dict(data, Blobs(folder / "blobs").get)
    return candidate, str(data.get("name", folder.name)), tuple(data.get("reads", ()))


def _born(log: RunLog, verdict: Mapping[str, Any], trial: str) -> Born:
    """The candidate of a trial that is shipped."""
    known = [str(row["candidate"]) for row in verdict["leaderboard"]]
    if trial not in known:
        raise UnknownName("candidate", trial, known, "this run")
    born = log.born(trial)
    if born is None:
        row = next(row for row in verdict["leaderboard"] if row["candidate"] == trial)
        raise UserError(
            f"{trial!r} made no candidate that could be exported ({row['status']}: {row.get('why') or 'no reason'})."
        )
    return born


def _make_room(folder: Path) -> None:
    """An empty folder to write to; an earlier export's own files are taken away, other files are never touched."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{str(folder)!r} is a file. Name a folder that is empty or not there yet.")
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        return
    if not all((folder / name).is_file() for name in ("candidate.json", "README.md")):
        raise UserError(
            f"The folder {str(folder)!r} is not empty and holds no earlier export, so nothing was written. "
            "Name another folder, or empty this one."
        )
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    for name in (*FOLDERS, "blobs"):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
