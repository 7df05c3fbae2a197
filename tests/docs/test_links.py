"""The documents as text: links lead somewhere, lines are short, and no machine is named."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, name, read, without_code

WIDTH = 120


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_within_the_project_leads_to_a_file_and_a_heading(page: Path) -> None:
    lost = []
    for path, anchor in links(page.read_text("utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            lost.append(f"{path}: no such file")
        elif anchor and anchor not in anchors(target.read_text("utf-8")):
            lost.append(f"{path}#{anchor}: no such heading")
    assert lost == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        todo += [(page.parent / path).resolve() for path, _ in links(page.read_text("utf-8")) if path]
    assert set(DOCS.rglob("*.md")) - reached == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_line_fits_in_120_columns_but_for_the_rows_of_tables(page: Path) -> None:
    prose = [line for line in page.read_text("utf-8").splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_document_names_a_path_of_a_machine_it_was_written_on(page: Path) -> None:
    text = page.read_text("utf-8")
    assert str(ROOT) not in text
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", text) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_has_one_title_and_no_heading_twice(page: Path) -> None:
    headings = re.findall(r"^(#+) (.+)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    assert [level for level, _ in headings].count("#") == 1
    if name(page) != "CHANGELOG.md":  # Added, Changed, Fixed of each version
        texts = [text for _, text in headings]
        assert len(texts) == len(set(texts)), "two headings with one anchor"


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert 100 <= len(read("README.md").splitlines()) <= 170
