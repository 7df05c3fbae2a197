"""A notification -> a mail, handed to an SMTP server within a deadline (RFC 5321, 3207, 4954)."""

import asyncio
import socket
import ssl
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP as LINE_ENDS
from email.utils import format_datetime, make_msgid
from time import perf_counter

import aiosmtplib

from relay.delivery.masks import masked, spellings
from relay.http.client import AddressDenied
from relay.http.public_only import PublicResolver
from relay.http.resolver import Resolver
from relay.model import Tls
from relay.model.notify import Encryption, Mail
from relay.notify.notification import Notification
from relay.notify.receivers.reply import Reply, Result
from relay.os_errors import os_error_text
from relay.tls import client_context

MAX_SUBJECT = 150  # characters

_PERMANENT = 500
"""Replies from here on are not to be tried again (RFC 5321 §4.2.1)."""


def message(to: Mail, said: Notification) -> EmailMessage:
    """Plain text; addresses are the routes file's, so nobody can add one."""
    mail = EmailMessage(policy=LINE_ENDS)
    mail["From"] = to.sender
    mail["To"] = ", ".join(to.to)
    mail["Subject"] = said.title[:MAX_SUBJECT]
    mail["Date"] = format_datetime(said.at)
    mail["Message-ID"] = make_msgid(domain=to.sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail.set_content(said.text)
    return mail


async def send(to: Mail, said: Notification, *, tls: Tls | None, public_only: bool, within: float) -> Reply:
    """Hand it over; whatever the server does, it takes at most `within` seconds."""
    began = perf_counter()
    try:
        async with asyncio.timeout(within):
            result, detail = await _handed_over(to, said, tls, public_only=public_only)
    except TimeoutError:
        result, detail = Result.RETRY, "no answer in time"
    secrets = spellings([to.password.reveal()]) if to.password else ()
    return Reply(result=result, detail=masked(detail, secrets), took=timedelta(seconds=perf_counter() - began))


async def _handed_over(to: Mail, said: Notification, tls: Tls | None, *, public_only: bool) -> tuple[Result, str]:
    try:
        connection = await _connect(to, public_only=public_only)
    except AddressDenied as denied:
        return Result.REFUSED, str(denied)
    except OSError as error:
        return Result.RETRY, f"connect: {os_error_text(error)}"
    client = aiosmtplib.SMTP(
        hostname=to.host,
        sock=connection,
        use_tls=to.encryption is Encryption.IMPLICIT,
        start_tls=to.encryption is Encryption.STARTTLS,
        tls_context=client_context(tls) if tls else ssl.create_default_context(),
        timeout=None,
    )
    try:
        await client.connect()
        if to.user is not None and to.password is not None:
            await client.login(to.user, to.password.reveal())
        refused, answer = await client.send_message(message(to, said))
        with suppress(aiosmtplib.SMTPException, OSError):  # it has taken the mail
            await client.quit()
    except aiosmtplib.SMTPResponseException as error:
        return Result.RETRY if error.code < _PERMANENT else Result.REFUSED, f"{error.code} {error.message}"
    except aiosmtplib.SMTPRecipientsRefused as error:
        found = error.recipients
        again = any(each.code < _PERMANENT for each in found)
        detail = "; ".join(dict.fromkeys(f"{each.code} {each.message}" for each in found))
        return Result.RETRY if again else Result.REFUSED, detail
    except (aiosmtplib.SMTPException, OSError) as error:
        return Result.RETRY, str(error.__cause__ or error) or type(error).__name__
    finally:
        if client.transport is None:
            connection.close()
        client.close()
    if refused:
        return Result.SENT, f"{answer}; refused for {len(refused)} of {len(to.to)}"
    return Result.SENT, answer


async def _connect(to: Mail, *, public_only: bool) -> socket.socket:
    """Try the addresses of the host one after another, only public ones if `public_only`."""
    loop = asyncio.get_running_loop()
    resolver = PublicResolver() if public_only else Resolver()
    failed: OSError = OSError("no address")
    for each in await resolver.resolve(to.host, to.port, socket.AF_UNSPEC):
        connection = socket.socket(each["family"], socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, (each["host"], each["port"]))
        except OSError as error:
            connection.close()
            failed = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failed
