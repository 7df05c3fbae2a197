"""What is read at once is what form.py reads pair by pair and events.py makes of that: the `definition`."""

import gc
import tracemalloc
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote_plus

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.amocrm import events, fields, form, pairs, shapes
from relay.amocrm import keys as known_keys
from relay.amocrm.form import MAX_PAIRS, encode
from relay.amocrm.shapes import BodyReader
from relay.errors import UnreadableError
from tests.amocrm.test_events import WORDS

NOW = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
BODIES = sorted((Path(__file__).parent / "bodies").glob("*.form"))
STATUS = encode({"leads": {"status": {"0": {"id": "7", "status_id": "142"}}}, "account": {"id": "9"}})

NUMBERS = ["0", "007", "7", "8", "9007199254740991", "9007199254740992", "12345678901234567890", "²", "٣"]
WORDY = ["", "ж 🚀", "a=b&c", "%zz", "company", "contact", "incoming", "ID", "lead_added", '{"a":[1]}', "[", "\x01"]
VALUES = [*NUMBERS, *WORDY, "x" * 400]
FIELDS = ["id", "type", "name", "tags][0][id", "tags][1", "note][type", "note][id", "x][0", ""]
FIELDS += [f"custom_fields][0]{rest}" for rest in ("[id", "[values][0", "[values][0][value", "[values][0][enum")]
COMMON = ["leads", "contacts", "account", "add", "note", "update", "delete", "0", "0", "1", "type", "id", "name"]
names = st.sampled_from([*COMMON, *COMMON, *WORDS, "", "price", "date_create", "ж"])
keys = st.builds(lambda head, rest: head + "".join(f"[{part}]" for part in rest), names, st.lists(names, max_size=5))
usual = st.just("account[id]") | st.builds(
    "{}[{}][{}][{}]".format,
    st.sampled_from(["leads", "contacts", "unsorted"]),
    st.sampled_from(["add", "note", "update"]),
    st.sampled_from(["0", "1"]),
    st.sampled_from(FIELDS),
)
rows = st.sampled_from([usual, usual | keys]).flatmap(
    lambda one: st.lists(st.tuples(one, st.sampled_from(VALUES)), min_size=1, max_size=12)
)


def outcome(read, content: bytes, content_type: str = "", query: str = "") -> object:
    ids = (f"e{number}" for number in count(1))
    try:
        found = read(content, content_type, source="crm", received_at=NOW, new_id=lambda: next(ids), query=query)
    except UnreadableError as error:
        return str(error)
    return [events.dump(event) for event in found]


def definition(content: bytes, content_type: str, **known) -> list:
    return events.read(form.decode(content, content_type), **known)


@given(rows)
@example([("leads[delete]", "7")])
@example([("leads[delete]", "all"), ("leads[add][0][id]", "7")])
@example([("contacts[add][0][type]", "contact"), ("contacts[add][1][type]", "company")])
@example([("contacts[add][0][type]", "contact"), ("contacts[add][1][type]", "x")])
@example([("leads[add][0][metadata]", '{"a":[1]}')])
@example([("task[add][0][linked_leads_id][7][ID]", "7")])
@example([("add[0][type]", "incoming")])
@example([("event[type_code]", "lead_added"), ("leads[add][0][id]", "1")])
@example([("leads[add][0][x]", "1"), ("account[a]", "ж" * 1200)])
@example([("leads[add][0][x]", "1"), ("leads[add][0][x]", "4")])
@example([("leads[add][0][x]", "1"), ("leads", "4")])
@example([("leads[add][][x]", "1"), ("leads[add][][x]", "4"), ("leads[add][0][tags][]", "a")])
@example([("leads[add][0][id]", "1"), ("account", "4")])
@example([("leads[add][0][" + "x" * 512, "1")])
@example([("leads[add][0]" + "[x]" * 14, "1")])
def test_a_body_gives_the_events_that_it_gives_without_a_shape(rows):
    content = "&".join(f"{quote_plus(key)}={quote_plus(text)}" for key, text in rows).encode()
    reader = BodyReader(learned_at=1)
    for _ in range(2):
        assert outcome(reader.read, content, query="a=1&a=2") == outcome(definition, content, query="a=1&a=2")


ESCAPES = b"%5B %5D % %3D %26 %00 %0 %% + %2B %D0%96 %D0 %F0%9F%9A%80 %ED%A0%80 =41".split()
RAW = [b"\n", b"%\n", b"%\r\n", b"\r", b"\0", b"\x01", b"\xd0\x96", b"\xff"]
scraps = st.sampled_from([*b"leads add 0 [ ] = = = & & { 7 _ .".split(), *ESCAPES, *RAW])


