"""Lets these tests import the logs made by hand of test_decide.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
