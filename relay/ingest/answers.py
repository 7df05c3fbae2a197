"""What became of a request -> the HTTP answer."""

from relay.http.response import Response
from relay.model import Webhook
from relay.signals import Rejection
from relay.store.records import Duplicate

RETRY_AFTER = "5"  # seconds


class Reject(Exception):
    """End a request with this answer, and announce why: see `signals.WebhookRejected`. Not a fault."""

    def __init__(self, status: int, reason: Rejection, detail: str, *, source: str = "-", address: str = "") -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        self.source = source
        self.address = address


def stored(webhook: Webhook, events: int, deliveries: int) -> Response:
    """Answer 200 to a webhook that is on disk; `events` is 0 if it is unparsed."""
    answer: dict[str, object] = {"webhook": webhook.id, "events": events, "deliveries": deliveries}
    if webhook.unparsed is not None:
        answer["unparsed"] = webhook.unparsed
    return Response(answer)


def duplicate(first: Duplicate) -> Response:
    """Answer 200 with the id of the webhook that was stored first."""
    return Response({"webhook": first.webhook, "events": first.events, "deliveries": 0, "duplicate": True})


def probed() -> Response:
    """Answer 200 to an empty body that amoCRM did not send."""
    return Response({"probe": True})


def rejected(reject: Reject) -> Response:
    """Answer an error; a 404 has one body, so that only the log says what was wrong."""
    match reject.status:
        case 404:
            return Response({"error": "not found"}, status=404)
        case 405:
            return Response({"error": "POST webhooks here"}, status=405, headers={"Allow": "POST"})
    headers = {"Retry-After": RETRY_AFTER} if reject.status == 503 else {}
    return Response({"error": reject.detail}, status=reject.status, headers=headers)
