"""Filters of templates: what each makes of a value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Json
from relay.routes.template import EVENT_NAMES, compile_tree
from relay.routes.template.filters import FILTERS

NBSP = "\u00a0"


def filtered(value: Json, filter_: str) -> str:
    return compile_tree(f"{{{{ data.x | {filter_} }}}}", EVENT_NAMES).render({"data": {"x": value}}).decode()


@pytest.mark.parametrize(
    ("value", "filter_", "result"),
    [
        (None, "default('a')", "a"),
        ("", "default('a')", "a"),
        (0, "default('a')", "0"),
        (False, "default('a')", "false"),
        (None, "default(data.y)", ""),
        (["a", None, 1, {"b": 2}], "join", 'a, 1, {"b":2}'),
        (["a", "b"], "join('; ')", "a; b"),
        ([{"n": "a"}, {}, {"n": 1}], "join(', ', 'n')", "a, 1"),
        ([{"n": {"m": "a"}}, {"n": 1}], "join(field='n.m')", "a"),
        ("a", "join", "a"),
        (None, "join", ""),
        (1763808780, "date", "22.11.2025 10:53"),
        ("1763808780", "date('Europe/Moscow')", "22.11.2025 13:53"),
        ("2026-11-22T10:53:00.123Z", "date('Asia/Yekaterinburg', '%Y-%m-%d %H:%M:%S')", "2026-11-22 15:53:00"),
        ("2026-11-22 10:53:00", "date('Europe/Moscow', '%d %b %H:%M %z')", "22 Nov 10:53 +0300"),
        ("2026-11-22", "date(format='%d/%m/%y %%')", "22/11/26 %"),
        ("soon", "date", "soon"),
        ("", "date", ""),
        (None, "date", ""),
        (10**11, "date", "16.11.5138 09:46"),
        (10**12, "date", "1000000000000"),
        (999999999999, "date", "999999999999"),
        (1500, "money", f"1{NBSP}500"),
        ("1234567.5", "money('₽')", f"1{NBSP}234{NBSP}567,50{NBSP}₽"),
        (-1234567.891, "money('$', ',', '.')", f"-1,234,567.89{NBSP}$"),
        ("999", "money", "999"),
        ("much", "money('₽')", "much"),
        (None, "money", ""),
        ("8 (912) 345-67-89", "phone", "+79123456789"),
        ("+7 912 345 67 89", "phone", "+79123456789"),
        ("9123456789", "phone", "+79123456789"),
        (79123456789, "phone", "+79123456789"),
        ("00420 123 456 789", "phone", "+420123456789"),
        ("067 123-45-67", "phone('380')", "+380671234567"),
        ("380671234567", "phone('380')", "+380671234567"),
        ("2-12-85-06", "phone", "2-12-85-06"),
        ("+7 912 345 67 89 доб. 5", "phone", "+7 912 345 67 89 доб. 5"),
        ({"a": ["ж", None]}, "tojson", '{"a":["ж",null]}'),
        ('a "quoted"', "tojson", r'"a \"quoted\""'),
        (None, "tojson", "null"),
        ("a b&c=ж/~", "urlencode", "a%20b%26c%3D%D0%B6%2F~"),
        ("a_b*c[d](e)~`>#+-=|{}.!\\", "markdown_escape", r"a\_b\*c\[d\]\(e\)\~\`\>\#\+\-\=\|\{\}\.\!" + "\\\\"),
        ("a <b> & c", "markdown_escape", r"a \<b\> \& c".replace(r"b\>", r"b\>")),
        ("<a href='x'>\"&", "html_escape", "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;"),
        ("abcdef", "truncate(4)", "abc…"),
        ("ab cdef", "truncate(4)", "ab…"),
        ("abcd", "truncate(4)", "abcd"),
        ("abc", "truncate(1)", "…"),
        (12345, "truncate(length=3)", "12…"),
    ],
)
def test_filters(value: Json, filter_: str, result: str) -> None:
    assert filtered(value, filter_) == result


# Bot API, "MarkdownV2 style": these must be escaped anywhere in the text, and a backslash before a character up to 126
# makes that ordinary
TELEGRAM = r"_*[]()~`>#+-=|{}.!"


@given(st.text() | st.text(TELEGRAM + "\\a\n"))
def test_telegram_reads_an_escaped_text_as_plain(value: str) -> None:
    value = value.encode(errors="replace").decode()
    escaped = filtered(value, "markdown_escape")
    ordinary = re.sub(r"\\([\x01-\x7e])", "", escaped)
    assert not set(ordinary) & set(TELEGRAM + "\\")
    assert re.sub(r"\\([\x01-\x7e])", r"\1", escaped) == value


@given(st.text(), st.integers(1, 50))
def test_a_cut_text_is_no_longer_than_asked_and_a_short_one_stays(value: str, length: int) -> None:
    cut = FILTERS["truncate"].call
    from relay.routes.template.work import Work

    found = cut(value, Work(), length)
    assert len(found) <= length
    assert (found == value) == (len(value) <= length)


@given(st.text(), st.sampled_from(["7", "380", "1"]))
def test_a_phone_is_e164_or_what_it_was(value: str, country: str) -> None:
    found = filtered(value.encode(errors="replace").decode(), f"phone('{country}')")
    assert found == value.encode(errors="replace").decode() or re.fullmatch(r"\+[0-9]{8,15}", found)
