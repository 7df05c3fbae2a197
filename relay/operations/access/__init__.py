"""Access tokens -> Asker: their form, the file that holds their hashes, and the acts that change it."""

from relay.operations.access.acts import Issued, add, listing, record, remove, rotate, view
from relay.operations.access.bearer import ON_LOOPBACK, Bearers, Expired
from relay.operations.access.entries import Entry
from relay.operations.access.file import load

__all__ = [
    "ON_LOOPBACK",
    "Bearers",
    "Entry",
    "Expired",
    "Issued",
    "add",
    "listing",
    "load",
    "record",
    "remove",
    "rotate",
    "view",
]
