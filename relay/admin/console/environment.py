"""The environment of all templates. As a program, `python -m relay.admin.console.environment`, it prints their code."""

import marshal
import signal
import sys

import aiohttp_jinja2
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from relay.admin.console import filters
from relay.admin.console.compiled import InMemory, load
from relay.admin.console.figures import age_word, number
from relay.admin.console.finding_words import finding_advice, finding_title
from relay.admin.console.languages import gettext, ngettext
from relay.admin.console.moments import moment_of
from relay.admin.console.page import link, new_key
from relay.admin.console.sentences import said, said_of_file
from relay.admin.console.site import navigation
from relay.admin.console.static import Static
from relay.admin.console.words import (
    COMMANDS,
    about_word,
    act_word,
    action_word,
    detail_name,
    detail_word,
    entity_word,
    filter_name,
    filter_word,
    only_word,
    state_kind,
    state_word,
    type_word,
    who_word,
)
from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.operations.failing import how_it_fails


def set_up(app: web.Application, static: Static, memory: InMemory) -> Environment:
    """Give the application its templates, with the filters and functions that they use."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=PackageLoader("relay.admin.console"),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        bytecode_cache=memory,
        auto_reload=False,
        finalize=filters.harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=filters.age,
        count=filters.count,
        how_it_fails=how_it_fails,
        instant=filters.instant,
        json=filters.json,
        number=number,
        said=said,
        said_of_file=said_of_file,
        size=filters.size,
        span=filters.span,
        type=type_word,
        utc=filters.utc,
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        actions=sorted(ACTIONS),
        commands=COMMANDS,
        entities=sorted(ENTITIES),
        act_word=act_word,
        age_word=age_word,
        about_word=about_word,
        action_word=action_word,
        link=link,
        navigation=navigation,
        entity_word=entity_word,
        detail_name=detail_name,
        detail_word=detail_word,
        filter_name=filter_name,
        filter_word=filter_word,
        moment_of=moment_of,
        who_word=who_word,
        new_key=new_key,
        only_word=only_word,
        said=said,
        finding_advice=finding_advice,
        finding_title=finding_title,
        state_kind=state_kind,
        state_word=state_word,
        static_url=static.url,
    )
    return environment


def main() -> None:
    """Compile the templates and print their code, for `compiled`."""
    memory = InMemory()
    load(set_up(web.Application(), Static(), memory))
    sys.stdout.buffer.write(marshal.dumps(memory.compiled))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C at the relay's terminal is no fault for its log
    main()
