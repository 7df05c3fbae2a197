"""Documents: what operations answer, as frozen dataclasses. Their fields are the keys of `--json` and of the API.

A contract: fields are added, never renamed or removed. Instants are `Moment`, lengths are seconds, ids are text.
A field that may hold personal data or an error text is marked `PERSONAL` (`marks`).
"""
