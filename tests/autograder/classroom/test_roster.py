"""Rosters as people export them: accents, commas, duplicates, missing columns, other separators."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.classroom.roster import Learner, enrol, read_roster
from autograder.nbgrading.scores import open_gradebook
from labkit.errors import WorkbookError


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_accents_commas_and_quotes(tmp_path):
    path = written(
        tmp_path, 'id,first_name,last_name,email\nzoe,Zoë,"Muñoz, Ph. D.",zoe@example.org\nbo,Bo,,\n'
    )
    assert read_roster(path) == [
        Learner("zoe", "Zoë", "Muñoz, Ph. D.", "zoe@example.org"),
        Learner("bo", "Bo"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid;Last Name\nzoe;Muñoz\n",
        "Username\tLast Name\nzoe\tMuñoz\n",
        "last_name,learner\r\nMuñoz,zoe\r\n,\r\n",
    ],
)
def test_what_spreadsheets_make_of_it(tmp_path, text):
    assert read_roster(written(tmp_path, text)) == [Learner("zoe", last_name="Muñoz")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,email\nZoë,zoe@example.org\n", "has no column id"),
        ("id\nzoe\nbo\nzoe\n", "line 4: zoe stands in line 2 already"),
        ("id\n../escape\n", "line 2: '../escape' can't be an id"),
        ("id\nzoë\x07\n", "can't be an id"),
        ("id\n", "names nobody"),
        ("", "has no column id"),
    ],
)
def test_what_can_not_be_taken_is_named(tmp_path, text, says):
    with pytest.raises(WorkbookError, match=r".") as error:
        read_roster(written(tmp_path, text))
    assert says in str(error.value)


def test_another_encoding_is_named(tmp_path):
    with pytest.raises(WorkbookError, match="not in UTF-8"):
        read_roster(written(tmp_path, "id,last_name\nzoe,Muñoz\n", "latin-1"))


def test_nobody_is_lost_when_the_roster_is_read_again(tmp_path):
    with open_gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        first = enrol(gradebook, [Learner("zoe"), Learner("bo")])
        again = enrol(gradebook, [Learner("zoe", "Zoë"), Learner("al")])
        assert first.added == ["zoe", "bo"]
        assert (again.added, again.changed, again.not_listed) == (["al"], ["zoe"], ["bo"])
        assert {student.id for student in gradebook.students} == {"zoe", "bo", "al"}
        assert gradebook.find_student("zoe").first_name == "Zoë"
