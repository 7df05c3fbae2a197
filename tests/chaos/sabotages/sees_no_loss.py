"""`relay`, with two promises broken: it looks after none of its files, and notes nowhere how much it committed."""

from relay.cli import main
from relay.store.acked import Acked
from relay.store.files import Files

if __name__ == "__main__":
    Files.gone = lambda _files: None  # type: ignore[method-assign]
    Acked.note = lambda _acked, _seq: None  # type: ignore[method-assign]
    main()
