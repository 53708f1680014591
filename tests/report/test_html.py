from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tuningfork.decide import decide
from tuningfork.report.html import json_in_script, page, write_html
from tuningfork.report.text import print_verdict

NASTY = "<script>alert(1)</script> </script><!-- <b>bold</b> & \u2028 {{ verdict }} größe 试验"


class Tags(HTMLParser):
    """Collects tags, the text of the page and the content of scripts, as a browser would part them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.scripts: dict[str, str] = {}
        self.inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        known = dict(attrs)
        self.links += [value for name in ("src", "href") if (value := known.get(name))]
        if tag == "script":
            self.inside = known.get("id") or f"script{len(self.scripts)}"
            self.scripts[self.inside] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside is None:
            self.text += data
        else:
            self.scripts[self.inside] += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


def test_the_page_stands_alone_and_tells_the_answer(make_run: Callable[..., Any], tmp_path: Path) -> None:
    log, verdict = make_run(left=[("broken", "it broke")])
    write_html(log, verdict, tmp_path / "deep" / "report.html")
    html = (tmp_path / "deep" / "report.html").read_text(encoding="utf-8")
    tags = parsed(html)
    assert all(link.startswith("#") for link in tags.links)  # nothing is fetched
    assert "@import" not in html.split("</style>")[0]
    for said in ("Use lora@causal.", "Recommended, and the best", "90.0%", "+3.1 points", "1.2 and 5.0",
                 "Raced: causal.", "Fine-tune.", "it broke", "Seconds stopped lora.", "✓ right",
                 "✗ wrong"):  # fmt: skip
        assert said in tags.text, said
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_one_copy_of_the_javascript_and_every_chart_has_its_place(make_run: Callable[..., Any]) -> None:
    html = page(*make_run())
    tags = parsed(html)
    assert sum(len(script) > 100_000 for script in tags.scripts.values()) == 1
    specs = json.loads(tags.scripts["charts"])
    assert set(specs) == {"cost", "curves"}
    for name in specs:
        assert f'id="chart-{name}"' in html


def test_text_of_users_is_text_everywhere(make_run: Callable[..., Any]) -> None:
    calm = parsed(page(*make_run(task="calm", left=[("broken", "calm")])))
    trials = [
        ("lora", "causal", "tune", 0.9),
        ("</script><script>x()", "</script>", "yours", 0.6),
        ("majority", "", "baseline", 0.3),
    ]
    log, verdict = make_run(trials=trials, texts=[NASTY] * 10, task=NASTY, left=[("broken", NASTY)])
    verdict |= {"sentence": NASTY, "scope": NASTY}
    tags = parsed(page(log, verdict))
    assert tags.tags.count("script") == calm.tags.count("script")
    assert "<script>alert(1)</script> </script><!-- <b>bold</b>" in tags.text
    assert "{{ verdict }}" in tags.text
    points = json.dumps(json.loads(tags.scripts["charts"])["cost"])
    assert "</script><script>x()@</script>" in points


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_in_a_script_can_neither_end_it_nor_lose_anything(value: Any) -> None:
    text = str(json_in_script(value))
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


@pytest.mark.parametrize(
    "about",
    [
        {"tested": False, "latency": False},
        {"trials": [("majority", "", "baseline", 0.3)]},
        {"trials": [(f"m{k}", f"org/a-very-long-model-name-{k}" * 3, "tune", 0.5) for k in range(40)]},
        {"texts": ["x" * 3000, " ".join(["word"] * 700), "\ud800 lone"]},
    ],
    ids=["no test", "one", "forty", "long texts"],
)
def test_every_shape_of_run_makes_a_page(make_run: Callable[..., Any], about: dict[str, Any]) -> None:
    log, verdict = make_run(**about)
    tags = parsed(page(log, verdict).encode("utf-8", "replace").decode())
    assert verdict["sentence"] in tags.text
    assert tags.tags.count("details") >= 1


def test_the_questions_stand_in_their_order_and_every_link_leads_somewhere(make_run: Callable[..., Any]) -> None:
    html = page(*make_run())
    places = [html.index(f'id="{name}"') for name in ("answer", "sure", "cost", "change", "why", "rest")]
    assert places == sorted(places)
    assert all(f'id="{link[1:]}"' in html for link in parsed(html).links)


def test_every_chart_has_a_reading_under_it_and_a_table_behind_it(make_run: Callable[..., Any]) -> None:
    html = page(*make_run())
    for name in json.loads(parsed(html).scripts["charts"]):
        after = html.split(f'id="chart-{name}"')[1]
        assert after.index('class="reading"') < after.index("<table")
        assert 'role="img" aria-label="' in after[:80]


def test_tables_can_be_reached_and_scrolled_by_keyboard(make_run: Callable[..., Any]) -> None:
    html = page(*make_run())
    assert html.count('class="scroll"') == html.count('class="scroll" tabindex="0" role="region" aria-label="')


def test_addresses_of_endpoints_are_left_out_of_names(make_run: Callable[..., Any]) -> None:
    model = "openai:big@https://api.example.com/v1"
    log, verdict = make_run(trials=[("few_shot", model, "prompt", 0.8), ("lora", "causal", "tune", 0.6)])
    tags = parsed(page(log, verdict))
    assert "Use few_shot@openai:big." in tags.text
    assert "https://api" not in tags.text and "https://api" not in tags.scripts["charts"]


def test_no_winner_makes_a_page_too(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    verdict |= {
        "best": {"candidate": None},
        "recommended": None,
        "leaderboard": [],
        "comparisons": [],
        "outcome": "none",
    }
    assert "No winner" in parsed(page(log, verdict)).text


def test_numbers_that_are_unknown_draw_nothing_and_say_so(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    verdict["comparisons"][0] |= {"difference": None, "low": None, "high": None, "p_adjusted": None}
    verdict["leaderboard"][1]["test"] |= {"value": None, "low": None, "high": None}
    assert "unknown [unknown, unknown]" in parsed(page(log, verdict)).text


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"tested": False},
        {"left": [("broken", "it broke")]},
        {"n": 9},
        {"trials": [("majority", "", "baseline", 0.3)]},
        {"trials": [], "left": [("lora", "no"), ("head", "no")]},
    ],
    ids=["usual", "no test", "one broke", "nine items", "one candidate", "all failed"],
)
def test_it_reads_what_decide_writes(make_run: Callable[..., Any], about: dict[str, Any]) -> None:
    log, _ = make_run(**about)
    verdict = decide(log).to_dict()
    text = parsed(page(log, verdict)).text
    out = io.StringIO()
    print_verdict(log, verdict, Console(file=out, width=200))
    for said in (verdict["sentence"], verdict["scope"], *sentences_of(verdict)):
        assert said in text
        assert " ".join(said.split()) in " ".join(out.getvalue().replace("│", " ").split())


def sentences_of(verdict: dict[str, Any]) -> list[str]:
    return [answer["sentence"] for answer in verdict["answers"].values() if answer["sentence"]]


def test_a_hollow_mark_is_one_of_dev_beside_tested_ones(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    assert 'class="hollow"' not in page(log, verdict)
    verdict["leaderboard"][2]["test"] = None
    assert page(log, verdict).count('class="hollow"') == 1


def test_a_page_says_nothing_of_where_the_task_lies_on_this_machine(raced: Path) -> None:
    from tuningfork.log import RunLog

    log = RunLog.read(raced)
    folder = str(log.started.task["folder"])
    assert Path(folder).is_absolute()
    assert f'"{folder}"' not in (raced / "report.html").read_text(encoding="utf-8").replace("&#34;", '"')
