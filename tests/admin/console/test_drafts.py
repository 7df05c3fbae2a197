"""`relay.admin.console.drafts`: the draft of a file in force can be used, and changes nothing by itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.admin.console.drafts import draft_of, pasted
from relay.errors import RoutesInvalid
from relay.operations.setting_changes import setting_changes
from relay.routes.config import Config, parse
from relay.routes.redaction import HIDDEN, RedactedLines

ROOT = Path(__file__).parents[3]
HARD = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets:
  bot:
    url: https://bot.example/hunter2
    headers: {X-Organisation-Access-Id: "7", "X-Another-Name-That-Is-Long":"8", X-Short: a}
    method: POST
    content_type: application/json
    body: |
      {"text": "{{ data.id }}",

       "link": "https://crm.example/leads"}
    order: entity
  folded:
    url: https://bot.example/
    headers:
      X-Folded: "https://bot.example/
        hunter2"
      X-Organisation-Access-Id: https://crm.example/
      X-Note:
        https://note.example/
    body: {first: "a text of
        {{ data.id }} https://x.example/", second: [https://y.example/,
        https://z.example/]}
  rule:
    url: ${RULE}
    content_type: text/markdown
    body: |
      ***
      *** {{ data.id }} ***
routes:
  - name: a-route-with-a-name-that-is-long
    otherwise: true
    to: [bot, folded, rule]
"""


def texts() -> Iterator[str]:
    """Every routes file of the repository: of examples, of documents and of tests."""
    yield HARD
    for path in (*(ROOT / "config").glob("*.yaml"), *(ROOT / "tests").rglob("*.yaml")):
        yield path.read_text(errors="replace")
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        yield from re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
    for path in (ROOT / "tests").rglob("*.py"):
        if "version: 1" in (source := path.read_text()):
            yield from (each.value for each in ast.walk(ast.parse(source)) if _is_text(each))  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "version: 1" in node.value


def usable() -> list[Config]:
    """Those that can be in force."""
    found = []
    for text in dict.fromkeys(texts()):
        try:
            found.append(read(text))
        except RoutesInvalid:
            continue
    return found


def read(text: str) -> Config:
    return parse(text, file="routes.yaml", env={}, stand_ins=True, sealed=True)


CONFIGS = usable()


def test_there_are_files_to_look_at() -> None:
    assert len(CONFIGS) > 30
    assert CONFIGS[0].text.decode() == HARD
    assert "\n".join(RedactedLines(CONFIGS[0].text)).count(HIDDEN) > 15


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.digest[:8])
def test_the_draft_of_a_file_in_force_can_be_used_and_changes_nothing(config: Config) -> None:
    shown = "\n".join(RedactedLines(config.text))
    for text in (draft_of(shown).text, pasted(shown)):
        draft = read(text)
        assert setting_changes(config, draft, guarded=True) == ()
        assert [each.targets for each in draft.routes] == [each.targets for each in config.routes]


def test_a_hidden_text_of_several_lines_leaves_the_others_where_they_are() -> None:
    shown = "a:\n  body: ***\n    ***\n\n    ***\n  list: [***,\n    ***]\n  end: x"
    draft = draft_of(shown)
    assert draft.text.split("\n") == [
        "a:", '  body: "${MASKED_1}"', "", "", "", '  list: ["${MASKED_2}",', '    "${MASKED_3}"]', "  end: x",
    ]  # fmt: skip
    assert draft.masked == [2, 3, 5, 6, 7]
