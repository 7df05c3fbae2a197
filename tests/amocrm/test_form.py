import gzip
import zlib
from contextlib import suppress
from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.amocrm import form
from relay.amocrm.form import decode, encode
from relay.errors import UnreadableError

names = st.text(st.characters(exclude_characters="[]\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
trees = st.dictionaries(
    names.filter(lambda name: name != "_conflicts" and not name.startswith(("{", "\ufeff"))),
    st.recursive(texts, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4), max_leaves=12),
    min_size=1,
    max_size=4,
)


@given(trees)
def test_what_is_encoded_decodes_to_the_same_tree_in_the_same_order(tree):
    decoded = decode(encode(tree))
    assert decoded == tree
    assert encode(decoded) == encode(tree)


@given(st.dictionaries(names.filter(lambda name: not name.startswith(("{", "\ufeff"))), texts, min_size=1))
def test_plain_names_and_texts_are_those_that_parse_qsl_finds(tree):
    body = encode(tree)
    found = dict(parse_qsl(body.decode(), keep_blank_values=True, separator="&"))
    assert found == tree
    assert {key: text for key, text in decode(body).items() if key != "_conflicts"}.items() <= found.items()


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"leads%5Badd%5D%5B0%5D%5Bid%5D=7", {"leads": {"add": {"0": {"id": "7"}}}}),
        (b"leads[add][0][id]=7", {"leads": {"add": {"0": {"id": "7"}}}}),
        (b"a=1+2%203%2B4", {"a": "1 2 3+4"}),
        (b"a=b=c&d=%26%3d%25", {"a": "b=c", "d": "&=%"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a=100%&b=%zz&c=%4", {"a": "100%", "b": "%zz", "c": "%4"}),
        (b"a=%D0%B9&b=\xd0\xb9", {"a": "й", "b": "й"}),
        (b"a=&b&=c", {"a": "", "b": "", "": "c"}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=1\r\n", {"a": "1"}),
        (b"\xef\xbb\xbfa=1", {"a": "1"}),
        (b"a=x%00y&b%00=z\x00", {"a": "x\ufffdy", "b\ufffd": "z\ufffd"}),
        (b"a=%E2%80%A8%1B", {"a": "\u2028\x1b"}),
        (b"__proto__[x]=1&constructor=2", {"__proto__": {"x": "1"}, "constructor": "2"}),
    ],
)
def test_a_body_reads_as_its_tree(body, tree):
    assert decode(body) == tree


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        (b"a[5]=x&a[]=y&a[9]=z&a[]=w", {"a": {"5": "x", "6": "y", "9": "z", "10": "w"}}),
        (b"a[5]=x&a[9]=y&a[]=z", {"a": {"5": "x", "9": "y", "10": "z"}}),
        (b"a[k]=x&a[]=y&a[]=z", {"a": {"k": "x", "0": "y", "1": "z"}}),
        (b"a[][b]=x&a[][b]=y", {"a": {"0": {"b": "x"}, "1": {"b": "y"}}}),
        (b"a[][b]=x&c=y&a[0][d]=z", {"a": {"0": {"b": "x", "d": "z"}}, "c": "y"}),
        (b"a[999999999]=x", {"a": {"999999999": "x"}}),
    ],
)
def test_empty_brackets_take_the_next_index_as_php_counts(body, tree):
    assert decode(body) == tree


@pytest.mark.parametrize("key", ["a[b", "a]b", "a[b]c", "[a]", "[]", "a[b[c]", "a[b]]", "a[b]c[d]", "[", "]"])
def test_a_key_whose_brackets_do_not_pair_is_one_plain_name(key):
    assert decode(f"{key}=1&x=2".encode()) == {key: "1", "x": "2"}


def test_encoding_is_what_php_writes():
    tree = {"leads": {"add": {"0": {"name": "Ёж & ~co-op_1.0", "empty": ""}}}, "list": ["a", {"b": 2}], "ok": True}
    assert encode({**tree, "none": None}) == (
        b"leads%5Badd%5D%5B0%5D%5Bname%5D=%D0%81%D0%B6+%26+%7Eco-op_1.0&leads%5Badd%5D%5B0%5D%5Bempty%5D="
        b"&list%5B0%5D=a&list%5B1%5D%5Bb%5D=2&ok=1"
    )


# ---- JSON with the keys of a form


