"""What is sent of a document, made once however many follow."""

from relay.admin.made_once import MOST_KEPT, MadeOnce
from relay.observe.event_stream import Document


def test_one_document_is_made_once_and_an_equal_one_again() -> None:
    asked: list[Document] = []

    def make(document: Document) -> int:
        asked.append(document)
        return len(asked)

    made = MadeOnce(make)
    first, second = {"what": "probe"}, {"what": "probe"}
    assert [made(each) for each in (first, first, second, first)] == [1, 1, 2, 1]


def test_the_oldest_is_forgotten() -> None:
    made = MadeOnce(lambda _document: object())
    first: Document = {"what": "probe"}
    kept = made(first)
    others: list[Document] = [{"what": "probe"} for _ in range(MOST_KEPT)]
    for each in others[1:]:
        made(each)
    assert made(first) is kept
    made(others[0])
    assert made(first) is not kept
