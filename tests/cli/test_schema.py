"""`relay schema`: the files themselves."""

import json

import pytest
from jsonschema import Draft202012Validator

from tests.cli.conftest import Run


@pytest.mark.parametrize("name", ["routes", "event"])
def test_what_is_printed_is_a_json_schema(run: Run, name: str) -> None:
    Draft202012Validator.check_schema(json.loads(run("schema", name).stdout))


def test_no_other_schema_is_known(run: Run) -> None:
    assert run("schema", "webhook").exit_code == 2