@pytest.mark.parametrize(
    ("flat", "tree"),
    [
        ('{"a[b][0]":"x","a[b][1]":2,"c":null}', {"a": {"b": {"0": "x", "1": 2}}, "c": None}),
        ('{"a[b]":{"c":[1]},"a[d]":true}', {"a": {"b": {"c": [1]}, "d": True}}),
        ('{"a":{"b":1},"a[c]":2}', {"a": {"b": 1, "c": 2}}),
        ('{"a[]":["x","y"],"b[]":"z"}', {"a": {"0": "x", "1": "y"}, "b": {"0": "z"}}),
        ('{"a[b":1,"c]":2}', {"a[b": 1, "c]": 2}),
        ('{"a[b]":1,"a":2}', {"a": {"b": 1}, "_conflicts": {"a": [2]}}),
        ('{"a":[1],"a[b]":2}', {"a": {"b": 2}, "_conflicts": {"a": [[1]]}}),
        ('{"a[b]":1,"_conflicts":{"x":2}}', {"a": {"b": 1}, "_conflicts": {"_conflicts": [{"x": 2}]}}),
        ('{"a[b]":24312345678901235}', {"a": {"b": "24312345678901235"}}),
    ],
)
def test_a_json_object_with_bracket_keys_reads_like_the_form(flat, tree):
    assert decode(flat.encode(), "application/json") == tree


def test_bracket_keys_and_what_is_under_them_nest_as_deep_as_a_form():
    assert decode(b'{"a' + b"[b]" * 10 + b'":' + b"[" * 5 + b"]" * 5 + b"}")
    with pytest.raises(UnreadableError, match="nested deeper than 16"):
        decode(b'{"a' + b"[b]" * 10 + b'":' + b"[" * 6 + b"]" * 6 + b"}")
    with pytest.raises(UnreadableError, match="a key of 17 parts; at most 16"):
        decode(b'{"a' + b"[b]" * 16 + b'":1}')


# ---- conflicts


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"a[id]=5&a[id]=6", {"a": {"id": "6"}, "_conflicts": {"a[id]": ["5"]}}),
        (b"a=1&a=2&a=3", {"a": "3", "_conflicts": {"a": ["1", "2"]}}),
        (b"n[type]=3&n[type][uid]=x", {"n": {"type": {"uid": "x"}}, "_conflicts": {"n[type]": ["3"]}}),
        (b"n[type][uid]=x&n[type]=3", {"n": {"type": {"uid": "x"}}, "_conflicts": {"n[type]": ["3"]}}),
        (b"a=1&a[b]=2&a[b][c]=3", {"a": {"b": {"c": "3"}}, "_conflicts": {"a": ["1"], "a[b]": ["2"]}}),
        (b"a=1&a[]=2", {"a": {"0": "2"}, "_conflicts": {"a": ["1"]}}),
        (b"_conflicts[x]=1&a=1&a=2", {"a": "2", "_conflicts": {"a": ["1"], "_conflicts": [{"x": "1"}]}}),
        (b"_conflicts=1", {"_conflicts": {"_conflicts": ["1"]}}),
    ],
)
def test_what_loses_a_place_is_kept_as_a_conflict(body, tree):
    assert decode(body) == tree


# ---- charsets


def test_text_that_is_not_utf_8_is_refused_rather_than_replaced():
    with pytest.raises(UnreadableError, match="not UTF-8: byte 0xcf"):
        decode(b"a=%CF%F0%E8")


@pytest.mark.parametrize("body", [b"a=%CF%F0%E8&\xe9=1", b"a=\xcf\xf0\xe8&%E9=1"])
def test_a_declared_charset_is_believed_where_utf_8_fails(body):
    declared = decode(body, 'application/x-www-form-urlencoded; charset="Windows-1251"')
    assert declared == {"a": "При", "й": "1"}


def test_a_charset_given_by_hand_overrides():
    assert decode(b"a=%CF%F0%E8", charset="cp1251") == {"a": "При"}
    assert decode(b"a=%D0%B9", "x/y; charset=cp1251", charset="latin-1") == {"a": "Ð¹"}


def test_utf_8_is_tried_before_the_declared_charset():
    assert decode("a=й".encode(), "x/y; charset=cp1251") == {"a": "й"}


@pytest.mark.parametrize("declared", ["utf-16", "idna", "rot13", "", "nonsense"])
def test_a_charset_that_is_not_known_is_no_excuse(declared):
    with pytest.raises(UnreadableError, match="not UTF-8"):
        decode(b"a=\xff", f"x/y; charset={declared}")


def test_bytes_that_fail_in_the_declared_charset_too_are_refused():
    with pytest.raises(UnreadableError, match="not UTF-8 or CP1251: byte 0x98"):
        decode(b"a=\x98", "x/y; charset=cp1251")


