"""Config -> warnings about values that a field never has."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from relay.amocrm.vocabulary import ACTIONS, AMOUNTS, ENTITIES, IDS, STAGE_ACTIONS, STAGED, TIMES, WON_AND_LOST
from relay.routes.conditions import ORDERINGS, Condition
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, Where, quoted, suggestion
from relay.routes.fields import EVENT_FIELDS, as_text, data_path, is_custom, is_status
from relay.routes.match import Route

LONGEST_ID = 12
"""Digits: amoCRM's ids have 10 at most (2026)."""
LONGEST_TIME = 11
"""Digits of Unix seconds until the year 5138; milliseconds have 13."""

_ADDRESS = re.compile(r"(?:https?://)?([A-Za-z0-9-]+)(?:\.[A-Za-z0-9-]+)+(?:[:/].*)?", re.DOTALL)
_ACCOUNT_FIELDS = ("account", "account.subdomain")
_COMPARISON = re.compile(r"(>=|<=|=>|=<|≥|≤|!=|<>|==|>|<|=)\s*(\S.*)", re.DOTALL)
_OPERATORS = {
    ">": "gt", ">=": "gte", "=>": "gte", "≥": "gte", "<": "lt", "<=": "lte", "=<": "lte", "≤": "lte",
    "!=": "not", "<>": "not",
}  # fmt: skip
_ORDERED = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DIGITS = re.compile("[0-9]+")


def whole_addresses(config: Config) -> Iterator[Finding]:
    """Accounts given by their address: `example.amocrm.ru` never arrives, only `example` or the id."""
    for where in _account_places(config):
        for each in operands(config, where):
            if each.operator in ("", "not") and (address := _ADDRESS.fullmatch(each.text)):
                said = f"an account is named by its id or subdomain, never {quoted(each.text)}"
                yield each.where, f"{said}: write {address[1].lower()}"


def _account_places(config: Config) -> Iterator[Where]:
    for name in config.sources:
        if config.document.has(("sources", name, "accounts")):
            yield "sources", name, "accounts"
    for position, route in enumerate(config.routes):
        for field in _ACCOUNT_FIELDS:
            if field in route.match:
                yield "routes", position, "match", field


def impossible_values(config: Config) -> Iterator[Finding]:
    """Values and conditions that no event can satisfy; one reason per place."""
    for position, route in enumerate(config.routes):
        where: Where = ("routes", position, "match")
        yield from _combination(route, where)
        for field, condition in route.match.items():
            here = (*where, field)
            if reason := _contradiction(field, condition):
                yield here, reason
            for each in operands(config, here):
                said = config.document.doubtful.get(each.where) or _impossible(config, field, each)
                if said:
                    yield each.where, said


# ---- the texts of a condition, one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A text that a field is compared with; `operator` is empty for a plain value."""

    where: Where
    operator: str
    text: str

    @property
    def consequence(self) -> str:
        """What the condition does if no value can be that text."""
        return "always holds" if self.operator == "not" else "never matches"


def operands(config: Config, where: Where) -> Iterator[Operand]:
    """The texts that the condition at `where` compares with, except those of variables, which may be secret."""
    value = config.document.at(where)
    if not isinstance(value, Mapping):
        yield from _texts(config, where, "")
        return
    for operator in ("not", "like", *ORDERINGS):
        if operator in value:
            yield from _texts(config, (*where, operator), operator)


def _texts(config: Config, where: Where, operator: str) -> Iterator[Operand]:
    value = config.document.at(where)
    for place in [(*where, index) for index in range(len(value))] if isinstance(value, list) else [where]:
        if place not in config.document.written:
            yield Operand(where=place, operator=operator, text=as_text(config.document.at(place)))


# ---- one value


def _impossible(config: Config, field: str, each: Operand) -> str | None:
    if each.operator in ("", "not") and (said := _operator_as_text(each)):
        return said
    if said := _word(config, field, each):
        return said
    if is_custom(field) or field.startswith("query."):
        return None
    if is_status(field):
        return _status(each)
    return _number(data_path(field), each) if field != "account" else None


def _word(config: Config, field: str, each: Operand) -> str | None:
    if each.operator not in ("", "not"):
        return None
    match field:
        case "source" if each.text not in config.sources:
            return f"no source {quoted(each.text)} {suggestion(each.text, sorted(config.sources))}"
        case "entity" if each.text not in ENTITIES:
            return _unknown_word("entity", each.text, ENTITIES)
        case "action" if each.text not in ACTIONS:
            return _unknown_word("action", each.text, ACTIONS)
        case "type":
            return _type(each)
    return None


def _unknown_word(kind: str, text: str, known: Collection[str]) -> str:
    parts = re.split(r"[\s,;|/]+", text)
    if len(parts) > 1 and all(part in known for part in parts):
        return f"never matches: a list is written [{', '.join(parts)}]"
    return f"amoCRM is not known to send the {kind} {quoted(text)} {suggestion(text, sorted(known))}"


