"""The console's texts: all of them go through gettext, and each is in the Russian catalog, which is compiled."""

import ast
import gettext
import importlib.util
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2 import Environment

from relay.admin.console import languages, sentences
from relay.admin.console.words import type_word
from relay.operations import finding_texts, next_step
from tests.admin.console.conftest import Client, see, send

CONSOLE = Path(languages.__file__).parent
CATALOG = languages.LOCALES / "ru/LC_MESSAGES/console.po"
OPERATIONS = Path(finding_texts.__file__).parent
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
TEMPLATES = sorted(CONSOLE.glob("templates/**/*.html"))
HOLES = re.compile(r"%\(\w+\)s|\{\w+\}")


def catalog() -> Catalog:
    with CATALOG.open("rb") as file:
        return read_po(file)


def messages() -> list[Message]:
    return [each for each in catalog() if each.id]


def first(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def last(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[-1]


def test_the_catalog_has_each_text_of_the_console_and_no_other() -> None:
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2), "N_": None, "NN_": (1, 2)}
    found = [
        *extract_from_dir(CONSOLE, METHODS, keywords=keywords),
        *extract_from_dir(OPERATIONS, [("finding_texts.py", "python")], keywords=keywords),
    ]
    wanted = {(context, text if isinstance(text, str) else text[0]) for _, _, text, _, context in found}
    assert {(each.context, first(each)) for each in messages()} == wanted, "make words"


def test_no_text_is_without_its_translation() -> None:
    for each in messages():
        given = each.string if isinstance(each.string, tuple) else (each.string,)
        assert all(given) and not each.fuzzy, each.id
        assert len(given) == (1 if isinstance(each.id, str) else 3), each.id


def test_a_translation_has_the_holes_of_its_text() -> None:
    for each in messages():
        for given in each.string if isinstance(each.string, tuple) else (each.string,):
            assert sorted(HOLES.findall(given)) == sorted(HOLES.findall(last(each))), each.id


LOST = re.compile(
    r"—|(?<!веб)\bхук|\bцел(ь|и|ей|ью)\b|при[её]мник|м[её]ртв|переигр|передостав|непойман|"
    r"(?<!не)разобра|разбор|непрочитан|не прочитан|\bписьм(?!о\b)",
    re.IGNORECASE,
)
"""Words that are not the glossary's, which stands above the catalog."""


def test_russian_has_one_word_for_one_thing() -> None:
    given = [
        text for each in messages() for text in (each.string if isinstance(each.string, tuple) else (each.string,))
    ]
    assert [each for each in given if LOST.search(each)] == []


def test_the_compiled_catalog_is_that_of_the_texts() -> None:
    with CATALOG.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for each in messages():
        if isinstance(each.string, tuple):
            one, many = each.id[0], each.id[1]
            assert [compiled.ngettext(one, many, number) for number in (1, 2, 5)] == list(each.string), "make words"
        elif each.context:
            assert compiled.pgettext(each.context, each.id) == each.string, "make words"
        else:
            assert compiled.gettext(each.id) == each.string, "make words"


def test_a_text_stands_where_gettext_is_called_or_it_would_not_be_found() -> None:
    for file in CONSOLE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "ngettext", "pgettext"):
                texts = node.args[:1] if getattr(node.func, "id", "") == "_" else node.args[:2]
                assert all(isinstance(each, ast.Constant) for each in texts), (file.name, node.lineno)


# ---- templates


class Words(HTMLParser):
    """What of a template's own text somebody reads, or hears."""

    SAID = frozenset({"title", "aria-label", "alt", "placeholder", "summary", "label"})
    NOT_WORDS = frozenset({"code", "kbd", "pre"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("input", "meta", "link", "br", "hr", "img", "rect"):
            self._within.append(tag)
        self.found += [value for name, value in attrs if name in self.SAID and value and name != "placeholder"]
        # an example of a value stands for itself; a sentence does not
        self.found += [value for name, value in attrs if name == "placeholder" and value and " " in value.strip()]

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            while self._within.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.NOT_WORDS & set(self._within):
            self.found.append(data)


NAMES = {"amocrm", "relay", "UTC", "Python", "curl", "JSON", "URL", "ETag", "amoCRM", "id", "GET", "OPTIONS"}


def own_text(template: Path) -> str:
    """The template without its expressions, each of which is a digit."""
    parts, within = [], False
    for _, kind, value in Environment(extensions=["jinja2.ext.i18n"]).lex(template.read_text("utf-8")):
        if kind in ("variable_begin", "block_begin"):
            within = True
            parts.append("0" if kind == "variable_begin" else "")
        elif kind in ("variable_end", "block_end"):
            within = False
        elif kind == "data" and not within:
            parts.append(value)
    return "".join(parts)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_each_text_of_a_template_goes_through_gettext(template: Path) -> None:
    bare = [word for text in Words(own_text(template)).found for word in re.findall(r"[^\W\d_]{2,}", text)]
    assert [word for word in bare if word not in NAMES] == []


# ---- sentences of the desk


def sentences_of(module: object) -> Iterator[list[str]]:
    """Each text that the module makes, with all that may stand in its holes."""
    samples = ("3", "crm", "3 min ago", "3 min", "12 ms")
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):  # type: ignore[attr-defined]
        for text in _texts(node):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in _parts(text)]
            filled = product(samples, repeat=parts.count(None))
            yield ["".join(next(values) if each is None else each for each in parts) for values in map(iter, filled)]


