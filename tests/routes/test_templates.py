"""What a template makes of an event: types kept, what is missing is empty, any text is right; how much it may do."""

import json
import re
import sys
import tracemalloc
from collections.abc import Callable
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import TemplateFailed
from relay.model import Json, Secret
from relay.model.templates import answer_context, batch_context, event_context
from relay.routes.template import (
    ANSWER_NAMES,
    BATCH_NAMES,
    EVENT_NAMES,
    Place,
    compile_expression,
    compile_text,
    compile_tree,
    compile_url,
    has_template,
    shown,
)
from relay.routes.template.places import place_after
from relay.routes.template.work import MAX_WORK
from relay.routes.yaml_document import Reference

EVENT = {
    "id": "01998f00-0000-7000-8000-000000000000",
    "type": "leads.status",
    "timestamp": "2026-11-22T10:53:00.123Z",
    "source": "crm",
    "account": {"id": 29085955, "subdomain": "example"},
    "entity": "leads",
    "action": "status",
    "data": {
        "id": 4831596,
        "name": 'Offer "A"\n<b>',
        "price": "1500",
        "empty": "",
        "none": None,
        "yes": True,
        "half": 0.5,
        "tags": [{"id": 1, "name": "vip"}, {"id": 2}, {"id": 3, "name": "new"}],
        "values": {"items": "a field that is called as a method"},
        "custom_fields": [
            {"id": 10, "code": "PHONE", "values": [{"value": "8 912 345-67-89", "enum": 1}, {"value": "+420 111"}]},
            {"id": 11, "name": "Empty", "values": []},
            {"id": 12, "code": "EMAIL", "values": [{"value": "a@b.example"}]},
        ],
    },
}


def text(source: str, event: Json = EVENT) -> str:
    return compile_text(source, EVENT_NAMES).render(event_context(event))


def body(tree: Json, event: Json = EVENT) -> Json:
    return json.loads(compile_tree(tree, EVENT_NAMES).render(event_context(event)))


# ---- types


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ data.id }}", 4831596),
        ("{{data.id}}", 4831596),
        ("{{ data.half }}", 0.5),
        ("{{ data.yes }}", True),
        ("{{ data.price }}", "1500"),
        ("{{ data.none }}", None),
        ("{{ data.nothing }}", None),
        ("{{ data.no.thing[5].at.all }}", None),
        ("{{ query }}", None),
        ("{{ names.status }}", None),
        ("{{ enriched.lead.name }}", None),
        ("{{ data.nothing | phone }}", None),
        ("{{ data.tags[0] }}", {"id": 1, "name": "vip"}),
        ("{{ data.tags[-1].name }}", "new"),
        ("{{ data.tags[3].name }}", None),
        ("{{ data['values']['items'] }}", "a field that is called as a method"),
        ("{{ data.values.items }}", "a field that is called as a method"),
        ("{{ data.values.keys }}", None),
        ("{{ data.name.upper }}", None),
        ("{{ data.id + 1 }}", 4831597),
        ("{{ data.price - 0.5 }}", 1499.5),
        ("{{ -data.id }}", -4831596),
        ("{{ data.nothing + 1 }}", None),
        ("{{ data.id == '4831596' }}", True),
        ("{{ data.id if data.nothing }}", None),
        ("{{ data.id if data.yes }}", 4831596),
        ("{{ data.nothing or data.price }}", "1500"),
        ("{{ event.data.id }}", 4831596),
        ("{{ account }}", EVENT["account"]),
        (" {{ data.id }}", " 4831596"),
        ("{{ data.id }}{{ data.id }}", "48315964831596"),
        ("{{ data.nothing }}.", "."),
        ("{{ data.tags }}!", '[{"id":1,"name":"vip"},{"id":2},{"id":3,"name":"new"}]!'),
        ("{% if data.yes %}{{ data.id }}{% endif %}", "4831596"),
        ("no template", "no template"),
        ("{ } }} %} #}", "{ } }} %} #}"),
        ("{% raw %}{{ data.id }}{% endraw %}", "{{ data.id }}"),
    ],
)
def test_a_text_that_is_one_expression_keeps_its_type(source: str, value: Json) -> None:
    [found] = body([source])
    assert found == value
    assert type(found) is type(value)


