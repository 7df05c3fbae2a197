"""What a template may not do is refused when the routes are loaded, with line and column, before anything runs."""

import pytest

from relay.errors import RoutesInvalid
from relay.model import Secret
from relay.routes.config import parse
from relay.routes.template import (
    ANSWER_NAMES,
    BATCH_NAMES,
    EVENT_NAMES,
    Source,
    TemplateRefused,
    compile_expression,
    compile_text,
    compile_tree,
    compile_url,
)
from relay.routes.template.source import MAX_CHARACTERS
from relay.routes.yaml_document import Reference

KEY = Reference(Secret("s3cret{{ data.id }}"), "${KEY}")

REFUSED: dict[str, tuple[str, str]] = {
    # attribute walks
    "a class": ("{{ data.__class__ }}", "begins with an underscore"),
    "a class by name": ("{{ data['__class__'] }}", "begins with an underscore"),
    "a class by an escape": (r"{{ data['\x5f\x5fclass__'] }}", "begins with an underscore"),
    "a walk to the globals": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "nothing can be called"),
    "a private field": ("{{ data._links }}", "begins with an underscore"),
    "a field by another": ("{{ data[data.key] }}", "written out"),
    "a field by a filter": ("{{ data | attr('__class__') }}", "no filter 'attr'"),
    "a field by map": ("{{ data.tags | map(attribute='__class__') }}", "no filter 'map'"),
    "a field of join": ("{{ data.tags | join(', ', '__class__') }}", "begins with an underscore"),
    "a private name": ("{{ _context }}", "no name '_context'"),
    "the context": ("{{ self }}", "no name 'self'"),
    "the work": ("{{ work }}", "no name 'work'"),
    # calls
    "a call": ("{{ data.get('id') }}", "a call"),
    "a format": ("{{ '{0.__class__}'.format(data) }}", "a call"),
    "a global": ("{{ lipsum() }}", "a call"),
    "a block that calls": ("{% call data.x() %}{% endcall %}", "a statement"),
    "a call of the loop": ("{% for x in data.a %}{{ loop(x) }}{% endfor %}", "a call"),
    "a filter of ours by its inner name": ("{{ data.id | relay:add(1) }}", "unexpected `:`"),
    # time and size without end
    "a range": ("{% for x in range(1000000000) %}{% endfor %}", "runs over a field"),
    "a power": ("{{ 9 ** 9 ** 9 }}", "`**`"),
    "a text many times": ("{{ 'a' * 100000000 }}", "`*`"),
    "a padded text": ("{{ '%1000000000d' % data.id }}", "`%`"),
    "a division": ("{{ data.id / 0 }}", "`/`"),
    "a whole division": ("{{ data.id // 2 }}", "`//`"),
    "a wide column": ("{{ data.id | center(1000000000) }}", "no filter 'center'"),
    "a slice": ("{{ data.name[0:10] }}", "a slice"),
    "a recursive loop": ("{% for x in data.a recursive %}{% endfor %}", "a recursive loop"),
    "a loop over a text": ("{% for x in 'abc' %}{% endfor %}", "runs over a field"),
    "a loop over a list": ("{% for x in [1, 2] %}{% endfor %}", "a list: only after `in`"),
    "a loop in a loop over the same": ("{% for x in data.a %}{% for y in data.a %}{% endfor %}{% endfor %}", "of `x`"),
    "loops side by side in a loop": (
        "{% for x in data.a %}{% for y in x.b %}{% for z in x.c %}{% endfor %}{% endfor %}{% endfor %}",
        "a field of `y`",
    ),
    "four loops": (
        "{% for a in data.x %}{% for b in a.x %}{% for c in b.x %}{% for d in c.x %}" + "{% endfor %}" * 4,
        "nested deeper than 3",
    ),
    "a chain of comparisons": ("{{ 1 < data.id < 3 }}", "a chain of comparisons"),
    "parentheses": (f"{{{{ {'(' * 60}data.id{' + 1)' * 60} }}}}", "nested too deeply"),
    "nots": (f"{{{{ {'not ' * 5_000}data.id }}}}", "nested too deeply"),
    "branches": (f"{{% if data.a %}}{'{% elif data.a %}' * 101}{{% endif %}}", "more than 100 branches"),
    "a long text": ("{{ data.id }}" + "a" * MAX_CHARACTERS, "over 100000 characters"),
    "many words": ("{{ data.id }}" * 2_001, "over 10000 words"),
    "digits": (f"{{{{ {'9' * 10_000} }}}}", "over 18 digits"),
    "no number": ("{{ 1e999 }}", "too large"),
    "a cut to all": ("{{ data.name | truncate(10000000) }}", "from 1 to 1000000"),
    "a cut to what the event says": ("{{ data.name | truncate(data.id) }}", "must be written out"),
    # memory, other files, other places
    "a set": ("{% set x = data.id %}", "a statement"),
    "a macro": ("{% macro m() %}{% endmacro %}", "a statement"),
    "an include": ("{% include '/etc/passwd' %}", "a statement"),
    "an import": ("{% import '/etc/passwd' as x %}", "a statement"),
    "names of another": ("{% from 'x' import y %}", "a statement"),
    "a parent": ("{% extends '/etc/passwd' %}", "a statement"),
    "a block": ("{% block x %}{% endblock %}", "a statement"),
    "a with": ("{% with x = 1 %}{% endwith %}", "a statement"),
    "a filter as a block": ("{% filter truncate(3) %}abc{% endfilter %}", "a statement"),
    "what escapes": ("{% autoescape true %}{% endautoescape %}", "a statement"),
    "an extension": ("{% do data.x %}", "no tag 'do': only {% if %} and {% for %}"),
    "a break": ("{% for x in data.a %}{% break %}{% endfor %}", "no tag 'break': only {% if %} and {% for %}"),
    # what has no meaning here
    "a name": ("{{ dta.id }}", "did you mean 'data'?"),
    "a field without data": ("{{ pipeline_id }}", "is written data.NAME"),
    "a name of a batch": ("{{ events }}", "did you mean 'event'?"),
    "a filter": ("{{ data.id | defualt('') }}", "did you mean 'default'?"),
    "a test": ("{{ data.id is divisibleby(3) }}", "no test 'divisibleby'"),
    "arguments of a test": ("{{ data.id is defined(1) }}", "takes no arguments"),
    "no argument": ("{{ data.name | truncate }}", "truncate takes length"),
    "an argument too many": ("{{ data.name | phone('7', 1) }}", "phone takes country"),
    "an argument unknown": ("{{ data.at | date(zone='UTC') }}", "date takes tz, format"),
    "an argument twice": ("{{ data.at | date('UTC', tz='UTC') }}", "date takes tz, format"),
    "arguments of a list": ("{{ data.at | date(*data.x) }}", "date takes tz, format"),
    "a time zone": ("{{ data.at | date('Europe/Mosco') }}", "did you mean 'Europe/Moscow'?"),
    "a time zone elsewhere": ("{{ data.at | date('../../etc/passwd') }}", "no time zone"),
    "a form of a date": ("{{ data.at | date('UTC', '%1000000000d') }}", "must be made of %d"),
    "a country": ("{{ data.phone | phone('russia') }}", "calling code"),
    "a mapping": ("{{ {'a': 1} }}", "write it as YAML"),
    "a list": ("{{ [1] }}", "only after `in`"),
    "a field in a list": ("{{ data.id in [data.x] }}", "written out"),
    "two variables": ("{% for k, v in data.a %}{% endfor %}", "one variable"),
    "a variable called loop": ("{% for loop in data.a %}{% endfor %}", "not called `loop`"),
    "a variable after its loop": ("{% for x in data.a %}{% endfor %}{{ x }}", "no name 'x'"),
    "a loop outside": ("{{ loop.index }}", "no name 'loop'"),
    "the loop in its test": ("{% for x in data.a if loop.first %}{% endfor %}", "no name 'loop'"),
    "what a loop does not have": ("{% for x in data.a %}{{ loop.previtem }}{% endfor %}", "`loop` has no 'previtem'"),
    "the loop as a value": ("{% for x in data.a %}{{ loop }}{% endfor %}", "`loop` is no value"),
    "the loop filtered": ("{% for x in data.a %}{{ loop | tojson }}{% endfor %}", "`loop` is no value"),
    "the loop compared": ("{% for x in data.a %}{{ 1 == loop }}{% endfor %}", "`loop` is no value"),
    "no end": ("{{ data.id", "`}}` is missing"),
    "no end of a tag": ("{% if data.id", "`%}` is missing"),
    "no end of a comment": ("{# data.id", "`#}` is missing"),
    "no end of a raw text": ("{% raw %}{{", "{% endraw %} is missing"),
    "no end of a condition": ("{% if data.a %}x", "{% endif %} is missing"),
    "no end of a loop": ("{% for x in data.a %}{% if x %}{% endif %}", "{% endfor %} is missing"),
    "an end too many": ("{% endif %}", "{% endif %} belongs to nothing here"),
    "another end": ("{% if data.a %}{% endfor %}", "{% endfor %} belongs to nothing here"),
    "no tag": ("{% %}", "a tag is missing: only {% if %} and {% for %}"),
    "no expression": ("{{ }}", "an expression is missing before `}}`"),
    "no condition": ("{% if %}{% endif %}", "an expression is missing before `%}`"),
    "half a comparison": ("{{ data.id == }}", "an expression is missing before `}}`"),
    "a dot without a field": ("{{ data. }}", "the name of a field is missing after the dot"),
    "a filter without a name": ("{{ data.id | }}", "a name is missing before `}}`"),
    "a loop without in": ("{% for x data.a %}{% endfor %}", "`in` is missing before `data`"),
    "two values": ("{{ data.id data.name }}", "unexpected `data`: `}}` or an operator is missing before it"),
    "one equals sign": ("{% if data.a = 1 %}{% endif %}", "unexpected `=`: write == to compare"),
    "an else if": ("{% if data.a %}{% else if data.b %}{% endif %}", "unexpected `if`: write elif"),
    "two ampersands": ("{{ data.a && data.b }}", "unexpected `&`: write and"),
    "an open quote": ("{{ 'abc }}", "a quote is not closed"),
    "an open bracket": ("{{ (data.id }}", "`)` is missing before `}`"),
    "a sign": ("{{ data.id ? 1 }}", "unexpected `?`"),
    "a bracket": ("{{ data.id) }}", "unexpected `)`"),
    "a control character": ("{{ data.id }}\x00", "U+0000"),
    "an escape": (r"{{ '\x' }}", "begins no escape"),
}


