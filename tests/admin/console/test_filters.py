"""Filters of lists: closed sets are chosen by their words, and a filter that finds nothing says what it is made of."""

import re

import pytest

from relay.admin.console import languages, sentences, words
from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.model import Reason, State
from relay.notify.russian import RUSSIAN as RUSSIAN_TEXTS
from tests.admin.console.conftest import Client, see

RUSSIAN = {"Cookie": f"{languages.COOKIE}=ru"}


def options(source: str, name: str) -> dict[str, str]:
    """By value what a select list shows."""
    [found] = re.findall(rf'<select name="{name}">(.*?)</select>', source, re.DOTALL)
    return dict(re.findall(r'<option value="([^"]+)"[^>]*>([^<]*)</option>', found))


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        ("/deliveries", "state", State),
        ("/deliveries", "reason", Reason),
        ("/deliveries", "entity", ENTITIES),
        ("/deliveries", "action", ACTIONS),
        ("/unrouted", "entity", ENTITIES),
        ("/unrouted", "action", ACTIONS),
        ("/acts", "command", words.COMMANDS),
    ],
)
async def test_a_closed_set_is_chosen_by_its_words_in_the_language_of_the_page(
    path: str, name: str, values: list[str], browser: Client
) -> None:
    russian = options((await see(browser, path, headers=RUSSIAN)).source, name)
    assert {*russian} == {*values}
    assert not {value for value, word in russian.items() if re.fullmatch(r"[a-z0-9 -]+", word)}, "untranslated"


async def test_a_value_that_is_in_no_list_stays_chosen(browser: Client) -> None:
    seen = await see(browser, "/deliveries?entity=robots")
    assert '<option value="robots" selected>robots</option>' in seen.source


async def test_lists_without_chips_have_a_way_out_of_a_filter_too(browser: Client) -> None:
    assert {"/acts?who=nobody", "/acts?command=pause", "/acts"} <= {
        *(await see(browser, "/acts?who=nobody&command=pause")).links
    }
    assert {"/refused?source=crm"} <= {*(await see(browser, "/refused?source=crm&reason=stranger")).links}


@pytest.mark.parametrize("path", ["/deliveries", "/unrouted"])
async def test_what_finds_nothing_is_named_with_a_way_out_of_each_part(path: str, browser: Client) -> None:
    seen = await see(browser, f"{path}?entity=task&action=responsible", headers=RUSSIAN)
    assert {f"{path}?entity=task", f"{path}?action=responsible", path} <= {*seen.links}
    assert "задача" in seen.text.partition("По этому фильтру ничего нет.")[2]


def test_each_reason_of_an_attempt_has_a_sentence() -> None:
    assert {str(each) for each in Reason} <= {*sentences.SENTENCES}


def test_a_connection_that_closed_is_not_called_what_a_webhook_is_that_was_disconnected() -> None:
    languages.speak("ru")
    attempt, webhook = words.filter_word("reason", ["disconnected"]), words.state_word("disconnected")
    languages.speak(languages.ENGLISH)
    assert (attempt.partition(": ")[2], webhook) == ("соединение закрыто", "отсоединён")


def test_a_reason_is_called_the_same_on_a_page_and_in_a_notification() -> None:
    languages.speak("ru")
    shown = {reason: words.filter_word("reason", [reason]).partition(": ")[2] for reason in RUSSIAN_TEXTS.reasons}
    languages.speak(languages.ENGLISH)
    assert shown == dict(RUSSIAN_TEXTS.reasons)
