"""One receiver of the routes file: notification -> Reply, over connections of its own."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import orjson

import relay
from relay.delivery.answer import Judge
from relay.delivery.masks import spellings
from relay.delivery.send import Sender
from relay.errors import TemplateFailed
from relay.http.client import Client
from relay.http.request import Request
from relay.model import Secret
from relay.model.notify import HttpReceiver, Mail, Notify, Slack, Telegram
from relay.notify.notification import Notification
from relay.notify.receivers import slack, telegram
from relay.notify.receivers.reply import Reply, Result, of_outcome

WITHIN = timedelta(seconds=15)
_JSON = "application/json"


class Receiver:
    """Sends to one receiver. What it answers never raises."""

    def __init__(self, of: Notify, *, clock: Callable[[], datetime], new_client: Callable[[], Client]) -> None:
        self.of = of
        self._sender = Sender(clock=clock, new_client=new_client)

    async def send(self, said: Notification) -> Reply:
        """Send it, once, within `WITHIN`."""
        match self.of.to:
            case Telegram() as to:
                request = _post(telegram.address(to), telegram.body(to, said), secrets=[to.token])
                return await self._post(request, judge=telegram.TelegramJudge())
            case Slack(url=url):
                return await self._post(_post(url.reveal(), slack.body(said), secrets=_of_url(url)))
            case HttpReceiver() as to:
                return await self._webhook(to, said)
            case Mail() as to:
                from relay.notify.receivers import mail  # its library is imported where there is mail

                egress, seconds = self.of.egress, WITHIN.total_seconds()
                return await mail.send(to, said, tls=self.of.tls, public_only=egress.deny_private, within=seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    async def _webhook(self, to: HttpReceiver, said: Notification) -> Reply:
        try:
            content = to.body.render(said.document()) if to.body else orjson.dumps(said.document())
        except TemplateFailed as error:
            return Reply(result=Result.REFUSED, detail=f"the template of its body: {error}")
        headers = {name: value.reveal() for name, value in to.headers.items()}
        kind = to.body.content_type if to.body else _JSON
        secrets = [*_of_url(to.url), *to.headers.values()]
        return await self._post(_post(to.url.reveal(), content, content_type=kind, headers=headers, secrets=secrets))

    async def _post(self, request: Request, *, judge: Judge | None = None) -> Reply:
        of = self.of
        outcome = await self._sender.send(request, timeout=WITHIN, tls=of.tls, egress=of.egress, judge=judge)
        return of_outcome(outcome)


def _of_url(url: Secret) -> list[Secret]:
    """The URL, and its path, which a server may repeat."""
    path = urlsplit(url.reveal()).path
    return [url, Secret(path)] if len(path) > 1 else [url]


def _post(
    url: str,
    content: bytes,
    *,
    secrets: list[Secret],
    content_type: str = _JSON,
    headers: Mapping[str, str] | None = None,
) -> Request:
    own = {"content-type": content_type, "user-agent": f"amocrm-relay/{relay.__version__}", **(headers or {})}
    return Request(url=url, headers=own, body=content, secrets=spellings(each.reveal() for each in secrets))
