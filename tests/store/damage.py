"""What disks, and people in a hurry, do to a database's files."""

from pathlib import Path

import apsw


def flip(file: Path, text: bytes) -> None:
    """One bit, in the last byte of the only place where the file has this text."""
    content = file.read_bytes()
    assert content.count(text) == 1, content.count(text)
    flip_at(file, content.index(text) + len(text) - 1)


def flip_at(file: Path, offset: int) -> None:
    """One bit of that byte."""
    with file.open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0]
        opened.seek(offset)
        opened.write(bytes([byte ^ 0x04]))


def lose_id(database: Path, id_: str) -> None:
    """Of an event: a disk does not mind that it was declared to be there."""
    connection = apsw.Connection(str(database))
    connection.pragma("writable_schema", True)
    connection.execute("update sqlite_schema set sql = replace(sql, 'text not null unique', 'text unique')")
    connection.close()
    connection = apsw.Connection(str(database))
    connection.execute("update events set id = null where id = ?", (id_,))
    connection.close()


def roll_back(file: Path, content: bytes) -> None:
    """As a backup that is restored does: the same file, as it was, and no WAL."""
    file.write_bytes(content)
    for suffix in ("-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
