from __future__ import annotations

import numpy as np

from labkit.load import transport
from labkit.load.outcomes import Outcome
from labkit.load.transport import ANSWER_LEFT_OUT, NO_ANSWER_KEPT, Ledger


def ledger(keep):
    return Ledger(np.arange(4), np.zeros(4, np.int16), np.zeros(4, np.int32), [keep])


def test_a_request_ends_once():
    book = ledger(keep=False)
    book.finish(0, Outcome.TIMEOUT)
    book.finish(0, Outcome.OK, 200)
    assert book.outcome[0] == Outcome.TIMEOUT
    assert (book.finished, book.misses) == (1, 1)


def test_distinct_answers_are_kept_once():
    book = ledger(keep=True)
    for index, body in enumerate((b"a", b"b", b"a")):
        book.finish(index, Outcome.OK, 200, body)
    assert book.answers == [b"a", b"b"]
    assert list(book.answer[:3]) == [0, 1, 0]


def test_answers_without_a_check_are_not_kept():
    book = ledger(keep=False)
    book.finish(0, Outcome.OK, 200, b"a")
    assert book.answers == []
    assert book.answer[0] == NO_ANSWER_KEPT


def test_answers_beyond_the_room_are_marked(monkeypatch):
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 3)
    book = ledger(keep=True)
    book.finish(0, Outcome.OK, 200, b"aaa")
    book.finish(1, Outcome.OK, 200, b"bbb")
    book.finish(2, Outcome.OK, 200, b"aaa")
    assert list(book.answer[:3]) == [0, ANSWER_LEFT_OUT, 0]


def test_a_right_answer_can_be_spoiled_but_no_miss_counted_twice():
    book = ledger(keep=False)
    book.finish(0, Outcome.OK, 200)
    book.spoil(0)
    book.spoil(0)
    assert book.outcome[0] == Outcome.BROKEN
    assert book.misses == 1
