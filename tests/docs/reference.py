"""The JSON Schema of the routes file, click's commands and the flow's picture -> the generated parts of docs/.

.venv/bin/python -m tests.docs.reference        rewrites them; test_reference.py holds them equal
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click

import relay as package
from relay.cli import COMMANDS, relay
from relay.routes.schema import schema
from tests.docs.pages import ROOT

KEY_EXAMPLES: Mapping[str, str] = {
    "version": "1",
    "accounts": "{main: {host: example.amocrm.ru, token: '${file:/etc/relay/secrets/amocrm}'}}",
    "accounts.NAME.host": "example.amocrm.ru",
    "accounts.NAME.token": "${file:/etc/relay/secrets/amocrm}",
    "accounts.NAME.oauth": "{client_id: 0c4f, client_secret: '${OAUTH}', redirect_uri: 'https://example.com/'}",
    "accounts.NAME.oauth.client_id": "0c4f1f3e-0000-0000-0000-000000000000",
    "accounts.NAME.oauth.client_secret": "${file:/etc/relay/secrets/oauth}",
    "accounts.NAME.oauth.redirect_uri": "https://example.com/",
    "accounts.NAME.names": "names.json",
    "sources": "{crm: {token: '${file:/etc/relay/secrets/crm_token}'}}",
    "sources.NAME.token": "${file:/etc/relay/secrets/crm_token}",
    "sources.NAME.accounts": "[29085955, example]",
    "sources.NAME.dedupe": "1h",
    "sources.NAME.account": "main",
    "sources.NAME.guard": "{reenable: true, url: 'https://hooks.example.com'}",
    "sources.NAME.guard.reenable": "true",
    "sources.NAME.guard.url": "https://hooks.example.com",
    "sources.NAME.heal": "report",
    "sources.NAME.heal.mode": "'on'",
    "sources.NAME.heal.actions": "[leads.status, leads.add]",
    "sources.NAME.heal.most": "500",
    "sources.NAME.heal.settle": "2h",
    "sources.NAME.heal.proxy": "none",
    "sources.NAME.heal.dp": "[{stage: Sales/Offer, 'on': [status], query: {try: '1'}}]",
    "sources.NAME.heal.dp[].stage": "Sales/Offer",
    "sources.NAME.heal.dp[].on": "[status, call_in]",
    "sources.NAME.heal.dp[].query": "{try: '1'}",
    "defaults": "{timeout: 5s, concurrency: 16}",
    "targets": "{warehouse: {url: 'https://dwh.example/in'}}",
    "targets.NAME.url": "https://dwh.example/in",
    "targets.NAME.method": "PUT",
    "targets.NAME.query": "{lead: '{{ data.id }}'}",
    "targets.NAME.body": "{chat_id: -1001234567890, text: 'Lead {{ data.id }}'}",
    "targets.NAME.content_type": "text/csv",
    "targets.NAME.headers": "{Authorization: 'Bearer ${file:/etc/relay/secrets/dwh_token}'}",
    "targets.NAME.secret": "${file:/etc/relay/secrets/dwh_secret}",
    "targets.NAME.tls": "{ca: /etc/relay/ca.pem}",
    "targets.NAME.tls.ca": "/etc/relay/ca.pem",
    "targets.NAME.tls.cert": "/etc/relay/client.pem",
    "targets.NAME.tls.key": "/etc/relay/client.key",
    "targets.NAME.ok_if": "'{{ answer.ok }}'",
    "targets.NAME.retry_after": "'{{ answer.parameters.retry_after }}'",
    "targets.NAME.names": "true",
    "targets.NAME.enrich": "[lead, contacts]",
    "targets.NAME.enrich.lead": "[name, price]",
    "targets.NAME.enrich.contacts": "[name, PHONE]",
    "targets.NAME.enrich.company": "[name]",
    "targets.NAME.oauth2": "{token_url: 'https://id.example/token', client_id: relay, client_secret: '${OAUTH}'}",
    "targets.NAME.oauth2.token_url": "https://id.example/token",
    "targets.NAME.oauth2.client_id": "relay",
    "targets.NAME.oauth2.client_secret": "${file:/etc/relay/secrets/oauth}",
    "targets.NAME.oauth2.scope": "hooks",
    "targets.NAME.oauth2.auth": "body",
    "targets.NAME.timeout": "5s",
    "targets.NAME.concurrency": "64",
    "targets.NAME.retry": "{initial: 2s, max: 1h, max_age: 3d}",
    "targets.NAME.retry.initial": "5s",
    "targets.NAME.retry.factor": "1.5",
    "targets.NAME.retry.max": "30m",
    "targets.NAME.retry.jitter": "10%",
    "targets.NAME.retry.max_age": "1d",
    "targets.NAME.retry.schedule": "[5s, 5m, 30m, 2h]",
    "targets.NAME.retry.attempts": "7",
    "targets.NAME.breaker": "{failures: 5}",
    "targets.NAME.breaker.failures": "5",
    "targets.NAME.dead_on": "[400, 404, 410]",
    "targets.NAME.ok_on": "[302]",
    "targets.NAME.order": "entity",
    "targets.NAME.rate": "50/s",
    "targets.NAME.format": "cloudevents",
    "targets.NAME.proxy": "http://relay:${PROXY_PASSWORD}@proxy.example:3128",
    "targets.NAME.no_proxy": "[.internal.example, 10.0.0.0/8]",
    "targets.NAME.deny_private": "true",
    "targets.NAME.heal": "mark",
    "targets.NAME.batch": "{most: 100, within: 2s}",
    "targets.NAME.batch.most": "500",
    "targets.NAME.batch.within": "10s",
    "retention": "{delivered: 7d}",
    "retention.delivered": "7d",
    "retention.dead": "forever",
    "retention.unrouted": "7d",
    "retention.unparsed": "30d",
    "retention.archive": "/var/lib/relay/archive",
    "notify": "[{to: {slack: {url: '${SLACK_URL}'}}, 'on': [target_open, target_closed, dead]}]",
    "notify[].to": "{slack: {url: '${SLACK_URL}'}}",
    "notify[].to.telegram": "{token: '${file:/run/secrets/tg}', chat_id: -1001234567890}",
    "notify[].to.telegram.token": "${file:/run/secrets/tg}",
    "notify[].to.telegram.chat_id": "-1001234567890",
    "notify[].to.telegram.thread": "17",
    "notify[].to.telegram.api": "http://127.0.0.1:8081",
    "notify[].to.mail": "{smtp: smtp.example.com, from: relay@example.com, to: oncall@example.com}",
    "notify[].to.mail.smtp": "smtp.example.com:587",
    "notify[].to.mail.user": "relay@example.com",
    "notify[].to.mail.password": "${file:/run/secrets/smtp}",
    "notify[].to.mail.encryption": "implicit",
    "notify[].to.mail.from": "relay@example.com",
    "notify[].to.mail.to": "[oncall@example.com, it@example.com]",
    "notify[].to.slack": "{url: '${SLACK_URL}'}",
    "notify[].to.slack.url": "${SLACK_URL}",
    "notify[].to.webhook": "{url: 'https://alerts.example/in'}",
    "notify[].to.webhook.url": "https://alerts.example/in",
    "notify[].to.webhook.headers": "{Authorization: 'Bearer ${ALERTS_TOKEN}'}",
    "notify[].to.webhook.body": "{message: '{{ text }}', url: '{{ link }}'}",
    "notify[].name": "ООО Ромашка",
    "notify[].on": "[target_open, target_closed, dead]",
    "notify[].silence": "{crm: 6h}",
    "notify[].quiet": "{from: '22:00', to: '08:00', except: [disk, guard]}",
    "notify[].quiet.from": "'22:00'",
    "notify[].quiet.to": "'08:00'",
    "notify[].quiet.except": "[disk, guard]",
    "notify[].language": "ru",
    "notify[].tls": "{ca: /etc/relay/ca.pem}",
    "notify[].tls.ca": "/etc/relay/ca.pem",
    "notify[].tls.cert": "/etc/relay/client.pem",
    "notify[].tls.key": "/etc/relay/client.key",
    "notify[].proxy": "http://proxy.example:3128",
    "notify[].no_proxy": "[.internal.example]",
    "notify[].deny_private": "true",
    "routes": "[{name: all, match: {entity: {exists: true}}, to: warehouse}]",
    "routes[].name": "offer-made",
    "routes[].match": "{entity: leads, action: [status, add]}",
    "routes[].otherwise": "true",
    "routes[].unparsed": "true",
    "routes[].to": "[sales-bot, warehouse]",
    "tests": "[{name: a lead, event: {entity: leads, action: add}, expect: {targets: warehouse}}]",
    "tests[].name": "an offer reaches both",
    "tests[].event": "{entity: leads, action: add, data: {id: 1}}",
    "tests[].event.entity": "leads",
    "tests[].event.action": "status",
    "tests[].event.source": "crm",
    "tests[].event.account": "29085955",
    "tests[].event.query": "{try: '1'}",
    "tests[].event.heal": "{exactness: state}",
    "tests[].event.heal.exactness": "approximate",
    "tests[].event.heal.reason": "missing",
    "tests[].event.heal.stale": "true",
    "tests[].event.data": "{id: 1, status_id: 142}",
    "tests[].expect": "{targets: [], routes: []}",
    "tests[].expect.targets": "[sales-bot, warehouse]",
    "tests[].expect.routes": "offer-made",
    "tests[].expect.requests": "{telegram: {body: {chat_id: 5, text: Lead 7}}}",
    "tests[].expect.requests.NAME.method": "PUT",
    "tests[].expect.requests.NAME.url": "https://dwh.example/in?lead=7",
    "tests[].expect.requests.NAME.headers": "{X-Lead: '7'}",
    "tests[].expect.requests.NAME.body": "{chat_id: 5, text: Lead 7}",
}
"""YAML of each key of the routes file; a test shows that the schema takes it."""

FLAG_EXAMPLES: Mapping[str, str] = {
    "--from": "sqlite:///relay.db",
    "--also": "leads/4831596",
    "--access": "/var/lib/relay/access.json",
    "--account": "29085955/example",
    "--action": "status",
    "--admin": "127.0.0.1:9081",
    "--admin-url": "https://relay.example",
    "--after": "CURSOR",
    "--ballast": "134217728",
    "--before": "CURSOR",
    "--body FILE": "body.form",
    "--charset": "cp1251",
    "--code": "https://relay.example/oauth?code=def50200",
    "--config": "/etc/relay/routes.yaml",
    "--count": "10",
    "--delay": "20s",
    "--diff": "routes.yaml",
    "--entity": "leads",
    "--event": "leads.status",
    "--expires": "90d",
    "--fail-first": "2",
    "--id": "4831596",
    "--limit": "200",
    "--listen": "0.0.0.0:8080",
    "--http-client": "plain",
    "--log-format": "json",
    "--log-level": "debug",
    "--match": "{entity: leads}",
    "--max-body": "1048576",
    "--older-than": "7d",
    "--archive": "/var/lib/relay/archive",
    "--pipeline": "752662",
    "--query": "try=1",
    "--rate": "50/s",
    "--reason": "upgrade",
    "--reason WORD": "5xx",
    "--recipe": "telegram",
    "--who": "olga",
    "--command": "replay",
    "--to N": "2",
    "--to": "https://crm-events.example/in",
    "--host": "hooks.example.com",
    "--keep": "7d",
    "--relay": "https://relay.example",
    "--retry-after": "5",
    "--role": "viewer",
    "--route": "offer-made",
    "--set": "pipeline_id=752662",
    "--settled-since": "yesterday",
    "--settled-until": "1h",
    "--since": "2h",
    "--slower": "2s",
    "--source": "crm",
    "--state": "dead",
    "--status": "503",
    "--spool": "/var/lib/relay/relay-spool.db",
    "--store": "sqlite:////var/lib/relay/relay.db",
    "--target": "warehouse",
    "--tls-cert": "/etc/relay/tls.pem",
    "--tls-key": "/etc/relay/tls.key",
    "--token": "2",
    "--trusted-proxy": "10.0.0.0/8",
    "--until": "yesterday",
    "--url": "https://relay.example/hooks/crm/TOKEN",
}
"""A value of each flag that takes one; where two commands have flags of one name, `--name METAVAR` goes before."""

OTHER_VARIABLES: Mapping[str, tuple[str, str, str, str]] = {
    "RELAY_ADMIN_TOKEN": (
        "text of at least 20 characters",
        "–",
        "output of `openssl rand -hex 32`",
        "`run`: an operator's token of the admin listener, required beyond loopback. `tail`, `forward`: what they show",
    ),
    "RELAY_VIEWER_TOKEN": (
        "text of at least 20 characters",
        "–",
        "output of `openssl rand -hex 32`",
        "`run`: lets a viewer ask the admin listener",
    ),
    "RELAY_TOKEN": (
        "text",
        "–",
        "output of `relay access add`",
        "commands with `--relay`: the token that they show; `tail`, `forward`: if RELAY_ADMIN_TOKEN is not set",
    ),
    "RELAY_CA": (
        "path",
        "the system's",
        "`/etc/ssl/relay-ca.pem`",
        "commands with `--relay`: the authority of `https`",
    ),
    "TZ": (
        "zone",
        "the machine's",
        "`Europe/Moscow`",
        "all: the zone of times that people read and write; `--json` and the log are in UTC",
    ),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (
        "URL",
        "–",
        "`http://127.0.0.1:4318`",
        "`run`: where spans are exported to, by OTLP/HTTP; needs the extra `otel`. `OTEL_EXPORTER_OTLP_TRACES_…` wins",
    ),
    "OTEL_EXPORTER_OTLP_HEADERS": (
        "names and values, with commas between",
        "–",
        "`authorization=Bearer%20t0k3n`",
        "`run`: headers for the collector, percent-encoded",
    ),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": (
        "path",
        "the system's",
        "`/etc/ssl/collector.pem`",
        "`run`: the CA of the collector's certificate",
    ),
    "OTEL_EXPORTER_OTLP_COMPRESSION": ("`gzip`, `none`", "`none`", "`gzip`", "`run`: of what is sent to the collector"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": (
        "`http/protobuf`",
        "`http/protobuf`",
        "`http/protobuf`",
        "`run`: with another, no span is exported",
    ),
    "OTEL_SDK_DISABLED": ("`true`, `false`", "`false`", "`true`", "`run`: `true` exports no span"),
    "OTEL_TRACES_EXPORTER": ("`otlp`, `none`", "`otlp`", "`none`", "`run`: `none` exports no span"),
    "OTEL_SERVICE_NAME": ("text", "`amocrm-relay`", "`hooks`", "`run`: `service.name` of the spans"),
    "OTEL_RESOURCE_ATTRIBUTES": (
        "names and values, with commas between",
        "–",
        "`deployment.environment.name=test`",
        "`run`: what else each span says of this process",
    ),
    "LISTEN_FDS": ("number", "–", "`1`", "`run`: set by systemd, how many sockets it passes"),
    "LISTEN_FDNAMES": ("names, `:` between", "–", "`public:admin`", "`run`: set by systemd, which socket is which"),
    "LISTEN_PID": ("number", "–", "`4711`", "`run`: set by systemd, whose sockets they are"),
    "NOTIFY_SOCKET": ("path", "–", "`/run/systemd/notify`", "`run`: set by systemd, told when ready and when stopping"),
}
"""Variable -> its type, default, example and meaning, where no flag stands beside it."""


# ---- the routes file

_TYPES = {
    "duration": "duration",
    "age": "duration, `forever`",
    "name": "name",
    "names": "name or list of names",
    "condition": "condition",
    "pem": "absolute path",
    "statuses": "list of statuses 300–599",
}
_JSON = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "array": "list",
    "object": "mapping",
    "boolean": "`true`, `false`",
}


def keys() -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(path, its schema, whether it is required), as in a file: `targets.NAME.url`."""
    whole = schema()
    yield from _below(whole, whole, "")