def test_a_tree_is_json_with_what_it_has_beside_templates() -> None:
    tree = {"a": 1, "b": True, "c": None, "d": Decimal("1.50"), "e": [], "f": {}, "тег": ["x", {"g": "{{ data.id }}"}]}
    compiled = compile_tree(tree, EVENT_NAMES)
    assert compiled.content_type == "application/json"
    written = compiled.render(event_context(EVENT)).decode()
    assert written == '{"a":1,"b":true,"c":null,"d":1.50,"e":[],"f":{},"тег":["x",{"g":4831596}]}'


def test_a_text_is_text() -> None:
    compiled = compile_tree("{{ data.id }};{{ data.nothing }};Ж\r\n", EVENT_NAMES)
    assert compiled.content_type == "text/plain; charset=utf-8"
    assert compiled.render(event_context(EVENT)) == "4831596;;Ж\r\n".encode()


# ---- statements


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (
            "{% for t in data.tags %}{{ loop.index }}{{ t.name }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1vip, 2, 3new",
        ),
        ("{% for t in data.tags if t.name %}{{ loop.index }}{{ t.name }} {% endfor %}", "1vip 2new "),
        (
            "{% for f in data.custom_fields %}{% for v in f.values %}{{ f.id }}={{ v.value }};{% endfor %}{% endfor %}",
            "10=8 912 345-67-89;10=+420 111;12=a@b.example;",
        ),
        (
            "{% for f in data.custom_fields if f.code == 'PHONE' %}{{ f.values[0].value | phone }}{% endfor %}",
            "+79123456789",
        ),
        ("{% for x in data.nothing %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in data.empty %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in data.id %}[{{ x }}]{% endfor %}", "[4831596]"),
        ("{% for data in data.tags %}{{ data.id }}{% endfor %}{{ data.price }}", "1231500"),
        ("{% for x in data.tags %}{% for x in x.name %}{{ x }},{% endfor %}{{ x.id }};{% endfor %}", "vip,1;2;new,3;"),
        ("{% if data.id == 1 %}a{% elif entity == 'leads' %}b{% else %}c{% endif %}", "b"),
        ("{% if data.nothing > 5 or data.nothing < 5 %}a{% else %}b{% endif %}", "b"),
        ("{% if data.price > 1000 and data.price <= 1500 %}a{% endif %}", "a"),
        ("{% if data.nothing == '' and data.id != 5 %}a{% endif %}", "a"),
        ("{% if data.id in [1, 4831596, -5] and 'vip' in data.tags[0].name and 7 not in [1] %}a{% endif %}", "a"),
        ("{% if data.id is defined and data.nothing is not defined and data.none is none %}a{% endif %}", "a"),
        ("{% if timestamp > '2026-11-01' %}a{% endif %}", "a"),
        ("a {%- if data.yes -%}  b  {%- endif %} c", "ab c"),
        ("{{ data.id ~ '/' ~ data.nothing ~ data.yes }}", "4831596/true"),
        ("{{ 'a' + 'b' }}{{ 1 + 2 }}{{ '1' + 2 }}", "ab33"),
        ("{{ '\\u0416' }}{{ 'a\\nb' }}", "Жa\nb"),
        ("{# a comment #}x", "x"),
        ("a\r\nb{{ '\r\n' }}\n", "a\r\nb\r\n\n"),
    ],
)
def test_statements_and_operators(source: str, written: str) -> None:
    assert text(source) == written


def test_a_batch_and_an_answer_have_their_own_names() -> None:
    rows = compile_tree("{% for e in events %}{{ e.data | tojson }}\n{% endfor %}", BATCH_NAMES)
    assert rows.render(batch_context([{"data": {"a": 1}}, {"data": {"a": "б"}}])).decode() == '{"a":1}\n{"a":"б"}\n'
    context = answer_context(200, {"X-Ok": "1"}, {"ok": False, "parameters": {"retry_after": 7}})
    for source, value in (
        ("{{ answer.ok }}", False),
        ("{{ answer.parameters.retry_after }}", 7),
        ("{{ answer.no.such }}", None),
        ("{{ headers['x-ok'] == 1 and status == 200 }}", True),
    ):
        assert compile_expression(source, ANSWER_NAMES).evaluate(context) == value
    assert compile_expression("{{ answer.ok }}", ANSWER_NAMES).evaluate(answer_context(200, {}, None)) is None


