"""`relay.routes.match_text`: a match outside a file means what it means in one."""

from collections.abc import Callable

import pytest

from relay.model import Event
from relay.routes.diagnostics import Unfit
from relay.routes.match_text import compile_match


def test_it_matches_as_a_route_would(event: Callable[..., Event]) -> None:
    fits, warnings = compile_match("{entity: leads, action: [status, add], status_id: {not: won}}")
    assert warnings == []
    assert fits(event(status_id=7))
    assert not fits(event(status_id=142))
    assert not fits(event("contacts", "add"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{price: {gte: much}}", "price"),
        ("{price: {above: 5}}", "above"),
        ("leads", "a mapping"),
        ("{entity: leads", "is missing in the mapping"),
        ("{entity: leads, entity: contacts}", "entity"),
        ("{token: ${SECRET}}", ""),
        ("", ""),
    ],
)
def test_what_is_no_match_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(Unfit) as refused:
        compile_match(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "routes[0]" not in str(refused.value) and " line " not in str(refused.value)


def test_a_field_that_amocrm_is_not_known_to_send_is_said() -> None:
    _, warnings = compile_match("{entity: leads, pipelin: 5}")
    assert warnings == ["amoCRM is not known to send the field 'pipelin' (did you mean 'pipeline_id'?)"]
