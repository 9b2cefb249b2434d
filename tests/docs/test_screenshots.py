"""The pictures in the documentation can be made again, and show what a terminal shows."""

from __future__ import annotations

import re

from lxml import etree

from docs import screenshots


def texts(picture: str) -> str:
    root = etree.fromstring(picture.encode())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return " ".join(" ".join(root.itertext()).replace("\xa0", " ").split())


def test_a_picture_is_an_svg_of_what_the_command_prints() -> None:
    picture = screenshots.picture("graph")

    shown = texts(picture)
    assert "$ xpipe graph" in shown
    assert "forecasts buffer Items" in shown
    assert not re.search(r"@font-face|@import|url\(['\"]?http", picture)


def test_every_picture_is_there_and_shown_on_a_page() -> None:
    made = {file.stem for file in screenshots.FOLDER.glob("*.svg")}
    assert made == set(screenshots.SHOTS)
    pages = "".join(page.read_text("utf-8") for page in [screenshots.REPOSITORY / "README.md", *docs_pages()])
    assert made == set(re.findall(r"images/([\w-]+)\.svg", pages))


def docs_pages() -> list[object]:
    return sorted(screenshots.REPOSITORY.glob("docs/*.md"))


def test_ids_and_times_are_the_same_each_time_and_ids_stay_different() -> None:
    one, other = "3f2a0000-0000-0000-0000-000000000001", "70c10000-0000-0000-0000-000000000002"
    text = f"{one} {other} {one} 2026-11-21 12:49:33.441+00:00"
    again = f"{other} {one} {other} 2027-01-01 01:02:03.456+00:00"
    assert screenshots.steady(text) == screenshots.steady(again)
    assert len(set(screenshots.steady(text).split()[:3])) == 2
