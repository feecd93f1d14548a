from __future__ import annotations

import json
import sys

import nbformat
import pytest

from autograder.commands import lab as commands
from autograder.workspace import Done, make_copy, reset
from labkit.errors import WorkbookError

WORK = "week01_numbers/01_adding"
STUB = "weeks/week01_numbers/01_adding/adder.py"


def done(changes):
    return {str(change.path): change.done for change in changes}


def mine(course, path):
    return course.learn / "week01_numbers" / path


@pytest.fixture
def course(small_course):
    make_copy(small_course)
    return small_course


def test_the_copy_is_made_without_solutions(small_course):
    assert set(done(make_copy(small_course)).values()) == {Done.MADE}
    assert mine(small_course, "01_adding/data/numbers.csv").is_file()
    notebook = mine(small_course, "01_adding.ipynb").read_text()
    assert "doubled_by_addition" not in notebook
    assert not list(small_course.learn.rglob("*.part"))


def test_making_it_again_changes_nothing(course):
    assert set(done(make_copy(course)).values()) == {Done.KEPT}


def test_a_file_that_was_not_changed_is_updated(course):
    course.edit(STUB, "your turn", "your turn now")
    assert done(make_copy(course))[f"{WORK}/adder.py"] is Done.UPDATED
    assert "your turn now" in mine(course, "01_adding/adder.py").read_text()


def test_a_file_that_was_changed_stays_when_the_handout_does(course):
    mine(course, "01_adding/adder.py").write_text("my work")
    assert done(make_copy(course))[f"{WORK}/adder.py"] is Done.KEPT
    assert mine(course, "01_adding/adder.py").read_text() == "my work"


def test_a_newer_handout_goes_beside_a_changed_file_once(course):
    mine(course, "01_adding/adder.py").write_text("my work")
    course.edit(STUB, "your turn", "your turn now")
    (change,) = (change for change in make_copy(course) if change.done is Done.BESIDE)
    assert str(change) == (
        f"{WORK}/adder.py is yours and stays as it is; the newer handout is adder.new.py beside it"
    )
    assert mine(course, "01_adding/adder.py").read_text() == "my work"
    assert "your turn now" in mine(course, "01_adding/adder.new.py").read_text()
    assert done(make_copy(course))[f"{WORK}/adder.py"] is Done.KEPT


def test_what_lies_beside_is_not_written_over_either(course):
    mine(course, "01_adding/adder.py").write_text("my work")
    mine(course, "01_adding/adder.new.py").write_text("my other work")
    course.edit(STUB, "your turn", "your turn now")
    (change,) = (change for change in make_copy(course) if change.done is Done.BESIDE)
    assert change.beside.name == "adder.new2.py"
    assert mine(course, "01_adding/adder.new.py").read_text() == "my other work"


def test_a_file_of_the_learner_where_a_new_handout_comes_stays(course):
    mine(course, "01_adding/more.py").write_text("my work")
    course.write("weeks/week01_numbers/01_adding/more.py", "handed out")
    assert done(make_copy(course))[f"{WORK}/more.py"] is Done.BESIDE
    assert mine(course, "01_adding/more.py").read_text() == "my work"


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"files": 3}'])
def test_without_its_manifest_nothing_is_written_over(course, manifest):
    file = course.learn / ".workbook/handouts.json"
    file.unlink() if manifest is None else file.write_text(manifest)
    mine(course, "01_adding/adder.py").write_text("my work")
    assert done(make_copy(course))[f"{WORK}/adder.py"] is Done.BESIDE
    assert mine(course, "01_adding/adder.py").read_text() == "my work"


