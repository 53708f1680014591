"""RunLog -> Verdict: which candidate to use, how sure that is, and what would change it. Reads the log, calls no
model."""

from .assemble import decide
from .verdict import Verdict

__all__ = ["Verdict", "decide"]