def _below(whole: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for key, value in part.get("properties", {}).items():
        here = f"{path}{key}"
        resolved = _resolved(whole, value)
        if here.startswith("defaults.") or (path.startswith("routes[].match.")):
            continue  # the keys of a target, and those of an event
        yield here, resolved, key in part.get("required", ())
        if here in ("routes[].match", "tests[].event.account"):
            continue
        if isinstance(named := resolved.get("additionalProperties"), dict) and "$ref" in named:
            yield from _below(whole, _resolved(whole, named), f"{here}.NAME.")
        elif resolved.get("type") == "array" and "$ref" in resolved["items"]:
            yield from _below(whole, _resolved(whole, resolved["items"]), f"{here}[].")
        else:
            yield from _below(whole, resolved, f"{here}.")


def _resolved(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """With what `$ref` names under its own keys, and every name on the way in `is`."""
    if "$ref" not in part:
        return part
    name = part["$ref"].rpartition("/")[2]
    below = _resolved(whole, whole["$defs"][name])
    own = {key: value for key, value in part.items() if key != "$ref"}
    return {**below, **own, "is": [name, *below.get("is", [])]}


def key_type(part: dict[str, Any]) -> str:
    """In words."""
    for name in part.get("is", ()):
        if name in _TYPES:
            return _TYPES[name]
    if "enum" in part:
        return ", ".join(f"`{each}`" for each in part["enum"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if part.get("pattern", "").startswith("^(0|[1-9][0-9]?|100)%"):
        return "percentage"
    if part.get("pattern", "").endswith("/[smh]$|^.*\\$\\{.*$"):
        return "rate"
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    if kinds == ["string", "array"]:
        return f"text or list of up to {part['maxItems']}"
    bounds = f" {part['minimum']}–{part['maximum']}" if "maximum" in part else ""
    return " or ".join(_JSON[kind] for kind in kinds) + bounds


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _yaml(value: Any) -> str:
    return f"`{json.dumps(value) if isinstance(value, (list, bool)) else value}`"


def routes_table() -> str:
    """Each key with type, default, example and meaning."""
    rows = ["| key | type | default | example | meaning |", "|---|---|---|---|---|"]
    for path, part, required in keys():
        default = _yaml(part["default"]) if "default" in part else "required" if required else "–"
        meaning = part.get("description", "")
        rows.append(f"| `{path}` | {key_type(part)} | {default} | `{KEY_EXAMPLES[path]}` | {_cell(meaning)} |")
    return "\n".join(rows) + "\n"


# ---- the command line


_FLAG_HEADING = ("| flag | type | default | example | variable | meaning |", "|---|---|---|---|---|---|")


def all_commands() -> dict[str, click.Command]:
    """By name, in the order of the help."""
    found: dict[str, click.Command] = {}
    for group in COMMANDS.values():
        for name in group:
            command = relay.get_command(click.Context(relay), name)
            assert command
            found[name] = command
            if isinstance(command, click.Group):
                found |= {f"{name} {each}": sub for each, sub in command.commands.items()}
    return found


def flags(command: click.Command) -> list[click.Option]:
    """All but --help and other forms of a flag."""
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def flag_name(option: click.Option) -> str:
    """`--config`."""
    return next(each for each in option.opts if each.startswith("--"))


def flag_type(option: click.Option) -> str:
    """In words: its choices, or its metavar."""
    if option.is_flag:
        return "switch"
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{each}`" for each in option.type.choices)
    text = str(option.metavar or option.type.name.upper())
    low, high = getattr(option.type, "min", None), getattr(option.type, "max", None)
    if low is not None:
        text += f" {low}–{high}" if high is not None else f" from {low}"
    return text + (", repeatable" if option.multiple else "")


def flag_default(option: click.Option) -> str:
    """As it is written on the command line."""
    default = option.to_info_dict()["default"]
    if isinstance(option.show_default, str):  # it depends on the machine
        return f"`{option.show_default}`"
    if _off(option):
        return "on" if option.default else "off"
    if option.is_flag or default in (None, "", (), []) or not isinstance(default, str | int | float):
        return "–"
    return f"`{default}`"


def flag_example(option: click.Option) -> str:
    """`--limit 200`."""
    name = flag_name(option)
    if option.is_flag:
        return f"`{_off(option) or name}`"
    return f"`{name} {value_example(option)}`"


def _off(option: click.Option) -> str | None:
    """`--no-console` of a switch that has two names."""
    return next(iter(option.secondary_opts), None)


def value_example(option: click.Option) -> str:
    """What stands behind the flag."""
    name = flag_name(option)
    if _off(option):
        return "0"
    own = FLAG_EXAMPLES.get(f"{name} {option.metavar}") or FLAG_EXAMPLES.get(name)
    if own is None and isinstance(option.type, click.Choice):
        return str(option.type.choices[-1])
    assert own, f"give {name} an example in FLAG_EXAMPLES"
    return own


def commands_tables() -> str:
    """One table a command."""
    parts = []
    for name, command in all_commands().items():
        arguments = " ".join(str(each.make_metavar(click.Context(command))) for each in command.params
                             if isinstance(each, click.Argument))  # fmt: skip
        parts += [f"### relay {name}", "", f"`relay {name} {arguments}`".replace(" `", "`"), ""]
        parts += [first_line(command), ""]
        rows = [_flag_row(option) for option in flags(command)]
        parts += [*_FLAG_HEADING, *rows, ""] if rows else ["It has no flags.", ""]
    return "\n".join(parts)


def _flag_row(option: click.Option) -> str:
    spelled = ", ".join(f"`{each}`" for each in [*reversed(option.opts), *option.secondary_opts])
    variable = f"`{option.envvar}`" if option.envvar else "–"
    cells = (spelled, flag_type(option), flag_default(option), flag_example(option), variable, option.help or "")
    return f"| {' | '.join(_cell(each) for each in cells)} |"


def first_line(command: click.Command) -> str:
    """Of its help."""
    return (command.help or "").split("\n")[0]


def variables_table() -> str:
    """Each variable with type, default, example, and the flag that it stands for."""
    rows = ["| variable | type | default | example | meaning |", "|---|---|---|---|---|"]
    found: dict[str, tuple[click.Option, list[str]]] = {}
    for name, command in all_commands().items():
        for option in flags(command):
            if option.envvar:
                found.setdefault(str(option.envvar), (option, []))[1].append(f"`{name}`")
    for variable, (option, users) in found.items():
        meaning = f"the flag `{flag_name(option)}` of {', '.join(users)}"
        kind = flag_type(option).replace(", repeatable", ", several with commas or blanks between them")
        rows.append(
            f"| `{variable}` | {kind} | {flag_default(option)} | `{value_example(option)}` | {_cell(meaning)} |"
        )
    for variable, (kind, default, example, meaning) in OTHER_VARIABLES.items():
        rows.append(f"| `{variable}` | {kind} | {default} | {example} | {meaning} |")
    return "\n".join(rows) + "\n"


# ---- the flow


def flow() -> str:
    """The docstring of `relay` without its first line; what is indented there is a picture."""
    text = (package.__doc__ or "").partition("\n")[2].strip("\n")
    pictures = re.sub(r"(?:^    .*\n|^\n(?=    ))+", _picture, f"{text}\n", flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", pictures)


def _picture(lines: re.Match[str]) -> str:
    return "\n```\n" + textwrap.dedent(lines[0]).strip("\n") + "\n```\n"


# ---- the pages

GENERATED = {
    ("docs/configuration.md", "routes"): routes_table,
    ("docs/configuration.md", "commands"): commands_tables,
    ("docs/configuration.md", "variables"): variables_table,
    ("docs/architecture.md", "flow"): flow,
}
"""(page, part) -> what makes the part; it stands between `<!-- generated: part -->` and `<!-- end -->`."""


def part(page: str, name: str) -> str:
    """The part as the page has it."""
    text = (ROOT / page).read_text("utf-8")
    return text.partition(f"<!-- generated: {name} -->\n")[2].partition("<!-- end -->")[0].strip("\n")


def write() -> None:
    """Every generated part anew."""
    for (page, name), made in GENERATED.items():
        text = (ROOT / page).read_text("utf-8")
        before, start, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert start and end, (page, name)
        new = made().strip("\n")
        (ROOT / page).write_text(f"{before}{start}\n{new}\n\n{end}{after}", "utf-8")


if __name__ == "__main__":
    write()
