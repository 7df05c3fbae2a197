"""Warnings about a routes file that are met most, for `sentences`: the others stay in English."""

from relay.operations.translatable import N_

LINT_SENTENCES = (
    N_("no route names it"),
    N_("matches every event: {detail}"),
    N_("redundant: {other} on line {n} sends the same events to the same targets"),
    N_("events that no route matches are not delivered: add a route with otherwise: true"),
    N_("a lead created in the stage arrives as add and does not match: write {detail}"),
    N_("no source has it: write account: {name} at the source it posts to"),
    N_("are looked up in amoCRM, and no source has an account: always empty"),
    N_("is fetched from amoCRM, and no source has an account: always null"),
    N_("http to another machine can be read on the way: use https"),
    N_("http to another machine shows it the client_secret: use https"),
    N_("no target has a proxy: write proxy, too"),
    N_("the target has no proxy: write proxy, too"),
    N_("the proxy would look for it on its own machine: add its host to no_proxy"),
    N_("amoCRM is not known to send the field {other} {sentence}"),
    N_("amoCRM is not known to send the field {other}"),
    N_("amoCRM is not known to send the entity {other} {sentence}"),
    N_("amoCRM is not known to send the action {other} {sentence}"),
    N_("never matches: a field that is absent has no value"),
    N_("never matches: no number is in this range"),
    N_("never matches: a company's events have the entity 'companies'"),
)