def _texts(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Return):
        yield from (each for each in ast.walk(node) if isinstance(each, ast.JoinedStr))
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _parts(text: ast.expr) -> list[ast.expr]:
    found = [each for each in ast.walk(text) if isinstance(each, ast.JoinedStr | ast.Constant)]
    inner = next((each for each in found if isinstance(each, ast.JoinedStr)), None)
    return list(inner.values) if inner else found[:1]


def test_each_sentence_of_what_is_next_is_known(russian: None) -> None:
    made = [each for each in sentences_of(next_step) if re.search("[a-z]{4}", each[0])]
    assert len(made) > 5
    assert [each[0] for each in made if all(re.search("[a-z]{6}", sentences.said(one)) for one in each)] == []


def test_a_sentence_is_found_with_what_stands_in_it(russian: None) -> None:
    assert sentences.said("attempt 3 in 5 min") == "попытка 3 через 5 мин"
    assert sentences.said("crm: webhook in amoCRM disabled; target paused") == (
        "crm: вебхук в amoCRM отключён; получатель на паузе"
    )
    assert sentences.said("target: no target 'warehose' (did you mean 'warehouse'?)") == (
        "target: нет получателя 'warehose' (может быть, 'warehouse'?)"
    )
    assert sentences.said("a text of strangers") == "a text of strangers"


@pytest.mark.parametrize("answer", ["; " * 500, "a: " * 333, "a: b; " * 166])
def test_an_answer_that_looks_like_many_sentences_stays_as_it_is(answer: str, russian: None) -> None:
    assert sentences.said(f"2 attempts failed, the last one: {answer}") == f"неудачных попыток: 2, последняя: {answer}"


def test_no_pattern_of_a_sentence_gives_back_what_it_took(russian: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the steps of each are at most as many as the characters of a text, times its holes."""
    compiled: list[str] = []
    compile_ = re.compile
    spec = importlib.util.find_spec(sentences.__name__)
    assert spec and spec.loader
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)

    def noting(pattern: str, *flags: re.RegexFlag) -> re.Pattern[str]:
        compiled.append(pattern)
        return compile_(pattern, *flags)

    monkeypatch.setattr("re.compile", noting)
    assert fresh.said("x") == fresh.said_of_file("x") == "x"
    assert len(compiled) >= len(fresh.SENTENCES) + len(fresh.OF_FILES)
    for pattern in compiled:
        bare = re.sub(r"\\.|\[[^]]*\]|\(\?(:|!|P=|P<\w+>)", "", pattern)
        assert {*re.findall(r"[+*?]+", bare)} <= {"++", "*+", "?+", "?"}, pattern


def test_a_text_that_is_too_long_stays_as_it_is(russian: None) -> None:
    nested = "2 attempts failed, the last one: " * 100
    assert sentences.said(nested) == sentences.said_of_file(nested) == nested


def test_english_stays_as_the_desk_says_it() -> None:
    assert sentences.said("attempt 3 in 5 min") == "attempt 3 in 5 min"
    assert type_word("leads.status") == "leads.status"


def test_russian_has_three_plurals_and_amocrms_words(russian: None) -> None:
    one, many = "{count} webhook was read.", "{count} webhooks were read."
    said = [languages.ngettext(one, many, number).format(count=number) for number in (1, 2, 5, 11, 21, 22)]
    assert said == [
        "Прочитан 1 вебхук.",
        "Прочитаны 2 вебхука.",
        "Прочитано 5 вебхуков.",
        "Прочитано 11 вебхуков.",
        "Прочитан 21 вебхук.",
        "Прочитаны 22 вебхука.",
    ]
    assert type_word("leads.status") == "сделка: смена этапа"
    assert type_word("deals.moved") == "deals: moved"


# ---- pages


async def test_a_page_is_in_the_language_that_the_browser_prefers(browser: Client) -> None:
    seen = await see(browser, "/unparsed", headers={"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.8"})
    assert '<html lang="ru"' in seen.source and "Нечитаемые вебхуки" in seen.text
    assert "Unparsed" in (await see(browser, "/unparsed", headers={"Accept-Language": "de, en;q=0.5"})).text


async def test_the_choice_of_a_language_is_kept(browser: Client) -> None:
    page = await see(browser, "/acts")
    answer = await send(browser, page, "/language", language="ru")
    assert answer.headers["Location"] == "/acts"
    assert "Действия операторов" in (await see(browser, "/acts")).text
    await send(browser, await see(browser, "/acts"), "/language", language="en")
    assert "What operators did" in (await see(browser, "/acts", headers={"Accept-Language": "ru"})).text