@pytest.mark.parametrize("source", ["{{ data.name - 1 }}", "{{ data.tags + 1 }}"])
def test_what_cannot_be_calculated_fails_and_quotes_nothing(source: str) -> None:
    with pytest.raises(TemplateFailed) as raised:
        text(source)
    assert "Offer" not in str(raised.value)


def test_fields_are_the_paths_that_a_template_reads() -> None:
    source = (
        "{% if entity == 'leads' %}{{ event.data.id }}{% endif %}{{ data.tags[0].name }}{{ data['price'] }}"
        "{% for f in data.custom_fields if f.code %}{% for v in f.values %}{{ v.value }}{% endfor %}{% endfor %}"
        "{{ data.links | join(', ', 'a.b') }}{{ names.status | default(data.status_id) }}"
    )
    paths = {
        "entity", "data.id", "data.tags.name", "data.price", "data.custom_fields", "data.custom_fields.code",
        "data.custom_fields.values", "data.custom_fields.values.value", "data.links", "data.links.a.b", "names.status",
        "data.status_id",
    }  # fmt: skip
    assert compile_text(source, EVENT_NAMES).fields == paths
    assert compile_tree({"a": ["{{ data.x }}", "{{ event }}", source]}, EVENT_NAMES).fields == paths | {
        "data.x",
        "event",
    }
    assert compile_expression("{{ answer.a.b == status }}", ANSWER_NAMES).fields == {"answer.a.b", "status"}
    assert compile_tree("{% for e in events %}{{ e.data.id }}{% endfor %}", BATCH_NAMES).fields == {
        "events",
        "events.data.id",
    }


def test_templates_of_the_same_source_are_equal_and_print_no_secret() -> None:
    one, other = (Reference(Secret(value), "${KEY}") for value in ("hidden one", "hidden two"))
    trees = [{"a": (key, " {{ data.id }}")} for key in (one, one, other)]
    first, same, different = (compile_tree(tree, EVENT_NAMES) for tree in trees)
    assert first == same and hash(first) == hash(same)
    assert first != different
    assert compile_text("{{ data.id }}", EVENT_NAMES) != compile_text("{{ data.id }}", EVENT_NAMES, Place.URL)
    assert "hidden" not in f"{first!r}{trees}"
    assert json.loads(compile_tree(shown(trees[0]), EVENT_NAMES).render(event_context(EVENT))) == {
        "a": "${KEY} 4831596"
    }


def test_has_template_looks_outside_of_secrets() -> None:
    assert has_template("a {{ x }}") and has_template("{% if %}") and has_template("{# x")
    assert not has_template("{ { x } }")
    key = Reference(Secret("{{ x }}"), "${KEY}")
    assert not has_template((key, "{", key, "{ x }}"))
    assert has_template((key, "{{ x }}"))


# ---- places


@pytest.mark.parametrize(
    ("value", "url"), [("a b/ж?#&=%", "a%20b%2F%D0%B6%3F%23%26%3D%25"), (None, ""), (5, "5"), ("a.b-_~", "a.b-_~")]
)
def test_a_value_in_a_url_stays_in_its_segment(value: Json, url: str) -> None:
    compiled = compile_url("https://bot.example/a b/{{ data.x }}?q={{ data.x }}", EVENT_NAMES)
    assert compiled.render({"data": {"x": value}}) == f"https://bot.example/a b/{url}?q={url}"