def test_a_notebook_that_was_only_run_is_updated_and_the_run_one_kept(course):
    path = mine(course, "01_adding.ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="42")]
    path.write_text(nbformat.writes(notebook))
    assert done(make_copy(course))["week01_numbers/01_adding.ipynb"] is Done.KEPT
    course.edit_source("That is all.", "That is nearly all.")
    assert done(make_copy(course))["week01_numbers/01_adding.ipynb"] is Done.UPDATED
    assert "nearly" in path.read_text()
    (kept,) = course.learn.glob(".workbook/kept/*/week01_numbers/01_adding.ipynb")
    assert "42" in kept.read_text()


def test_a_notebook_that_was_written_in_stays(course):
    path = mine(course, "01_adding.ipynb")
    path.write_text(path.read_text().replace("*Write your answer here.*", "It wraps."))
    course.edit_source("That is all.", "That is nearly all.")
    assert done(make_copy(course))["week01_numbers/01_adding.ipynb"] is Done.BESIDE
    assert "It wraps." in path.read_text()
    assert "nearly" in mine(course, "01_adding.new.ipynb").read_text()


def test_a_missing_asset_is_named_before_anything_is_written(small_course):
    small_course.edit_source("minutes: 20", "minutes: 20\n  assets: [digits/model.bin]")
    with pytest.raises(WorkbookError, match="Run `make model`"):
        make_copy(small_course)
    assert not small_course.learn.exists()
    small_course.write("build/models/digits/model.bin", "weights")
    assert done(make_copy(small_course))[f"{WORK}/model.bin"] is Done.MADE


def test_a_folder_in_the_way_is_said(course):
    mine(course, "01_adding/adder.py").unlink()
    mine(course, "01_adding/adder.py").mkdir()
    with pytest.raises(WorkbookError, match="is a folder in your copy"):
        make_copy(course)


def test_an_interrupted_copy_goes_on(small_course, monkeypatch):
    import autograder.workspace as workspace

    real = workspace.write_atomically

    def full_disk(path, content, *, mode=0o644):
        if path.name == "numbers.csv":
            raise OSError("no space left")
        real(path, content, mode=mode)

    monkeypatch.setattr(workspace, "write_atomically", full_disk)
    with pytest.raises(OSError, match="no space"):
        make_copy(small_course)
    monkeypatch.setattr(workspace, "write_atomically", real)
    mine(small_course, "01_adding/adder.py").write_text("my work")
    assert done(make_copy(small_course))[f"{WORK}/data/numbers.csv"] is Done.MADE
    assert mine(small_course, "01_adding/adder.py").read_text() == "my work"


def test_reset_keeps_the_work_and_lays_it_afresh(course):
    mine(course, "01_adding/adder.py").write_text("my work")
    mine(course, "01_adding/notes.txt").write_text("my notes")
    results = course.learn / ".workbook/results/week01-adding.report.json"
    results.parent.mkdir(parents=True)
    results.write_text("{}")
    first, second = reset(course, course.adding), reset(course, course.adding)
    assert (first.kept / WORK / "adder.py").read_text() == "my work"
    assert (first.kept / WORK / "notes.txt").read_text() == "my notes"
    assert (first.kept / ".workbook/results" / results.name).is_file()
    assert first.kept != second.kept
    assert "your turn" in mine(course, "01_adding/adder.py").read_text()
    assert not mine(course, "01_adding/notes.txt").exists()
    assert not results.exists()
    assert set(done(make_copy(course)).values()) == {Done.KEPT}


def test_reset_of_what_was_never_begun_keeps_nothing(small_course):
    assert reset(small_course, small_course.adding).kept is None


def test_the_manifest_knows_what_was_handed_out(course):
    said = json.loads((course.learn / ".workbook/handouts.json").read_text())
    assert said["version"] == 1
    assert set(said["files"]) == {
        "week01_numbers/01_adding.ipynb",
        f"{WORK}/adder.py",
        f"{WORK}/data/numbers.csv",
    }


def test_the_command_makes_the_copy_and_opens_jupyterlab(small_course, monkeypatch, capsys):
    called = []
    monkeypatch.setattr("os.execve", lambda program, arguments, variables: called.append(arguments))
    commands.lab(no_open=True)
    assert "Your copy is in learn: 3 made." in capsys.readouterr().out
    assert not called
    commands.lab(port=8899)
    ((program, *arguments),) = called
    assert program == sys.executable
    assert f"--ServerApp.root_dir={small_course.learn}" in arguments
    assert "--LabApp.default_url=/lab/tree/week01_numbers/01_adding.ipynb" in arguments
    assert "--ServerApp.ip=127.0.0.1" in arguments
    assert "--ServerApp.port=8899" in arguments


def test_the_command_names_what_needs_a_look(course, capsys):
    mine(course, "01_adding/adder.py").write_text("my work")
    course.edit(STUB, "your turn", "your turn now")
    commands.lab(no_open=True)
    assert "adder.py is yours and stays as it is" in capsys.readouterr().out
    commands.reset("week01/adding")
    out = capsys.readouterr().out
    assert "Your version is kept in learn/.workbook/kept/" in out
    assert "as it was handed out: 3 files" in out