@pytest.mark.parametrize(
    ("compressed", "name"),
    [
        (gzip.compress(b"leads[add][0][id]=1", mtime=0), "gzip"),
        (zlib.compress(b"leads[add][0][id]=1"), "zlib"),
        (zlib.compress(b"leads[add][0][id]=1", 9), "zlib"),
        (b"\x28\xb5\x2f\xfd\x20\x13", "zstd"),
    ],
)
def test_a_compressed_body_is_named_so_whatever_its_content_type(compressed, name):
    for content_type in ("", "application/json", "x/y; charset=cp1251"):
        with pytest.raises(UnreadableError, match=rf"compressed \({name}\), which amoCRM never sends"):
            decode(compressed, content_type)


def test_an_unknown_charset_given_by_hand_is_named():
    with pytest.raises(UnreadableError, match=r"unknown charset 'koi8-r' \(known: utf-8, "):
        decode(b"a=1", charset="koi8-r")


def test_surrogates_in_utf_8_are_not_text():
    with pytest.raises(UnreadableError, match="not UTF-8"):
        decode(b"a=%ED%A0%80")


# ---- limits


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_unreadable(body):
    with pytest.raises(UnreadableError, match="empty body"):
        decode(body)


def test_twenty_thousand_fields_are_read_and_one_more_is_not():
    body = b"&".join(b"a[%d]=" % number for number in range(10_000))
    assert len(decode(body)["a"]) == 10_000
    with pytest.raises(UnreadableError, match="more than 10000 fields"):
        decode(body + b"&b=")


def test_sixteen_parts_of_a_key_are_read_and_one_more_is_not():
    assert decode(b"a" + b"[b]" * 15)
    with pytest.raises(UnreadableError, match="a key of 17 parts; at most 16"):
        decode(b"a" + b"[b]" * 16)


def test_a_key_of_512_bytes_is_read_and_a_longer_one_is_not():
    assert decode("é".encode() * 256)
    with pytest.raises(UnreadableError, match="a key of 513 bytes; at most 512"):
        decode("é".encode() * 256 + b"x")


@pytest.mark.parametrize(
    "piece",
    [b"%", b"%4", b"%41", b"%41x", b"%D0%98", b"+", b"\0", b"[a]", b"a[b]", b"[", b"{", b'{"a":', b"a[]&", b"&", b"="],
)
def test_time_and_memory_do_not_run_away(piece, stopwatch):
    def hostile(size):
        def run():
            for body in (piece * (size // len(piece)), b"a=" + piece * (size // len(piece))):
                with suppress(UnreadableError):
                    decode(body)

        return run

    small, large = stopwatch(hostile(50_000)), stopwatch(hostile(800_000))
    assert large < 16 * small * 4 + 0.25


def test_appending_is_linear_even_among_other_keys(stopwatch):
    def run(pairs):
        body = b"&".join(b"a[%d]=&a[]=" % (2 * number) for number in range(pairs))
        return stopwatch(lambda: decode(body))

    assert run(4_500) < 10 * run(450) * 4 + 0.25


@pytest.mark.parametrize("piece", [b"a&", b"a[]&", b"a%01&", b"a[b]=%00&", b"%01=%01&"])
def test_a_tree_is_at_most_eight_times_the_body(piece, json_size):
    body = piece * 9_000
    assert json_size(decode(body)) <= 8 * len(body)


scraps = st.sampled_from(
    [b"a", b"[", b"]", b"=", b"&", b"%5B", b"%", b'"', b"{", b"}", b"0", b":", b"\xd0", b"\\ud800"]
)


@given(st.binary() | st.lists(scraps).map(b"".join))
def test_any_bytes_decode_or_are_unreadable(body):
    for content_type in ("", "application/json", "x/y; charset=cp1251"):
        try:
            encode(decode(body, content_type))
        except UnreadableError as reason:
            assert str(reason)


@given(
    st.lists(st.sampled_from([b"%", b"4", b"1", b"D0", b"%9F", b"%3D", b"=", b"_", b"g", b"\r\n", b" ", b"\xff", b"."]))
)
def test_unquoting_is_that_of_urllib(pieces):
    raw = b"".join(pieces)
    assert form._unescape(raw) == unquote_to_bytes(raw)


def test_branches_without_end_are_unreadable_before_they_cost_much():
    deep = b"&".join(b"k%d[%s]=1" % (n, b"][".join(b"%d" % part for part in range(15))) for n in range(4_000))
    with pytest.raises(UnreadableError, match="more than 25000 branches"):
        form.decode(deep)


def test_json_without_end_is_unreadable_before_it_is_parsed():
    with pytest.raises(UnreadableError, match="more than 10000 commas"):
        form.decode(b'{"leads": {"add": [' + b"1," * 10_000 + b"1]}}")
