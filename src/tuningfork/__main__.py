"""`python -m tuningfork` is the command `tuningfork`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="tuningfork")
