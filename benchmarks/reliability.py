"""Calls to a model behind an API that goes wrong one time in twenty: is every answer there, and none paid twice?

    python benchmarks/reliability.py [--quick] [--calls N] [--at-once N]

10,000 calls, 64 at once, to a local server in a process of its own (tests/fault_server.py), which takes a quarter of a
second for each. 5% of attempts go wrong, first ones and later ones alike: rate limits with Retry-After, errors, a
gateway's web page, bodies cut short, dropped connections, slow answers. Every answer must be its question's own; the
server counts what it delivered whole, by question. Memory is that of this process after each block of 512 calls.
Nothing leaves this machine.

`--quick`: 1,000 calls. Ends with exit code 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from fault_server import FAULTS, Ask, FaultServer  # noqa: E402

WRONG_PERCENT = 5
BLOCK = 512
MOST_GROWTH_MIB = 16.0
"""From the end of the first tenth to the end. Answers are not kept."""
ANSWER_SECONDS = 0.25


def main() -> None:
    options = arguments()
    if options.serve:
        serve()
        return
    calls = 1_000 if options.quick else options.calls
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        asked = ask_all(url, calls, options.at_once)
        server.stdin.write("enough\n")
        server.stdin.flush()
        counts = json.loads(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
    finish(asked, counts, calls, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 calls")
    parser.add_argument("--calls", type=int, default=10_000, help="how many calls (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=64, help="how many at once (default: %(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def serve() -> None:
    """The server's process: its URL, and when a line comes, what it counted."""
    with FaultServer(
        answer=answer_to, faults=wrong, keeps_bodies=False, retry_after="0.05", seconds=ANSWER_SECONDS
    ) as server:
        print(server.url, flush=True)
        sys.stdin.readline()
        server.settle()
        mine = {text: count for text, count in server.delivered.items() if text.startswith("question ")}
        attempts = sum(count for text, count in server.asked.items() if text.startswith("question "))
        counts = {
            "attempts": attempts,
            "delivered": sum(mine.values()),
            "delivered_twice": sum(count > 1 for count in mine.values()),
            "most_at_once": server.most_running,
        }
        print(json.dumps(counts), flush=True)


def answer_to(text: str) -> str:
    return f"answer to {text}"


def wrong(ask: Ask) -> str | None:
    """5 in 100 attempts, by a hash of question and attempt: the same in every run."""
    if not ask.text.startswith("question "):
        return None
    drawn = zlib.crc32(f"{ask.text}/{ask.attempt}".encode())
    return FAULTS[drawn // 100 % len(FAULTS)] if drawn % 100 < WRONG_PERCENT else None


def ask_all(url: str, calls: int, at_once: int) -> dict[str, Any]:
    """Ask everything, in blocks; what came of it."""
    from tuningfork.model import Answer, GenerateRequest
    from tuningfork.models.endpoint import open_endpoint
    from tuningfork.task import Message, Prompt

    os.environ["TUNINGFORK_ENDPOINT_REQUESTS"] = str(at_once)
    outcomes: Counter[str] = Counter()
    memory: list[float] = []
    model = open_endpoint(f"openai:toy@{url}")
    begin = time.perf_counter()
    for first in range(0, calls, BLOCK):
        texts = [f"question {number}" for number in range(first, min(calls, first + BLOCK))]
        found = model.generate([GenerateRequest(Prompt((Message("user", text),))) for text in texts])
        for text, reply in zip(texts, found, strict=True):
            good = isinstance(reply, Answer) and reply.text == answer_to(text)
            outcomes["answered" if good else "wrong" if isinstance(reply, Answer) else f"failed: {reply.kind}"] += 1
        memory.append(resident_mib())
    seconds = time.perf_counter() - begin
    model.close()
    return {"outcomes": dict(outcomes), "seconds": seconds, "cpu_seconds": time.process_time(), "memory_mib": memory}


def resident_mib() -> float:
    """Memory of this process that is in use now (Linux), else the most that was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024**2
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def finish(asked: dict[str, Any], counts: dict[str, int], calls: int, options: argparse.Namespace) -> None:
    outcomes, memory = asked["outcomes"], asked["memory_mib"]
    growth = memory[-1] - memory[len(memory) // 10]
    holds = {
        "every call is accounted for": sum(outcomes.values()) == calls,
        "no answer is another's": not outcomes.get("wrong"),
        "none is lost": outcomes.get("answered", 0) == calls,
        "none is delivered, and paid, twice": counts["delivered_twice"] == 0,
        "what was delivered was taken": counts["delivered"] == outcomes.get("answered", 0),
        "memory is flat": growth < MOST_GROWTH_MIB,
    }
    rate = calls / asked["seconds"]
    print(f"{calls:,} calls, {options.at_once} at once, {WRONG_PERCENT}% of attempts go wrong")
    print(f"{asked['seconds']:.1f} s, {rate:.0f} calls/s, {asked['cpu_seconds']:.1f} s of processor time in the client")
    print(f"{counts['attempts']:,} attempts, {counts['delivered']:,} delivered whole, outcomes {outcomes}")
    print(
        f"memory {memory[0]:.1f} MiB after the first block, {memory[-1]:.1f} at the end, {growth:+.1f} from a tenth on"
    )
    for what, good in holds.items():
        print(f"{'ok' if good else 'NO':>3}  {what}")
    row = {
        "case": f"{calls}-calls-{options.at_once}-at-once",
        "unit": "calls/s",
        "ours": round(rate, 1),
        "seconds": round(asked["seconds"], 2),
        "cpu_seconds": round(asked["cpu_seconds"], 2),
        **counts,
        "outcomes": outcomes,
        "memory_mib": [round(value, 1) for value in memory],
        "holds": all(holds.values()),
    }
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    result = {"benchmark": "reliability", "quick": options.quick, "machine": machine, "rows": [row]}
    if not options.quick and calls == 10_000:
        (HERE / "results" / "reliability.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    sys.exit(not all(holds.values()))


if __name__ == "__main__":
    main()
