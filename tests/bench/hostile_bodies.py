"""How long the costliest megabytes take to decode: `python -m tests.bench.hostile_bodies`, on a quiet machine.

Processor time, the best of three, the cache of keys empty each time. Nothing is asserted: clocks differ.
"""

import os
import time

from relay.amocrm import form, keys
from relay.errors import UnreadableError

MEGABYTE = 1_000_000
KEY = b"contacts%%5Badd%%5D%%5B0%%5D%%5Blinked_leads_id%%5D%%5B%d%%5D%%5BID%%5D=%d"

BODIES = {
    "escapes": b"a=" + b"%D0%9F" * (MEGABYTE // 6),
    "escapes in pieces": b"a=" + b"%41x" * (MEGABYTE // 4),
    "signs that escape nothing": b"a=" + b"%4z" * (MEGABYTE // 3),
    "few of them": b"a=" + b"%41x" * 12_000 + b"%" + b"x" * (MEGABYTE - 48_000),
    "noise": os.urandom(MEGABYTE),
    "fields of two parts": b"&".join(b"a%d[b]=%s" % (n, b"x" * 88) for n in range(9_999)),
    "linked leads": b"&".join(KEY % (10**7 + n, 10**7 + n) for n in range(9_999)),
    "fields of sixteen parts": b"&".join(
        b"%d[a][b][c][d][e][f][g][h][i][j][k][l][m][n][o]=%s" % (n, b"x" * 540) for n in range(1_650)
    ),
    "one field again and again": b"&".join(b"a[b][c]=" + b"x" * 90 for _ in range(9_999)),
    "appended": b"&".join(b"a[]=" + b"x" * 95 for _ in range(9_999)),
    "JSON": b'{"a":{' + b",".join(b'"k%d":"%s"' % (n, b"v" * 88) for n in range(9_999)) + b"}}",
}


def decode(body: bytes) -> tuple[float, str]:
    """Seconds, and what became of it."""
    form._splitter.cache_clear()
    keys.split.cache_clear()
    start = time.process_time()
    try:
        form.decode(body)
    except UnreadableError as unreadable:
        return time.process_time() - start, str(unreadable)[:44]
    return time.process_time() - start, "read"


def main() -> None:
    for name, body in BODIES.items():
        seconds, fate = min(decode(body) for _ in range(3))
        print(f"{name:28}{len(body) / MEGABYTE:5.2f} MB {seconds * 1000:6.1f} ms  {fate}")


if __name__ == "__main__":
    main()
