"""What each part of the page shows, one file a question, in the order in which people ask: the answer, how sure, what
it costs, what would change it, why, everything else. A section is plain data for its template in `page/`."""

from . import answer, change, cost, rest, sure, why

__all__ = ["answer", "change", "cost", "rest", "sure", "why"]
