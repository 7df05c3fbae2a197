"""README.md and docs/ -> their blocks, commands, headings, anchors and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from relay.cli import relay

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)


def name(page: Path) -> str:
    """`docs/guides/proxy.md`."""
    return page.relative_to(ROOT).as_posix()


def read(page: str) -> str:
    """The text of `README.md` or `docs/routes.md`."""
    return (ROOT / page).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands below `## Heading`, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{text}".partition(f"\n{heading}\n")
    assert found, heading
    lines: list[str] = []
    fenced = False
    for line in rest.splitlines():
        fenced ^= line.startswith("```")
        if not fenced and re.match(rf"#{{1,{level}}} ", line):
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of its `sh` blocks, without their comments; a line that ends with a backslash goes on."""
    lines = "".join(blocks(text, "sh")).replace("\\\n", "").splitlines()
    return [command for line in lines if (command := line.split("  #")[0].strip()) and not command.startswith("#")]


def without_code(text: str) -> str:
    """The text without its fenced blocks and its indented commands."""
    return re.sub(r"^```.*?^```$|^    .*$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)}


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-")


def relay_commands(text: str) -> list[list[str]]:
    """The words of what the text has as `relay …` within its sentences."""
    prose = re.sub(r"\s+", " ", without_code(text))
    return [shlex.split(found) for found in re.findall(r"`relay ([a-z][^`…]*)`", prose)]


def assert_parses(words: list[str]) -> None:
    """The command is there, and has such options."""
    command, rest = relay, words
    while isinstance(command, click.Group) and rest:
        command, *rest = command.get_command(click.Context(command), rest[0]), *rest[1:]
    assert command, words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"} <= options, words


def links(text: str) -> Iterator[tuple[str, str]]:
    """(path, anchor) of each link within the project; either may be empty."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield path, anchor
