"""A connection to a proxy -> a tunnel to a target, asked for by CONNECT over our own connection and its parser."""

import asyncio

import aiohttp

from relay.http.client import NotHttp, ProxyFailed
from relay.http.fast_connection import FastConnection
from relay.http.tunnel import connect_request, refused


async def open_tunnel(connection: FastConnection, to: str, *, authorization: str | None, seconds: float) -> None:
    """Return once the transport of this connection leads to the target.

    The connection itself must not be used again: what follows has a parser of its own. Raises ProxyFailed, NotHttp if
    the target spoke first, or ConnectionTimeoutError after so many `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            if waiter := connection.ask(connect_request(to, authorization)):
                await waiter
        status = connection.head().status
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"the proxy did not answer CONNECT within {seconds:g} s") from error
    except NotHttp as error:
        raise ProxyFailed("the proxy answered CONNECT with something that is not HTTP") from error
    except (aiohttp.ServerDisconnectedError, OSError) as error:
        raise ProxyFailed("the proxy closed the connection before it had answered CONNECT") from error
    except aiohttp.ClientError as error:
        raise ProxyFailed(f"the proxy did not answer CONNECT: {error}") from error
    if not 200 <= status <= 299:
        raise refused(status, to, authorized=authorization is not None)
    body = connection.body  # whatever the head says of one, what follows it is the target's (RFC 9110 §9.3.6)
    if body if isinstance(body, bytes) else body.total_bytes:
        raise NotHttp("the target spoke before it was asked")
