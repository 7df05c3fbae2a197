"""Config -> warnings: what a routes file may say, but hardly means. Each check yields places and messages."""

from relay.errors import Problem
from relay.routes.config import Config
from relay.routes.diagnostics import Where, path_text
from relay.routes.lint.fields import outdated_names, unknown_fields
from relay.routes.lint.notify import notified_of_nothing, notified_unencrypted, odd_receiver_secrets
from relay.routes.lint.routes import match_everything, miss_created_leads, no_catch_all, redundant
from relay.routes.lint.secrets import in_the_file, placeholders, reused_tokens, too_short, variables_without_braces
from relay.routes.lint.targets import (
    enriched_by_nothing,
    exempt_from_nothing,
    names_of_nothing,
    odd_account_secrets,
    odd_credentials,
    odd_headers,
    proxied_loopback,
    short_dedupe,
    unencrypted,
    unused,
    unused_accounts,
)
from relay.routes.lint.templates import raw_to_templates, unknown_template_fields, vain_expressions
from relay.routes.lint.values import impossible_values, whole_addresses

_CHECKS = (
    in_the_file,
    placeholders,
    too_short,
    reused_tokens,
    variables_without_braces,
    unused,
    unused_accounts,
    names_of_nothing,
    enriched_by_nothing,
    unencrypted,
    exempt_from_nothing,
    proxied_loopback,
    odd_headers,
    odd_credentials,
    odd_account_secrets,
    short_dedupe,
    notified_of_nothing,
    notified_unencrypted,
    odd_receiver_secrets,
    whole_addresses,
    unknown_fields,
    outdated_names,
    unknown_template_fields,
    raw_to_templates,
    vain_expressions,
    impossible_values,
    miss_created_leads,
    match_everything,
    redundant,
    no_catch_all,
)


def warnings(config: Config) -> list[Problem]:
    """Run every check; the warnings in file order. A file with warnings can be loaded."""
    return sorted(_warning(config, where, message) for check in _CHECKS for where, message in check(config))


def _warning(config: Config, where: Where, message: str) -> Problem:
    line, column = config.document.mark(where)
    return Problem(line, column, path_text(where), message)
