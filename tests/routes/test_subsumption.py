from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.model import Event
from relay.routes.conditions import condition
from relay.routes.lint.subsumption import redundant_routes
from relay.routes.match import Matcher, Route
from relay.routes.route_tests import NO_TIME

words = st.sampled_from(["a", "b", "1", "5"])
some_words = st.lists(words, min_size=1, max_size=3)
asked = st.one_of(
    words,
    some_words,
    st.builds(lambda value: {"not": value}, some_words),
    st.builds(lambda value: {"exists": value}, st.booleans()),
    st.builds(lambda value: {"gt": value}, st.integers(0, 5)),
    st.builds(lambda value: {"like": "a*", "not": value}, words),
)
routes = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["entity", "t", "u"]), asked, max_size=2) | st.none(),
        st.sets(st.sampled_from(["x", "y"]), min_size=1),
    ),
    max_size=8,
)
events = st.builds(
    lambda entity, data: Event(
        id="", source="", received_at=NO_TIME, account={}, entity=entity, action="add", data=data
    ),
    words,
    st.dictionaries(st.sampled_from(["t", "u"]), words | st.lists(words, max_size=3)),
)


def compiled(file: list[tuple[dict[str, Any] | None, set[str]]]) -> list[Route]:
    return [
        Route(
            name=f"r{position}",
            match={name: condition(name, value, "") for name, value in (match or {}).items()},
            targets=tuple(sorted(targets)),
            otherwise=match is None,
        )
        for position, (match, targets) in enumerate(file)
    ]


@settings(max_examples=500)
@given(routes, st.lists(events, max_size=5))
def test_without_the_redundant_routes_routes_every_event_reaches_the_same_targets(
    file: list[tuple[dict[str, Any] | None, set[str]]], some_events: list[Event]
) -> None:
    every = compiled(file)
    unneeded = redundant_routes(every)
    fewer = Matcher([route for position, route in enumerate(every) if position not in unneeded])
    for event in some_events:
        assert fewer.match(event).targets.keys() == Matcher(every).match(event).targets.keys()
