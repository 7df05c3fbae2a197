"""`relay`, with one promise broken: what a lost answer may have claimed is left to the end of its lease."""

from unittest.mock import patch

from relay.cli import main
from relay.store.postgres.lost_claims import LostClaims

if __name__ == "__main__":
    patch.object(LostClaims, "statements", lambda *_arguments: []).start()
    main()