@pytest.mark.parametrize(("source", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_template_may_not_do_is_refused_at_load(source: str, said: str) -> None:
    for refused in (lambda: compile_text(source, EVENT_NAMES), lambda: compile_tree({"a": [source]}, EVENT_NAMES)):
        with pytest.raises(TemplateRefused) as raised:
            refused()
        assert said in str(raised.value)
        assert "\n" not in str(raised.value)


def refusals(source: Source) -> list[tuple[int, int]]:
    with pytest.raises(TemplateRefused) as raised:
        compile_text(source, EVENT_NAMES)
    return [(each.line, each.column) for each in raised.value.refusals]


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("{{ dta }}", [(1, 4)]),
        ("Lead {{ data.id }}\nof {{ dta.name }}", [(2, 7)]),
        ("{# a #}{%- if data.id -%}  \n\n  {{ x }}{% endif %} {{ y }}", [(3, 6), (3, 25)]),
        ("{% raw %}{{ x }}{% endraw %}{{ x }}", [(1, 32)]),
        ("a\r\nb {{ x }}", [(2, 6)]),
        ("{{ data.id }}{{ 'a' ? }}", [(1, 21)]),
        ("{{ data.id | nosuch }}", [(1, 14)]),
        (("Bearer ", KEY, " {{ x }}"), [(1, 18)]),
        (("a\n", KEY, "\n", KEY, "{{ x }}"), [(3, 10)]),
    ],
)
def test_every_refusal_says_the_line_and_the_column_of_the_text_as_written(
    source: Source, places: list[tuple[int, int]]
) -> None:
    assert refusals(source) == places