@pytest.mark.parametrize("value", [".", "..", "%2e"])
def test_a_segment_that_leads_upwards_is_not_sent(value: str) -> None:
    compiled = compile_url("https://bot.example/a/{{ data.x }}{{ data.y }}/b", EVENT_NAMES)
    context = {"data": {"x": value, "y": ""}}
    if value == "%2e":
        assert compiled.render(context) == "https://bot.example/a/%252e/b"
        return
    with pytest.raises(TemplateFailed, match="segment"):
        compiled.render(context)
    with pytest.raises(TemplateFailed, match="segment"):
        compiled.render({"data": {"x": ".", "y": "."}})


@given(st.text())
def test_a_header_value_is_one_line(value: str) -> None:
    header = compile_text("Lead {{ data.x }}", EVENT_NAMES, Place.HEADER).render({"data": {"x": value[:1000]}})
    assert len(f"{header}.".splitlines()) == 1
    assert header.encode() and "\0" not in header
    assert len(header) == len("Lead ") + len(in_unicode(value[:1000]))


def test_so_is_what_the_file_writes_on_several_lines_of_a_header() -> None:
    written = "Lead\n{% if data.x %}\r\n{{ data.x }}{% endif %}\nX: 1"
    assert compile_text(written, EVENT_NAMES, Place.HEADER).render({"data": {"x": 7}}) == "Lead   7 X: 1"


def test_a_place_has_a_limit_of_its_own() -> None:
    for compiled in (
        compile_text("{{ data.x }}", EVENT_NAMES, Place.HEADER),
        compile_text("{{ data.x }}", EVENT_NAMES, Place.QUERY),
        compile_url("https://bot.example/{{ data.x }}", EVENT_NAMES),
    ):
        compiled.render({"data": {"x": "a" * 8_000}})
        with pytest.raises(TemplateFailed, match="over 8,192"):
            compiled.render({"data": {"x": "a" * 9_000}})


# ---- any text, any value

ANY_TEXT = (
    st.text() | st.text(st.characters(categories=["Cs", "Cc", "Po"])) | st.sampled_from(["{{ data.id }}", "${A}"])
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4), max_leaves=20
)


@settings(max_examples=500)
@given(VALUES)
def test_json_is_right_for_any_value_alone_in_a_text_and_in_a_statement(value: Json) -> None:
    tree = {"alone": "{{ data.x }}", "within": "<{{ data.x }}>", "in": '{% if 1 %}{{ data.x }}{% endif %}"\\\n'}
    found = body(tree, {"data": {"x": value}})
    assert same(found["alone"], value)
    if isinstance(value, str):
        assert same(found["within"], f"<{value}>")
        assert same(found["in"], f'{value}"\\\n')


def same(one: Json, other: Json) -> bool:
    """Equal, where a surrogate alone is U+FFFD, and two that make a character are that character."""
    return json.dumps(one) == json.dumps(json.loads(in_unicode(json.dumps(other, ensure_ascii=False))))


def in_unicode(text: str) -> str:
    return "".join(text_of(each) for each in re.findall("[\ud800-\udbff][\udc00-\udfff]|.", text, re.DOTALL))


def text_of(character: str) -> str:
    if len(character) == 2:
        return character.encode("utf-16", "surrogatepass").decode("utf-16")
    return "\ufffd" if "\ud800" <= character <= "\udfff" else character


@given(ANY_TEXT, ANY_TEXT)
def test_the_text_around_is_written_as_it_is_whatever_a_secret_holds(secret: str, value: str) -> None:
    secret = secret.encode(errors="replace").decode()
    tree = [("{{ data.x }}", Reference(Secret(secret), "${S}"), "\r\n{{ data.x }}")]
    [found] = body(tree, {"data": {"x": value}})
    assert same(found, f"{value}{secret}\r\n{value}")


@given(ANY_TEXT)
def test_the_text_of_an_event_is_never_parsed(value: str) -> None:
    assert text("{{ data.x }}", {"data": {"x": value}}) == value
    sent = compile_tree("{{ data.x }}", EVENT_NAMES).render({"data": {"x": value}})
    assert sent.decode() == in_unicode(value)