def _type(each: Operand) -> str | None:
    """The type of an event has a dot; without one it is the `type` in `data`, which may be any text."""
    entity, dot, action = each.text.partition(".")
    if not dot:
        kind = "entity" if each.text in ENTITIES else "action" if each.text in ACTIONS else None
        return f"{each.consequence}: write {kind}: {each.text}, or the whole type, like leads.status" if kind else None
    if entity not in ENTITIES:
        return _unknown_word("entity", entity, ENTITIES)
    return _unknown_word("action", action, ACTIONS) if action not in ACTIONS else None


def _operator_as_text(each: Operand) -> str | None:
    if compared := _COMPARISON.fullmatch(each.text):
        sign, rest = compared[1], compared[2]
        if (operator := _OPERATORS.get(sign)) == "not" or (operator and _ORDERED.fullmatch(rest)):
            return f"is compared as text, sign and all: write {{{operator}: {rest[:40]}}}"
        return f"is compared as text, sign and all: write {rest[:40]}" if operator is None else None
    if each.text == "*":
        return f"{each.consequence} but for a text that is a star: write {{exists: {str(not each.operator).lower()}}}"
    if each.text.endswith("*") or each.text.startswith("*"):
        return f'{each.consequence} but for a text with that star: write {{like: "{each.text[:40]}"}}'
    return None


def _status(each: Operand) -> str | None:
    if each.text in WON_AND_LOST and each.operator in ("", "not"):
        return None
    text = each.text.replace("*", "") if each.operator == "like" else each.text
    if text and not _DIGITS.fullmatch(text):
        return f"a status is a number, won or lost, never {quoted(each.text)}{_list_advice(each.text)}"
    return _implausible(each, LONGEST_ID, "an id")


def _number(name: str, each: Operand) -> str | None:
    text = each.text.replace("*", "") if each.operator == "like" else each.text
    if name in IDS or name in ("tags.id", "custom_fields.id", "account.id"):
        if text and not _DIGITS.fullmatch(text) and not (each.operator and _ORDERED.fullmatch(text)):
            return f"this field holds ids, never {quoted(each.text)}: write the number{_list_advice(each.text)}"
        return _implausible(each, LONGEST_ID, "an id")
    if name in TIMES:
        if text and not _DIGITS.fullmatch(text):
            return f"this field holds Unix seconds, never {quoted(each.text)}: write {{gt: 1764000000}}"
        return _implausible(each, LONGEST_TIME, "Unix seconds")
    if name in AMOUNTS and each.operator in ("", "not") and text and not _ORDERED.fullmatch(text):
        return f"this field holds plain numbers, never {quoted(each.text)}"
    if name == "id" and each.operator in ("", "not"):
        if not _DIGITS.fullmatch(text) and not _UUID.fullmatch(text):
            return f"an id is a number, or a message's UUID, never {quoted(each.text)}{_list_advice(each.text)}"
        return _implausible(each, LONGEST_ID, "an id")
    return None


def _implausible(each: Operand, longest: int, what: str) -> str | None:
    if each.operator == "like" or not _DIGITS.fullmatch(each.text):
        return None
    if len(each.text) > longest:
        hint = ": these look like milliseconds" if what == "Unix seconds" and len(each.text) == 13 else ""
        return f"{what} of {len(each.text)} digits never arrives{hint}"
    if len(each.text) > 1 and each.text.startswith("0"):
        return f"{what} never arrives with a zero in front: write {each.text.lstrip('0') or 0}"
    return None


def _list_advice(text: str) -> str:
    parts = re.split(r"[\s,;|]+", text)
    good = len(parts) > 1 and all(_DIGITS.fullmatch(part) for part in parts)
    return f" (a list is written [{', '.join(parts[:3])}{', …' if len(parts) > 3 else ''}])" if good else ""


# ---- a whole condition, and several together


def _contradiction(field: str, condition: Condition) -> str | None:
    if condition.exists is False and field in EVENT_FIELDS:
        more = ": write data.type for the type in its data" if field == "type" else ""
        return f"never matches: every event has {'an' if field[0] in 'ae' else 'a'} {field}{more}"
    if condition.exists is False and condition.requires_a_value:
        return "never matches: a field that is absent has no value"
    bounds = dict(condition.bounds)
    lowest = max((bounds[name] for name in ("gt", "gte") if name in bounds), default=Decimal("-Infinity"))
    highest = min((bounds[name] for name in ("lt", "lte") if name in bounds), default=Decimal("Infinity"))
    strict = bounds.get("gt") == lowest or bounds.get("lt") == highest
    if lowest > highest or (lowest == highest and strict):
        return "never matches: no number is in this range"
    return None


def _combination(route: Route, where: Where) -> Iterator[Finding]:
    entities, actions = _any_of(route.match, "entity"), _any_of(route.match, "action")
    for field in ("type", "data.type"):
        if entities == {"contacts"} and _any_of(route.match, field) == {"company"}:
            yield (*where, field), "never matches: a company's events have the entity 'companies'"
    if entities and actions and actions <= STAGE_ACTIONS and entities <= ENTITIES - STAGED:
        pair = f"{min(entities)}.{min(actions)}"
        yield (*where, "action"), f"amoCRM is not known to send {pair}: only leads and customers have stages"


def _any_of(match: Mapping[str, Condition], field: str) -> frozenset[str]:
    return (match[field].any_of or frozenset()) if field in match else frozenset()
