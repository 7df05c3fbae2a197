"""A body, its events and how much of each is erased -> the body without that, with as many events as before.

Of a form the other fields stay byte for byte. A body that cannot be cut so that it is read as it should is emptied.
"""

from collections.abc import Collection, Sequence

import orjson

from relay.amocrm import event_paths, form, keys, widget
from relay.amocrm.erasure import ids, references, without
from relay.amocrm.form import CONFLICTS, Tree, put_at
from relay.errors import UnreadableError
from relay.model import Json
from relay.model.erasure import Extent, Ref

NOTHING = b""


def erased_body(body: bytes, content_type: str, extents: Sequence[Extent], refs: Collection[Ref]) -> bytes:
    """Return the body without what belongs to these; `extents`: of its events, in their order."""
    if all(each is Extent.NONE for each in extents):
        return body
    try:
        tree = form.decode(body, content_type)
        wanted = _erased(tree, extents, refs)
        return _encoded(body, content_type, wanted) if wanted else NOTHING
    except (UnreadableError, UnicodeError):
        return NOTHING


def _erased(tree: Tree, extents: Sequence[Extent], refs: Collection[Ref]) -> Tree | None:
    """Return the tree without it; None if its events cannot be told apart."""
    if widget.is_call(tree):
        return _erased_call(tree) if len(extents) == 1 and extents[0] is Extent.WHOLE else None
    rest = {name: node for name, node in tree.items() if name != CONFLICTS}
    account = {"account": rest.pop("account")} if isinstance(rest.get("account"), dict) else {}
    found = [*event_paths.walk(rest)]
    items = [
        (path, node, action == "note")
        for path, _entity, action, node in found
        if action is not None and isinstance(node, dict)
    ]
    if len(items) != len(extents):
        return None
    kept: Tree = {name: {} for name in tree if name in rest or name in account} | account  # in their order
    if extents[0] is not Extent.WHOLE:  # the first event has what belongs to none
        for path, _entity, action, node in found:
            if action is None:
                put_at(kept, path, node)
    for (path, node, is_note), how in zip(items, extents, strict=True):
        _put(kept, rest, path, _erased_item(node, how, refs, is_note=is_note))
    return _pruned(kept)


def _put(kept: Tree, tree: Tree, path: Sequence[str], item: Tree) -> None:
    """Put an item where it was; a deletion with the id alone is no object in the body."""
    node: Json = tree
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    put_at(kept, path, item if isinstance(node, (dict, list)) else node)


def _erased_item(node: Tree, how: Extent, refs: Collection[Ref], *, is_note: bool) -> Tree:
    match how:
        case Extent.NONE:
            return node
        case Extent.PART:
            return without(node, references(node, refs))
        case Extent.WHOLE:
            note = node.get("note") if is_note else None
            return ids(node) | ({"note": ids(note)} if isinstance(note, dict) else {})


def _erased_call(tree: Tree) -> Tree:
    """Of a widget's call what it is about remains."""
    event = tree["event"]
    data = event.get("data")
    about: Tree = {name: event[name] for name in ("type", "type_code") if name in event}
    if isinstance(data, dict):
        about["data"] = ids(data)
    account: Tree = {name: node for name, node in tree.items() if name in ("account_id", "subdomain", "account")}
    return {"event": about, **account}


def _pruned(node: Tree) -> Tree:
    """Without empty branches: a form has none."""
    kept = {key: _pruned(child) if isinstance(child, dict) else child for key, child in node.items()}
    return {key: child for key, child in kept.items() if child != {}}


def _encoded(body: bytes, content_type: str, wanted: Tree) -> bytes:
    """Return a body that is read as `wanted`, at best one whose fields are the old ones."""
    if body.lstrip()[:1] in (b"{", b"["):
        made = [orjson.dumps(wanted)]
    else:
        made = [_filtered(body, wanted), form.encode(wanted)]
    return next((each for each in made if each and _read(each, content_type) == wanted), NOTHING)


def _read(body: bytes, content_type: str) -> Tree:
    tree = form.decode(body, content_type)
    tree.pop(CONFLICTS, None)
    return _pruned(tree)


def _filtered(body: bytes, wanted: Tree) -> bytes:
    """Return the fields of a form that `wanted` has."""
    return b"&".join(pair for pair in body.split(b"&") if _has(wanted, pair.partition(b"=")[0]))


def _has(wanted: Tree, raw: bytes) -> bool:
    parents, leaf = keys.split(form.text(raw.removeprefix(b"\xef\xbb\xbf")))
    node: Json = wanted
    for part in (*parents, leaf):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return not isinstance(node, (dict, list))
