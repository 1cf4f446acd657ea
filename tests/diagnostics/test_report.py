"""The page: self-contained, whole, described for those who do not see it, and nothing that the JSON lacks."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from equilibria.diagnostics.advice import advise
from equilibria.diagnostics.diagnosis import Labels
from equilibria.diagnostics.report import check_report, page, value_at, write_report
from equilibria.errors import DataError

VOID = {"meta", "br", "link", "img", "hr"}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects what the tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self.named: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        self.links += [found[name] for name in ("href", "xlink:href", "src") if name in found]
        if tag == "svg":
            self.pictures.append(found)
        self.named.add(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and "svg" not in self.open:
            self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def advised(found):
    return replace(found, advice=advise(found))


@pytest.fixture(scope="module")
def text(advised):
    return page(advised)


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(text):
    reader = read(text)
    assert not {"script", "link", "img", "iframe"} & reader.named
    assert "http" not in re.sub(r"xmlns(:xlink)?=\"http://www.w3.org/[^\"]*\"", "", text)
    assert all(link.startswith("#") for link in reader.links)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links} <= set(reader.ids)
    assert len(text) < 2_000_000


def test_every_picture_says_what_it_shows_and_follows_the_readers_colours(text):
    reader = read(text)
    assert len(reader.pictures) >= 14
    labels = [picture["aria-label"] for picture in reader.pictures]
    assert all(picture["role"] == "img" for picture in reader.pictures) and len(labels) == len(set(labels))
    assert text.count("<desc>") == text.count("<title>") - 1 == len(reader.pictures)  # one is the page's
    assert "prefers-color-scheme: dark" in text
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    assert "var(--series-1)" in drawn and not re.search(r"[:\"]\s*#[0-9a-f]{6}", drawn)


def test_the_page_is_the_same_every_time(advised, text):
    assert page(advised) == text


def test_numbers_on_the_page_stand_in_the_json(advised, text):
    told = advised.to_dict()
    numbers: set[float] = set()

    def collect(value):
        if isinstance(value, dict):
            for key, item in value.items():
                collect(item)
                numbers.update(map(float, re.findall(r"\d+(?:\.\d+)?", key)))
        elif isinstance(value, list):
            numbers.add(float(len(value)))
            for item in value:
                collect(item)
        elif isinstance(value, str):
            numbers.update(float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", value))
        elif isinstance(value, int | float):
            numbers.update((float(value), 100 * float(value)))

    collect({name: section for name, section in told.items() if name != "pictures"})
    said = " ".join(read(text).text)
    said = said[said.index("What was run") :]
    for prose in (
        "EqR Eq. 22",
        "EqR Eq. 7",
        "EqR Fig. 7",
        "95% interval",
        "Top-1",
        "0.5 is chance",
        "1 is perfect",
    ):
        said = said.replace(prose, "")
    said = (
        said.replace(" 1 is ", " ")
        .replace(" from 0. ", " ")
        .replace(" below 1,", " ")
        .replace("; 0 where", "")
    )
    seen = re.findall(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w])", said)
    assert len(seen) > 1000
    for shown in seen:
        value = float(shown.replace(",", "").rstrip("."))
        places = len(shown.partition(".")[2])
        near = 0.5000001 * 10**-places
        assert any(abs(abs(n) - value) <= max(near, 5e-4 * abs(n)) for n in numbers), shown


def test_sections_without_numbers_are_left_out(found, text):
    bare = replace(
        found,
        basins=(), local=(), difficulty=(), head=None, stopping=(), pictures=(), labels=Labels(0, None),
    )  # fmt: skip
    left = page(bare)
    read(left)
    for name in ("basins", "local", "difficulty", "head", "stopping"):
        assert f'id="{name}"' not in left and f'id="{name}"' in text
    assert "Nothing follows" in left and "rules of this task are not known" in left


def test_what_is_odd_or_unknown_is_shown_as_such(found, tmp_path):
    odd = replace(found.setting, reasoner="<script>alert(1)</script>", data="a&b.csv")
    unknown = replace(found.coupling, auroc=float("nan"), bins=())
    numbers = write_report(replace(found, setting=odd, coupling=unknown), tmp_path / "found.html")
    written = (tmp_path / "found.html").read_text()
    assert "<script" not in written and "a&amp;b.csv" in written and "AUROC –" in written
    assert numbers == tmp_path / "found.json"
    told = json.loads(numbers.read_text())
    assert told["coupling"]["auroc"] is None
    assert told["modes"]["d"]["share"] == 0.96 and len(told["problems"]) == 200
    assert value_at(told, "breadth.curves.oracle.5") == 0.97
    assert sorted(file.name for file in tmp_path.iterdir()) == ["found.html", "found.json"]


def test_a_place_that_takes_no_page_is_refused(tmp_path):
    for path, reason in (
        (tmp_path / "report.pdf", "ends in .html"),
        (tmp_path / "no" / "report.html", "no folder"),
    ):
        with pytest.raises(DataError, match=reason):
            check_report(path)
    (tmp_path / "report.json").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        check_report(tmp_path / "report.html")
