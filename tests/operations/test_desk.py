"""`relay.operations.desk`: one gate for every question and act, with the role and the mask."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import msgspec
import orjson
import pytest

from relay.errors import NotAllowed
from relay.model import State
from relay.operations.asker import Role
from relay.operations.deliveries import DELIVERIES, Deliveries
from relay.operations.desk import Desk, Operation
from relay.operations.documents.encoding import encode
from relay.operations.documents.listing import Listing
from relay.operations.masking import MASK, mask_json
from relay.operations.registry import OPERATIONS

EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@EACH
async def test_an_act_is_refused_to_a_viewer_before_anything_is_looked_at(
    viewers_desk: Desk, operation: Operation[Any, Any]
) -> None:
    if operation.role is Role.OPERATOR:
        with pytest.raises(NotAllowed):
            await viewers_desk.ask(operation, None)


@EACH
def test_names_and_places_are_told_apart(operation: Operation[Any, Any]) -> None:
    assert [each.name for each in OPERATIONS].count(operation.name) == 1
    assert [(each.method, each.path) for each in OPERATIONS].count((operation.method, operation.path)) == 1


@EACH
def test_parameters_and_documents_are_frozen_values_with_a_json_schema(operation: Operation[Any, Any]) -> None:
    for kind in (operation.parameters, operation.document):
        made = getattr(kind, "__origin__", kind)
        assert is_dataclass(made)
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(made.__new__(made), fields(made)[0].name, None) if fields(made) else made.__setattr__(0, 0, 0)
    msgspec.json.schema_components([operation.parameters, operation.document])


async def test_a_document_is_read_back_as_it_was(desk: Desk) -> None:
    listing = await desk.ask(DELIVERIES, Deliveries())
    assert len(listing.data) == 4
    assert msgspec.json.decode(encode(listing), type=DELIVERIES.document) == listing


async def test_times_are_in_utc_to_the_millisecond(desk: Desk) -> None:
    text = encode(await desk.ask(DELIVERIES, Deliveries(limit=1))).decode()
    assert '"received_at":"2026-11-22T12:00:00.000Z"' in text


async def test_a_viewer_sees_states_and_ids_but_no_error_text(desk: Desk, viewers_desk: Desk) -> None:
    asked = Deliveries(state=(State.DEAD,))
    [seen], [masked] = [(await each.ask(DELIVERIES, asked)).data for each in (desk, viewers_desk)]
    assert "400" in seen.why
    assert masked.why == f"400 {MASK}", "the status, and nothing that the target wrote"
    assert (masked.event, masked.entity_id, masked.state) == (seen.event, seen.entity_id, State.DEAD)


def test_masked_json_keeps_its_keys_its_ids_and_its_shape() -> None:
    given = {"id": 7, "status_id": 142, "name": "Ann", "price": 5, "tags": [{"id": 1, "name": "vip"}], "at": None}
    assert mask_json(given) == {
        "id": 7, "status_id": 142, "name": MASK, "price": MASK, "tags": [{"id": 1, "name": MASK}], "at": None,
    }  # fmt: skip
    assert mask_json({"client_id": "Ann"}) == {"client_id": MASK}  # an id of amoCRM is a number
    assert orjson.dumps(mask_json(["a", [1, True]])) == b'["***",["***","***"]]'


async def test_a_filter_that_finds_nothing_names_what_is_unknown(desk: Desk) -> None:
    listing = await desk.ask(DELIVERIES, Deliveries(target="warehuose"))
    assert listing == Listing(data=(), notes=("no target 'warehuose' (did you mean 'warehouse'?)",))
