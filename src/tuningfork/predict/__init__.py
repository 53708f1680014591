"""candidate x models x inputs -> predictions. The race, `tuningfork predict` and the server all come through here."""

from .blocks import in_blocks
from .run import answerer, predict

__all__ = ["answerer", "in_blocks", "predict"]
