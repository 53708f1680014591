"""Drawing on a terminal that may go away: who draws goes on without, and what was being done never hears of it."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.live import Live

GONE = (OSError, ValueError, SystemExit)
"""What writing to a console raises when its reader, terminal or stream is gone; rich makes a broken pipe a SystemExit.
What takes minutes must not end because nobody looks any more."""


def drawn(what: RenderableType, console: Console) -> Live | None:
    """`what`, kept up to date on the console from now on; None where the console is gone."""
    live = Live(what, console=console, refresh_per_second=4, transient=True)
    try:
        live.start()
    except GONE:
        return None
    return live


def wiped(live: Live) -> bool:
    """Ends it; false where the console was gone."""
    try:
        live.stop()
    except GONE:
        return False
    return True
