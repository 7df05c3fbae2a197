"""A target's `ok_if` and `retry_after`: what is read, and what `check` warns of."""

from collections.abc import Callable

from relay.routes.config import Config
from relay.routes.lint import warnings

TargetFile = Callable[..., Config]


def test_both_are_expressions_over_the_answer(target_file: TargetFile) -> None:
    bot = target_file('ok_if: "{{ answer.ok }}", retry_after: "{{ answer.wait }}"').targets["bot"]
    assert bot.ok_if
    assert bot.retry_after
    assert (bot.ok_if.fields, bot.retry_after.fields) == ({"answer.ok"}, {"answer.wait"})
    assert bot.ok_if.evaluate({"status": 200, "headers": {}, "answer": {"ok": True}}) is True


def test_a_target_without_them_has_none(target_file: TargetFile) -> None:
    bot = target_file("timeout: 5s").targets["bot"]
    assert (bot.ok_if, bot.retry_after) == (None, None)


def test_the_same_file_makes_the_same_target(target_file: TargetFile) -> None:
    same = 'ok_if: "{{ answer.ok }}"'
    assert target_file(same).targets["bot"] == target_file(same).targets["bot"]
    assert target_file(same).targets["bot"] != target_file('ok_if: "{{ answer.done }}"').targets["bot"]


def test_what_can_never_matter_is_noticed(target_file: TargetFile) -> None:
    found = target_file('ok_if: "{{ 1 == 1 }}", retry_after: "{{ headers[\'Retry-In\'] }}"')
    assert [warning.message for warning in warnings(found) if warning.path.startswith("targets.bot.")] == [
        "reads nothing of the answer: it says the same of each",
        "names of headers are in lower case here: 'headers.retry-in'",
    ]
    assert not warnings(target_file('ok_if: "{{ answer.ok }}", retry_after: "{{ headers[\'x-wait\'] }}"'))[1:]
