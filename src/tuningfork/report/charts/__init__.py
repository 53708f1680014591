"""The charts of the report, as Vega-Lite specifications: one file a chart; what they show, not how they are embedded.

Families are told by shape and by colour (Okabe and Ito's, safe for the colour-blind), so a page printed in grey still
reads. Specifications carry no background and no text colour: the page gives them the colours of its theme. Every chart
has a line that says how to read it, and the page puts its numbers in a table behind it.
"""

from .look import CURVE_COLOURS, FAMILY_COLOURS, FAMILY_SHAPES, Chart
from .more_data import more_data
from .payback import payback
from .quality_cost import quality_cost
from .reliability import reliability
from .training import newest_curves, training

__all__ = [
    "CURVE_COLOURS",
    "FAMILY_COLOURS",
    "FAMILY_SHAPES",
    "Chart",
    "more_data",
    "newest_curves",
    "payback",
    "quality_cost",
    "reliability",
    "training",
]
