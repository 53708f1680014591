"""A candidate, taken out so that it works without this tool: plain messages, PEFT files, arrays, and a card.

`export` writes a folder, `load_export` reads it back as the same candidate. The prompt is rendered by the renderer that
the race used, so what is exported is what was measured. Nothing here opens a model.

    candidate.json, blobs/      all of it, as `load_export` reads it
    prompt.json, prompt.txt     chat messages with {{column}} places, and how the answer is read
    adapter/                    the adapter in the PEFT layout (adapter-under/: the one that it lies over)
    head.safetensors, labels.json    the classification head
    pool.jsonl, vectors.safetensors  demonstrations to pick from for each input
    README.md                   the card: how it was measured, what it holds for, how to load it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..candidate import Candidate, Nearest, Single, blobs_of, from_dict, to_dict
from ..errors import DataError, UnknownName, UserError
from ..log import Born, Measured, RunLog
from ..model import Adapter
from ..predict.prompt import columns_of, render
from ..store.blobs import Blobs
from ..task import plain_text
from .card import card

__all__ = ["export", "load_export"]

OURS = (
    "candidate.json",
    "prompt.json",
    "prompt.txt",
    "head.safetensors",
    "labels.json",
    "pool.jsonl",
    "vectors.safetensors",
    "README.md",
)
"""Files that an export writes, and that a later export to the same folder takes away first."""
FOLDERS = ("adapter", "adapter-under", "adapter-under-under", "blobs")


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
    texts = {"candidate.json": _json(about), **_texts(candidate)}
    texts["README.md"] = card(log, verdict, str(name), born, candidate)
    files = {place: text.encode("utf-8", "replace") for place, text in texts.items()} | _arrays(candidate)
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
    """The candidate whose numbers the leaderboard shows: the one measured on test (of the first seed), else on dev,
    else the newest; where there were folds, the one that was adapted on all examples."""
    known = [str(row["candidate"]) for row in verdict["leaderboard"]]
    if trial not in known:
        raise UnknownName("candidate", trial, known, "this run")
    births = [event for event in log.of(Born) if event.trial == trial]
    found = [event for event in births if event.stage != "fold"] or births
    if not found:
        row = next(row for row in verdict["leaderboard"] if row["candidate"] == trial)
        raise UserError(
            f"{trial!r} made no candidate that could be exported ({row['status']}: {row.get('why') or 'no reason'})."
        )
    for split in ("test", "dev"):
        measured = [event.candidate for event in log.of(Measured) if event.trial == trial and event.split == split]
        shown = [event for event in found if event.candidate in measured[:1]]
        if shown:
            return shown[-1]
    return found[-1]


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
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)


def _texts(candidate: Candidate) -> dict[str, str]:
    """File name -> text, for the parts that this candidate has."""
    if not isinstance(candidate, Single):
        return {}
    texts: dict[str, str] = {}
    if candidate.prompt is not None:
        prompt = _prompt(candidate)
        texts["prompt.json"] = _json(prompt)
        texts["prompt.txt"] = "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in prompt["messages"]) + "\n"
    if candidate.head:
        texts["labels.json"] = _json(list(candidate.labels))
    if isinstance(candidate.shots, Nearest):
        lines = ({"inputs": dict(shot.inputs), "answer": shot.answer} for shot in candidate.shots.pool)
        texts["pool.jsonl"] = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return texts


def _arrays(candidate: Candidate) -> dict[str, bytes]:
    """Place in the folder -> bytes, for the adapter's files and the arrays of head and pool."""
    if not isinstance(candidate, Single):
        return {}
    found: dict[str, bytes] = {}
    if candidate.adapter:
        # names come from a candidate's data: only their last part, so that none can leave the folder
        for folder, adapter in _stack(candidate.adapter):
            found |= {f"{folder}/{Path(name).name}": blob.read() for name, blob in adapter.files.items()}
    if candidate.head:
        found["head.safetensors"] = candidate.head.weights.read()
    if isinstance(candidate.shots, Nearest):
        found["vectors.safetensors"] = candidate.shots.vectors.read()
    return found


def _stack(adapter: Adapter | None) -> Iterator[tuple[str, Adapter]]:
    """An adapter's folder, and those of what lies under it."""
    folder = "adapter"
    while adapter is not None:
        yield folder, adapter
        folder, adapter = f"{folder}-under", adapter.under


def _prompt(candidate: Single) -> dict[str, Any]:
    """The prompt as chat messages with open places, fixed demonstrations as turns, and how its answer is read."""
    assert candidate.prompt is not None
    places = {name: "{{" + name + "}}" for name in columns_of(candidate.prompt)}
    shots = () if isinstance(candidate.shots, Nearest) else candidate.shots
    messages = render(candidate.prompt, places, shots).messages
    prompt: dict[str, Any] = {
        "model": candidate.model,
        "messages": [{"role": m.role, "content": plain_text(m.content)} for m in messages],
        "answer": _answer(candidate),
    }
    if isinstance(candidate.shots, Nearest):
        prompt["demonstrations"] = {
            "how": f"For each input, the {candidate.shots.k} of the pool whose vectors are nearest to the input's, "
            "nearest last, each a user turn (the last message, filled) and an assistant turn, before that message.",
            "k": candidate.shots.k,
            "pool": "pool.jsonl",
            "vectors": "vectors.safetensors",
            "embedder": candidate.shots.model,
        }
    return prompt


def _answer(candidate: Single) -> dict[str, Any]:
    """How an answer is read off the model."""
    ways = {
        "score": "The label whose word is the most probable whole answer: sum of the log-probabilities of all its "
        "tokens, end of the turn included, less its offset in nats.",
        "generate": "The text that the model writes.",
        "head": "The label with the largest value of weight x embedding + bias.",
    }
    answer: dict[str, Any] = {"by": candidate.answer_by, "how": ways[candidate.answer_by]}
    if candidate.labels:
        answer["labels"] = list(candidate.labels)
        answer["words"] = list(candidate.words or candidate.labels)
    if candidate.calibration:
        answer["offset_nats"] = list(candidate.calibration.offset_nats)
    if candidate.answer_by == "generate":
        decoding = candidate.decoding
        answer["decoding"] = {
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "stop": list(decoding.stop),
        }
    return answer


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