def test_every_refusal_of_a_tree_says_where_it_is() -> None:
    tree = {"a": "{{ x }}", "b": [1, {"c": "{{ data.id }} {{ y }}{{ z }}", "{{ key }}": True}]}
    with pytest.raises(TemplateRefused) as raised:
        compile_tree(tree, EVENT_NAMES)
    found = [(each.where, each.line, each.column) for each in raised.value.refusals]
    assert found == [
        (("a",), 1, 4),
        (("b", 1, "c"), 1, 18),
        (("b", 1, "c"), 1, 25),
        (("b", 1, "{{ key }}"), 1, 1),
    ]


@pytest.mark.parametrize(
    "source",
    [
        ("{{ data.id | default('", KEY, "') }}"),
        ("{{ ", KEY, " }}"),
        ("{{ data.", KEY, " }}"),
        ("{{ data['", KEY, "'] }}"),
        ("{% if data.id == '", KEY, "' %}{% endif %}"),
        ("{% ", KEY, " %}"),
        ("{# ", KEY, " #}{{ data.id }}"),
        ("{", KEY, "{ data.id }} {{ ", KEY),
    ],
)
def test_a_secret_stands_in_plain_text_alone(source: Source) -> None:
    with pytest.raises(TemplateRefused, match="a secret cannot stand in") as raised:
        compile_text(source, EVENT_NAMES)
    assert "s3cret" not in str(raised.value)


