"""What a learner's server can do wrong, and what a check then says: on the real lab, with real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autograder.checking import run_checks
from labkit.course import find_course
from labkit.errors import WorkbookError
from labkit.models.store import models_folder, prepare
from labkit.verdicts import Verdict

LAB = find_course().lab("week11/fastapi_server")

HTTP = """
import http.server, os, sys, time, subprocess

class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_POST(self):
        {answer}
    do_GET = do_POST

{before}
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
OK = "self.send_response(200); self.end_headers(); self.wfile.write({})"


@pytest.fixture(scope="module", autouse=True)
def model():
    prepare(models_folder() / "digits", say=lambda _: None)


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "week11_serving" / LAB.name
    folder.mkdir(parents=True)
    return folder.parent


def serve(work: Path, *, answer: str = OK.format("b'{}'"), before: str = "") -> None:
    (work / LAB.name / "serve.py").write_text(HTTP.format(answer=answer, before=before))


def predictions(work: Path, tmp_path: Path):
    report = run_checks(LAB, work, parts=["predictions"], logs=tmp_path / "logs")
    (outcome,) = report.outcomes
    assert outcome.points == 0
    return outcome


def ended(pid: int) -> bool:
    """Whether a process is gone within a moment; one that only waits to be collected is."""
    for _ in range(50):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_an_empty_folder_is_told_what_is_missing(work, tmp_path):
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert "There is no serve.py" in outcome.evidence


def test_a_syntax_error_is_named_with_its_line(work, tmp_path):
    (work / LAB.name / "serve.py").write_text("import os\nprint('half\n")
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert "SyntaxError" in outcome.evidence
    assert "serve.py line 2" in outcome.evidence


def test_a_server_that_ends_at_once_is_told_why(work, tmp_path):
    (work / LAB.name / "serve.py").write_text("import fastpi\n")
    outcome = predictions(work, tmp_path)
    assert "ModuleNotFoundError: No module named 'fastpi'" in outcome.evidence


def test_a_server_on_another_port_is_told_which(work, tmp_path, monkeypatch):
    serve(work)
    script = work / LAB.name / "serve.py"
    script.write_text(script.read_text().replace('int(os.environ["PORT"])', "0"))
    from labkit.serving import ScriptServer

    with (
        ScriptServer(patience=1.5) as server,
        pytest.raises(WorkbookError, match=r"It listens on \d+ instead"),
    ):
        server.start(work / LAB.name)


def test_a_server_that_never_answers(work, tmp_path):
    serve(work, answer="time.sleep(600)")
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert "was not answered within 5 s" in outcome.evidence


def test_a_server_that_drips_its_answer_is_cut_off(work, tmp_path):
    drip = "self.send_response(200); self.end_headers()\n"
    drip += "        while True: self.wfile.write(b' '); time.sleep(0.2)"
    serve(work, answer=drip)
    began = time.monotonic()
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert "was not answered within 5 s" in outcome.evidence
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OK.format("b'<html>'"), "not JSON"),
        (OK.format("b'[1, 2]'"), "without"),
        (OK.format("b'[' * 100000"), "not JSON"),
        (OK.format("""b'{"prediction": [[1, 2]]}'"""), "shape (1, 2)"),
        (OK.format("""b'{"prediction": "many"}'"""), "without"),
        ("self.wfile.write(b'garbage')", "no proper HTTP answer"),
        ("self.connection.close()", "no proper HTTP answer"),
    ],
    ids=["html", "another object", "deep", "another shape", "text", "garbage", "hangs up"],
)
def test_a_server_that_answers_garbage(work, tmp_path, answer, said):
    serve(work, answer=answer)
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert said in outcome.evidence


def test_a_server_that_ends_half_way_is_told_so(work, tmp_path):
    serve(work, answer="print('out of luck', flush=True); os._exit(3)")
    outcome = predictions(work, tmp_path)
    assert outcome.verdict is Verdict.FAILED
    assert "The server ended during POST /predict" in outcome.evidence
    assert "out of luck" in outcome.cause


def test_a_child_left_behind_is_ended(work, tmp_path):
    left = tmp_path / "pid"
    daemon = (
        f"import os, time; os.setsid(); os.fork() and os._exit(0); "
        f"open({str(left)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    serve(work, before=f"subprocess.Popen([sys.executable, '-c', {daemon!r}])\ntime.sleep(1)")
    predictions(work, tmp_path)
    assert ended(int(left.read_text()))


def test_a_check_that_raises_is_our_error(work, tmp_path, monkeypatch):
    rubric = tmp_path / "test_broken.py"
    rubric.write_text(
        "from autograder.rubric import points\n\n"
        '@points(2)\ndef test_broken():\n    """divides"""\n    1 / 0\n\n'
        '@points(2)\ndef test_dies():\n    """dies"""\n    import os\n    os._exit(9)\n'
    )
    monkeypatch.setattr("autograder.loading.rubric_path", lambda lab: rubric)
    report = run_checks(LAB, work, logs=tmp_path / "logs")
    broken, dies = report.outcomes
    assert report.verdict is Verdict.ERROR
    assert "ZeroDivisionError" in broken.evidence
    assert "not your work's fault" in broken.cause
    assert "exit code 9" in dies.evidence


def test_hidden_checks_run_only_when_graded(work, tmp_path):
    report = run_checks(LAB, work, parts=["unseen_images"], logs=tmp_path / "logs")
    assert report.outcomes[-1].verdict is Verdict.NOT_MEASURED
    graded = run_checks(LAB, work, parts=["unseen_images"], grading=True, logs=tmp_path / "logs")
    assert graded.outcomes[-1].verdict is Verdict.BLOCKED


def command(work: Path) -> list[str]:
    run = "from autograder.cli import main; main()"
    return [
        sys.executable,
        "-c",
        run,
        "check",
        LAB.id,
        "--part",
        "predictions",
        "--json",
        "--work",
        str(work),
    ]


def test_ctrl_c_leaves_nothing_running_and_no_result(work):
    serve(work, answer="time.sleep(600)", before=f"open({str(work / 'pid')!r}, 'w').write(str(os.getpid()))")
    running = subprocess.Popen(command(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (work / "pid").exists() or not (work / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Interrupted" in err
    assert out == ""
    assert ended(int((work / "pid").read_text()))
    assert not list((work.parent / ".workbook").rglob("*report.json"))


def test_two_checks_at_once_take_turns(work):
    serve(work)
    both = [
        subprocess.Popen(command(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    reports = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert [one.returncode for one in both] == [1, 1]
    assert reports[0]["outcomes"][0]["evidence"] == reports[1]["outcomes"][0]["evidence"]


def test_a_wrong_name_is_told_the_right_one(tmp_path):
    with pytest.raises(WorkbookError, match="Did you mean week11/fastapi_server"):
        find_course().lab("week11/fastapi_sever")
    with pytest.raises(WorkbookError, match="has no check 'latncy'"):
        run_checks(LAB, tmp_path, parts=["latncy"])
    with pytest.raises(WorkbookError, match="There is no folder"):
        run_checks(LAB, tmp_path / "nowhere")
