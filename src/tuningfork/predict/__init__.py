"""candidate x models x inputs -> predictions. The race, `tuningfork predict` and the server all come through here."""

from .run import predict

__all__ = ["predict"]