SOURCES = [
    "{{ data.x }}",
    "{% for a in data.x %}{{ loop.index }}{% for b in a.x %}{{ b }}{% endfor %}{% endfor %}",
    "{% if data.x > 5 or data.x == 'a' or data.x in data.x %}{{ data.x ~ data.x }}{% endif %}",
    *(
        f"{{{{ data.x | {each} }}}}"
        for each in ("default(1)", "join", "join(',', 'x')", "date", "money", "phone", "tojson")
    ),
    *(f"{{{{ data.x | {each} }}}}" for each in ("urlencode", "markdown_escape", "html_escape", "truncate(3)")),
]


@settings(max_examples=300)
@given(VALUES)
def test_no_value_kills_a_template_that_only_reads_compares_and_filters(value: Json) -> None:
    for compiled in COMPILED:
        compiled.render({"data": {"x": value}})


COMPILED = [compile_tree(source, EVENT_NAMES) for source in SOURCES]
COMPILED += [compile_tree([source], EVENT_NAMES) for source in SOURCES]


# ---- how much it may do, by counting


def calls(do: Callable[[], object]) -> int:
    """How many functions it calls, and how many lines of templates it runs."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> Callable[..., object]:
        nonlocal count
        count += event in ("call", "line")
        return counted

    before = sys.gettrace()
    sys.settrace(counted)
    try:
        do()
    finally:
        sys.settrace(before)
    return count


LOOPS = {
    "a loop": "{% for a in data.x %}{{ a.n }}{% endfor %}",
    "a loop in a loop": "{% for a in data.x %}{% for b in a.x %}{{ b.n }}{% endfor %}{% endfor %}",
    "a loop in a loop in a loop": (
        "{% for a in data.x %}{% for b in a.x %}{% for c in b.x %}{{ c }}{% endfor %}{% endfor %}{% endfor %}"
    ),
}


@pytest.mark.parametrize("source", LOOPS.values(), ids=LOOPS)
def test_the_work_of_loops_grows_with_the_size_of_the_event_and_no_faster(source: str) -> None:
    compiled = compile_text(source, EVENT_NAMES)

    def event(size: int) -> Json:
        return {"data": {"x": [{"n": 1, "x": [{"n": 2, "x": [1, 2]}] * 5}] * size}}

    few, many = event(50), event(500)
    assert calls(lambda: compiled.render(many)) < 11 * calls(lambda: compiled.render(few))


BIG = {
    "data": {
        "list": [{"n": 1}] * 50_000,
        "text": "a*" * 200_000,
        "other": "a*" * 199_999 + "ab",
        "numbers": [1] * 50_000,
    }
}
TOO_MUCH = {
    "a filter on a large text": "{{ data.text | markdown_escape | truncate(1) }}",
    "a large text that is cut": "{% if data.text | truncate(1) %}{% endif %}",
    "texts put together": "{% if data.text ~ data.text == '' %}{% endif %}",
    "a sum of texts": "{% if (data.text + data.other) == '' %}{% endif %}",
    "a comparison of large texts": "{% if data.text == data.other %}{% endif %}",
    "an order of large texts": "{% if data.text < data.other %}{% endif %}",
    "a search": "{% if 'aaab' in data.text %}{% endif %}",
    "JSON": "{{ data.list | tojson | truncate(1) }}",
    "a list that is joined": "{% if data.list | join('', 'x') %}{% endif %}",
    "a list that is compared": "{% if data.list == '' %}{% endif %}",
    "a value in a list": "{% if 'x' in data.numbers %}{% endif %}",
    "a list in a list": "{% if data.list in data.list %}{% endif %}",
    "a list that is joined by a long text": f"{{% if data.list | join('{'x' * 100}') %}}{{% endif %}}",
    "a header": "{{ (data.text | truncate(10)) ~ data.text | truncate(1) }}",
    "many parts": "{% if a.n == 1 %}{% endif %}" * 40,
}


@pytest.mark.parametrize("inside", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_a_loop_does_with_a_large_event_is_ended(inside: str) -> None:
    source = f"{{% for a in data.list %}}{inside}{{% endfor %}}"
    compiled = compile_text(source, EVENT_NAMES)

    def render() -> None:
        with pytest.raises(TemplateFailed, match=r"does too much|over 1,000,000"):
            compiled.render(BIG)

    assert calls(render) < MAX_WORK, "each call and each line of a template is counted at least once"


HUGE_OUTPUT = {
    "a long text in a loop": "{% for a in data.list %}" + "x" * 2_000 + "{% endfor %}",
    "a field in a loop": "{% for a in data.list %}{{ data.text }}{% endfor %}",
    "the event in a loop": "{% for a in data.list %}{{ event }}{% endfor %}",
    "a field many times": "{{ data.text }}" * 250,
    "a field many times, put together": "{{ " + " ~ ".join(["data.text"] * 250) + " }}",
    "added": "{{ " + " + ".join(["data.text"] * 40) + " }}",
    "joined": "{{ data.list | join('" + "y" * 100 + "') }}",
    "escaped": "{{ data.text | html_escape }}{{ data.text | markdown_escape }}" * 3,
}


@pytest.mark.parametrize("source", HUGE_OUTPUT.values(), ids=HUGE_OUTPUT)
@pytest.mark.parametrize("as_json", [False, True])
def test_output_of_100_mb_ends_at_the_first(source: str, as_json: bool) -> None:
    compiled = compile_tree([f"{source}."] if as_json else source, EVENT_NAMES)
    context = event_context(BIG)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateFailed):
            compiled.render(context)
        assert (
            tracemalloc.get_traced_memory()[1] < 30_000_000
        )  # a text of an event is some 1 MB, and orjson takes room for eight
    finally:
        tracemalloc.stop()


def test_output_is_counted_in_bytes_too() -> None:
    compiled = compile_tree("{{ data.x }}", EVENT_NAMES)
    assert len(compiled.render({"data": {"x": "a" * 1_000_000}})) == 1_000_000
    for value in ("a" * 1_000_001, "ж" * 500_001):
        with pytest.raises(TemplateFailed, match="over 1,000,000"):
            compiled.render({"data": {"x": value}})


def test_a_usual_batch_is_far_from_the_limit_of_work() -> None:
    source = (
        "{% for e in events %}{{ e.data.id }};{{ e.data.name | html_escape }};{{ e.timestamp | date('Europe/Moscow') }}"
        "{% for f in e.data.custom_fields %}"
        ";{% for v in f.values %}{{ v.value | truncate(100) }} {% endfor %}{% endfor %}\n{% endfor %}"
    )
    fields = [{"id": 1, "values": [{"value": "a value of some length"}] * 3}] * 20
    event = {**EVENT, "data": {"id": 7, "name": "x" * 100, "custom_fields": fields}}
    compile_tree(source, BATCH_NAMES).render(batch_context([event] * 300))


# ---- where rendering fails


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({"a": "{{ data.id }}", "text": "Lead [{{ data.name - 1 }}, {"}, "text"),
        ({"a": {"b": [1, {"c": 2, "d": ["x", "{{ data.name - 1 }}"]}]}}, "a.b[1].d[1]"),
        ([["a"], {"b": [], "c": {}}, "{{ data.name - 1 }}"], "[2]"),
        ({'quoted "a": {': "{{ data.name - 1 }}"}, r"quoted \"a\": {"),
        ({"a": "{{ data.tags }}", "b": "x" * 10 + "{{ data.name - 1 }}"}, "b"),
        ("{{ data.name - 1 }}", ""),
    ],
)
def test_a_tree_that_cannot_be_rendered_says_at_which_key(tree: Json, place: str) -> None:
    body = compile_tree(tree, EVENT_NAMES)
    context = event_context({"data": {"id": 7, "name": "Окна", "tags": [{"a": ']},"'}]}})
    with pytest.raises(TemplateFailed, match="needs numbers on both sides") as failed:
        body.render(context)
    assert failed.value.place == place


words = st.text(alphabet='a"\\[]{},:ё\n', max_size=5)


@given(
    st.recursive(
        st.none() | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_beginning_of_json_has_a_place(value: Json) -> None:
    written = orjson.dumps(value).decode()
    for end in range(len(written) + 1):
        place_after(written[:end])
    assert place_after(written) == ""
