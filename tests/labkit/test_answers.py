import json

import pytest

from labkit.answers import record
from labkit.errors import WorkbookError


def test_answers_are_added_to_those_that_are_there(tmp_path):
    record(tmp_path, p99=459)
    record(tmp_path, availability_999=4603, p99=460)
    assert json.loads((tmp_path / "answers.json").read_text()) == {"availability_999": 4603, "p99": 460}


def test_only_plain_values_are_taken(tmp_path):
    with pytest.raises(WorkbookError, match="p99 is a list"):
        record(tmp_path, p99=[1])
    assert not (tmp_path / "answers.json").exists()


def test_the_wrong_folder_is_said(tmp_path):
    with pytest.raises(WorkbookError, match="There is no folder"):
        record(tmp_path / "nowhere", p99=1)


def test_a_damaged_file_is_made_anew(tmp_path):
    (tmp_path / "answers.json").write_text("{half")
    record(tmp_path, p99=1)
    assert json.loads((tmp_path / "answers.json").read_text()) == {"p99": 1}
