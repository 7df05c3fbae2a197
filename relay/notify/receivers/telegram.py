"""A notification -> sendMessage of Telegram's Bot API, and its answers: core.telegram.org/bots/api (2026).

{"ok": true, "result": {…}}
{"ok": false, "error_code": 429, "description": "Too Many Requests: …", "parameters": {"retry_after": 7}}
"""

from datetime import timedelta

import orjson

from relay.delivery.answer import Answer, Judgement
from relay.model import Json, Reason
from relay.model.notify import Telegram
from relay.notify.notification import Notification

MAX_TEXT = 4096  # characters (UTF-16 units, which ours are at most as many as)
PATIENCE = 5.0  # seconds for the body of an answer


def address(to: Telegram) -> str:
    """The URL, which has the token in it."""
    return f"{to.api}/bot{to.token.reveal()}/sendMessage"


def body(to: Telegram, said: Notification) -> bytes:
    """Plain text: without a parse_mode nothing in it is markup."""
    message: dict[str, Json] = {
        "chat_id": to.chat_id,
        "text": _cut(said.text),
        "link_preview_options": {"is_disabled": True},
    }
    if to.thread is not None:
        message["message_thread_id"] = to.thread
    return orjson.dumps(message)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


class TelegramJudge:
    """Reads how long to wait of the body, where Telegram says it, and takes no 200 for sent that is not `ok`."""

    def patience(self, _status: int) -> float | None:
        """See `Judge`."""
        return PATIENCE

    def judge(self, answer: Answer) -> Judgement:
        """See `Judge`."""
        try:
            found = answer.json()
        except ValueError as error:
            return Judgement(reason=Reason.ANSWER, why=str(error)) if answer.status == 200 else Judgement()
        if not isinstance(found, dict):
            found = {}
        parameters = found.get("parameters")
        seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
        asked = timedelta(seconds=min(seconds, 86_400)) if isinstance(seconds, int) and seconds > 0 else None
        if answer.status == 200 and found.get("ok") is not True:
            return Judgement(reason=Reason.ANSWER, why="it is not ok", retry_after=asked)
        return Judgement(retry_after=asked)
