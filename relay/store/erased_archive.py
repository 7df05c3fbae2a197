"""An archive of purged webhooks, and whose data is to be erased -> the same archive without it.

A file with such lines is written anew beside the old one, and takes its place once it is on disk.
"""

import asyncio
import base64
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from relay.amocrm.traces import Finder
from relay.errors import ArchiveFailed
from relay.model import Json
from relay.os_errors import write_problem
from relay.store.archive import LEVEL, SUFFIX, locked, mend
from relay.store.erasure_plan import Scope, plan
from relay.store.erasure_records import StoredEvent, StoredWebhook
from relay.store.times import utc_now

NEW = ".new"
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, ValueError, TypeError, KeyError, AttributeError)


async def erase_archive(folder: Path, scope: Scope, finder: Finder, *, dry_run: bool = False) -> int:
    """Return how many webhooks lost something; in a thread. What attempts told goes where a trace is found in it.

    Raises ArchiveFailed for files that cannot be read or written, once all others are done.
    """
    return await asyncio.to_thread(_erase, folder, scope, finder, dry_run)


def _erase(folder: Path, scope: Scope, finder: Finder, dry_run: bool) -> int:
    if not folder.is_dir():
        return 0
    erased = 0
    problems: list[str] = []
    try:
        with locked(folder) as opened:
            mend(folder)
            for left in folder.glob(f"*{SUFFIX}{NEW}"):
                left.unlink()  # of one that was killed
            for file in sorted(folder.glob(f"*{SUFFIX}")):
                try:
                    erased += _erase_file(file, scope, finder, dry_run=dry_run)
                    os.fsync(opened)
                except DAMAGED as error:
                    problems.append(f"{file} is damaged ({type(error).__name__})")
                except OSError as error:
                    file.with_name(file.name + NEW).unlink(missing_ok=True)
                    problems.append(write_problem(file, error))
    except OSError as error:
        problems.append(write_problem(folder, error))
    if problems:
        raise ArchiveFailed(f"of the archive this is not erased, repeat it once it can be: {'; '.join(problems)}")
    return erased


def _erase_file(file: Path, scope: Scope, finder: Finder, *, dry_run: bool) -> int:
    with gzip.open(file) as lines:
        number = sum(_erased_line(line, scope, finder) is not None for line in lines)
    if number and not dry_run:
        _rewrite(file, scope, finder)
    return number


def _rewrite(file: Path, scope: Scope, finder: Finder) -> None:
    new = file.with_name(file.name + NEW)
    new.touch(mode=0o600, exist_ok=False)
    old = file.stat()
    if old.st_uid != os.geteuid():  # the relay's, and this is root's command: the relay writes on in it
        os.chown(new, old.st_uid, old.st_gid)
    with new.open("r+b") as to:
        with gzip.open(file) as lines, gzip.GzipFile(fileobj=to, mode="wb", compresslevel=LEVEL) as packed:
            for line in lines:
                packed.write(_erased_line(line, scope, finder) or line)
        to.flush()
        os.fsync(to.fileno())
    new.replace(file)


def _erased_line(line: bytes, scope: Scope, finder: Finder) -> bytes | None:
    """Return the line without what is erased; None if it loses nothing."""
    if not (any(ref.id.encode() in line for ref in scope.refs) or any(id_.encode() in line for id_ in scope.ids)):
        return None
    document = orjson.loads(line)
    planned = plan(_stored(document), scope)
    told = _blank_attempts(document, finder)
    if planned is None:
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) if told else None
    document["webhook"] |= {"body": planned.erased.body.decode(errors="replace"), "query": planned.erased.query}
    document["webhook"].pop("body_base64", None)
    document["webhook"]["unparsed"] = planned.erased.unparsed
    for attempt in (
        each for delivery in document.get("raw", {}).get("deliveries", ()) for each in delivery["attempts"]
    ):
        attempt["detail"] = ""
    changed = {each.id: each for each in planned.erased.events}
    for event in document["events"]:
        if each := changed.get(event["id"]):
            event["event"] = orjson.loads(each.payload)
            for attempt in _attempts(event):
                attempt["detail"] = ""
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _stored(document: dict[str, Any]) -> StoredWebhook:
    webhook = document["webhook"]
    events = tuple(
        StoredEvent(seq=number, id=each["id"], payload=orjson.dumps(each["event"]), erased=_is_bare(each["event"]))
        for number, each in enumerate(document["events"])
    )
    body = webhook["body"]
    return StoredWebhook(
        seq=0,
        id=webhook["id"],
        source=webhook["source"],
        received_at=utc_now(),
        content_type=webhook["content_type"],
        body=base64.b64decode(webhook["body_base64"]) if body is None else body.encode(),
        query=webhook["query"],
        unparsed=webhook["unparsed"],
        events=events,
    )


def _is_bare(event: Json) -> bool:
    """Whether nothing but ids is left of it, as by an erasure before."""
    data = event.get("data") if isinstance(event, dict) else None
    return isinstance(data, dict) and set(data) <= {"id", "element_id", "element_type", "contact_id", "type"}


def _blank_attempts(document: dict[str, Any], finder: Finder) -> int:
    deliveries = [each for event in document["events"] for each in event["deliveries"]]
    texts = [(each, "detail") for event in document["events"] for each in _attempts(event)]
    told = [(each, key) for each, key in [*texts, *((each, "why") for each in deliveries)] if finder.kinds(each[key])]
    for each, key in told:
        each[key] = ""
    return len(told)


def _attempts(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for delivery in event["deliveries"]:
        yield from delivery["attempts"]