@given(
    content=st.lists(scraps, max_size=40).map(b"".join) | st.binary(),
    content_type=st.sampled_from(["", "application/json", "x/y; charset=cp1251"]),
)
@example(content=b"a=%", content_type="")
@example(content=b"a=%\nb", content_type="")
@example(content=b"a=%%41", content_type="")
@example(content=b"x\xda\x80=1", content_type="")
@example(content=b"a=%\r%%xy", content_type="")
@example(content=b"a=b=c&d", content_type="")
@example(content=b"{=1", content_type="application/json")
@example(content=b"", content_type="")
def test_any_bytes_that_are_split_in_one_piece_are_the_pairs_of_the_form(content, content_type):
    try:
        tree = form.decode(content, content_type)
    except UnreadableError as error:
        tree = str(error)
    if found := pairs.split(content):
        try:
            assert form.tree_of(*found) == tree
        except UnreadableError as error:
            assert str(error) == tree
    reader = BodyReader(learned_at=1)
    for _ in range(2):
        assert outcome(reader.read, content, content_type) == outcome(definition, content, content_type)


def test_a_body_as_amocrm_sends_it_is_split_in_one_piece():
    found = pairs.split(b"leads%5Badd%5D%5B0%5D=%D0%96+1%2B1%3D2&a[b]=")
    assert found == (["leads[add][0]", "a[b]"], ["Ж 1+1=2", ""])


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_a_body_gives_its_events_however_often_it_comes(path):
    content, reader = path.read_bytes(), BodyReader(learned_at=2)
    assert {b"".join(outcome(reader.read, content)) for _ in range(4)} == {b"".join(outcome(definition, content))}


def test_a_body_that_is_too_large_to_be_split_in_one_piece_is_not_copied():
    content = b"a" + b"=&" * 1_000_000 + b"="
    tracemalloc.start()
    try:
        assert pairs.split(content) is None
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


# ---- what is learned, and how much of it


def test_the_shape_of_most_bodies_is_learned(monkeypatch):
    reader = BodyReader(learned_at=1)
    for path in BODIES:
        outcome(reader.read, path.read_bytes())
    monkeypatch.delattr(form, "tree_of")
    monkeypatch.delattr(form, "decode")
    learned = 0
    for path in BODIES:
        try:
            outcome(reader.read, path.read_bytes())
        except AttributeError:
            continue
        learned += 1
    assert learned > len(BODIES) / 2


def test_a_shape_is_learned_of_the_eighth_body_with_its_keys():
    reader, before = BodyReader(), []
    for _ in range(9):
        outcome(reader.read, STATUS)
        before.append(reader.size)
    assert not any(before[: shapes.LEARNED_AT - 1])
    assert all(before[shapes.LEARNED_AT - 1 :])


def test_keys_that_differ_without_end_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(shapes, "MAX_SIZE", 20_000)
    monkeypatch.setattr(shapes, "MAX_COUNTED", 100)
    reader = BodyReader(learned_at=1)
    sizes = []
    for number in range(500):
        content = STATUS + b"&leads[status][0][x%d]=1" % number
        for _ in range(2):
            assert outcome(reader.read, content) == outcome(definition, content)
        sizes.append(reader.size)
    assert 10_000 < max(sizes) <= 20_000


@pytest.mark.parametrize("name", ["{}", "{}_id", "🚀{:0>30}"])
def test_shapes_take_no_more_memory_than_is_counted(name):
    bodies = [
        encode({"leads": {"add": {"0": {name.format(1000 * number + at): "1" for at in range(250)}}}})
        for number in range(20)
    ]
    reader = BodyReader(learned_at=1)
    tracemalloc.start()
    try:
        for content in bodies:
            outcome(reader.read, content)
        known_keys.split.cache_clear()  # which have a bound of their own
        fields._is_numeric.cache_clear()
        gc.collect()  # empties the free lists, too
        taken, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(reader._shapes) == len(bodies)
    assert reader.size / 4 < taken < reader.size * 1.2


def test_numbers_that_differ_without_end_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(shapes, "MAX_NUMBERS", 10)
    reader = BodyReader(learned_at=1)
    for number in [*range(95, 130), *range(10**9 - 3, 10**9 + 3), *range(95, 130)]:
        content = STATUS + b"&leads[status][0][pipeline_id]=%d" % number
        assert outcome(reader.read, content) == outcome(definition, content)
        assert len(reader._numbers) <= 10


def test_more_pairs_than_a_form_may_have_are_unreadable():
    content = b"a=&" + b"=&" * (MAX_PAIRS - 1) + b"="
    assert outcome(BodyReader().read, content) == f"more than {MAX_PAIRS} fields"


def test_events_of_one_shape_share_nothing():
    reader = BodyReader(learned_at=1)
    known = {"source": "crm", "received_at": NOW, "new_id": str}
    first, second, third = (reader.read(STATUS, "", **known)[0] for _ in range(3))
    second.data["id"] = 0
    second.account["id"] = 0
    assert orjson.dumps(third.data) == orjson.dumps(first.data) != orjson.dumps(second.data)
    assert third.account == first.account
