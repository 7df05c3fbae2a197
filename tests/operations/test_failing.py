"""`relay.operations.failing`: a target that answers with errors is told apart from one that does not answer."""

import pytest

from relay.operations.failing import how_it_fails


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("5xx 503 busy", "answers with errors (503)"),
        ("429 slow down", "answers with errors (429)"),
        ("503", "answers with errors (503)"),
        ("asked by Retry-After to wait 20 s: 5xx 503 busy", "answers with errors (503)"),
        ("answer 200 no", "answers that it failed"),
        ("timeout no answer in time", "does not answer (timeout)"),
        ("connect 127.0.0.1:9 refused", "does not answer (connect)"),
        ("template body: 'x' is undefined", "cannot be sent to (template)"),
        ("***", "fails"),
        ("", "fails"),
        ("500x", "fails"),
    ],
)
def test_an_error_says_how_a_target_fails(error: str, said: str) -> None:
    assert how_it_fails(error) == said