URLS = [
    "{{ data.url }}",
    "https://{{ data.host }}/",
    "https://{{ data.host }}.example/",
    "https://bot.example{{ data.path }}",
    "https://bot.example:{{ data.port }}/",
    "https://bot.example:80{{ data.port }}/",
    "https://{{ data.user }}@bot.example/",
    "{{ data.scheme }}://bot.example/",
    "http{% if data.id %}s{% endif %}://bot.example/",
    "//bot.example/{{ data.id }}",
    "/{{ data.id }}",
    "https:///{{ data.id }}",
    "https://bot.example\\{{ data.id }}",
    "https://bot.example/../{{ data.id }}",
]


@pytest.mark.parametrize("url", URLS)
def test_a_template_cannot_change_the_scheme_the_host_or_the_port(url: str) -> None:
    with pytest.raises(TemplateRefused):
        compile_url(url, EVENT_NAMES)


def test_a_secret_may_hold_the_host() -> None:
    host = Reference(Secret("https://bot.example"), "${URL}")
    assert compile_url((host, "/{{ data.id }}"), EVENT_NAMES).render({"data": {"id": 7}}) == "https://bot.example/7"
    with pytest.raises(TemplateRefused):
        compile_url((host, "{{ data.id }}"), EVENT_NAMES)


@pytest.mark.parametrize(
    "source", ["answer.ok", "{{ answer.ok }} ", "a {{ answer.ok }}", "{% if status %}{% endif %}", ""]
)
def test_an_expression_is_one_expression(source: str) -> None:
    with pytest.raises(TemplateRefused, match="one expression"):
        compile_expression(source, ANSWER_NAMES)


def test_each_place_has_names_of_its_own() -> None:
    for source, names in (("{{ answer }}", EVENT_NAMES), ("{{ data }}", BATCH_NAMES), ("{{ data }}", ANSWER_NAMES)):
        with pytest.raises(TemplateRefused, match="no name"):
            compile_text(source, names)


@pytest.mark.parametrize("tree", [5, True, None])
def test_a_body_is_a_mapping_a_list_or_a_text(tree: object) -> None:
    with pytest.raises(TemplateRefused, match="a mapping, a list or a text"):
        compile_tree(tree, EVENT_NAMES)


def test_a_body_of_too_many_templates_is_refused() -> None:
    with pytest.raises(TemplateRefused, match="over 10000 words") as raised:
        compile_tree(["{{ data.id }}"] * 2_001, EVENT_NAMES)
    assert [each.where for each in raised.value.refusals] == [(2_000,)]


# ---- secrets of a routes file

FILE = """\
version: 1
sources: {{crm: {{token: 0123456789abcdef}}}}
targets: {{bot: {{url: "https://bot.example/", headers: {{x-key: {text}}}}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""


def source_of(text: str, **env: str) -> Source:
    document = parse(FILE.format(text=text), file="routes.yaml", env=env).document
    found: Source = document.source(("targets", "bot", "headers", "x-key"))
    return found


def test_what_a_secret_holds_is_never_parsed() -> None:
    source = source_of('"${A}{{ data.id }}${B}"', A="{{ data.name }}{%", B="}}{# x")
    assert compile_text(source, EVENT_NAMES).render({"data": {"id": 7, "name": "no"}}) == "{{ data.name }}{%7}}{# x"


@pytest.mark.parametrize(("first", "second"), [("{", "{ data.id }}"), ("{{ data.id", " }}"), ("{%", " if data.id %}")])
def test_a_secret_cannot_complete_what_the_file_begins(first: str, second: str) -> None:
    source = source_of(f'"${{A}}{second}"', A=first)
    assert compile_text(source, EVENT_NAMES).render({"data": {"id": 7}}) == first + second


def test_the_dollar_of_a_price_is_written_twice_before_a_template() -> None:
    source = source_of('"$${{ data.price }}"')
    assert compile_text(source, EVENT_NAMES).render({"data": {"price": 5}}) == "$5"
    with pytest.raises(RoutesInvalid, match=r"a plain \$\{ is written \$\$\{"):
        source_of('"${{ data.price }}"')
