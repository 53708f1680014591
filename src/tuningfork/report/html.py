"""The report: one HTML file that needs nothing else, no network and no server.

It answers the questions that people come with, in their order; `sections/` lays out what each shows and the templates
in `page/` hold all of the looks. Interval bars are plain HTML, so that they stand without JavaScript and on paper; the
charts are Vega-Lite, with one copy of its JavaScript in the page. All text of users goes through Jinja's escaping, and
what stands in a script goes through `json_in_script`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..log import RunLog
from . import sections, words
from .charts import Chart


def write_html(log: RunLog, verdict: Mapping[str, Any], path: Path) -> None:
    """Write the report of a run to `path`, whole or not at all. `verdict` is in its `to_dict` form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(page(log, verdict).encode("utf-8", "replace"))
    os.replace(part, path)


def page(log: RunLog, verdict: Mapping[str, Any]) -> str:
    """The report as one text."""
    from jinja2 import Environment, PackageLoader

    scale = words.scale_of(log, verdict)
    shown = {
        "answer": sections.answer.section(log, verdict, scale),
        "sure": sections.sure.section(log, verdict, scale),
        "cost": sections.cost.section(log, verdict, scale),
        "change": sections.change.section(log, verdict, scale),
        "why": sections.why.section(log, verdict, scale),
        "rest": sections.rest.section(log, verdict, scale),
    }
    drawn: dict[str, Chart | None] = {
        "cost": shown["cost"]["chart"],
        "payback": shown["cost"]["payback"],
        "data": shown["change"]["chart"],
        "reliability": shown["why"]["chart"],
        "curves": shown["rest"]["chart"],
    }
    environment = Environment(
        loader=PackageLoader(__package__, "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_for_people(verdict),
    )
    environment.filters["json_in_script"] = json_in_script
    return environment.get_template("page.html").render(
        verdict=verdict,
        metric=scale.metric + (", %" if scale.percent else ""),
        **shown,
        charts={name: _renamed(chart.spec, words.without_addresses(verdict)) for name, chart in drawn.items() if chart},
        javascript=_javascript() if any(drawn.values()) else "",
    )


def _for_people(verdict: Mapping[str, Any]) -> Callable[[Any], Any]:
    """What is done to every value on its way to the page: addresses of endpoints leave names that are clear without
    them. What is marked safe stays as it is."""
    from markupsafe import Markup

    short = words.without_addresses(verdict)
    return lambda value: short(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _renamed(spec: dict[str, Any], short: Callable[[str], str]) -> Any:
    """A specification with the names that people read; an address holds nothing that JSON would write otherwise."""
    return json.loads(short(json.dumps(spec, default=str)))


def json_in_script(value: Any) -> Any:
    """JSON that can stand in a `<script>`: nothing in it can end the script or begin a comment or tag there."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=True, default=str)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@cache
def _javascript() -> Any:
    """Vega, Vega-Lite and Vega-Embed as one script, of the version that the charts are written in; takes a second."""
    import altair
    from markupsafe import Markup
    from vl_convert import javascript_bundle

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return Markup(javascript_bundle("window.vegaEmbed = vegaEmbed;", version).replace("</script", "<\\/script"))
