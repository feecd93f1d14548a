"""GPU utilisation: what is judged, what is sampled, and what NVML is asked, without a GPU by recordings."""

# ruff: noqa: N802 (the recorded library has the names of the real one)

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from autograder.commands import measure_gpu as command
from autograder.commands.measure import app
from labkit.errors import Unavailable, WorkbookError, WorkFault
from labkit.slo import GpuSamples, NvmlGpus, judge_gpu, measure_gpu
from labkit.slo.nvml import Busy
from labkit.verdicts import Tier, Verdict


class RecordedGpus:
    """GPUs that were as busy as a list says: one look after another, the last one from then on."""

    driver = "recorded"

    def __init__(self, *looks, names=("GPU A",)):
        self.names = names
        self._looks = list(looks)

    def look(self):
        row = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return [Busy(each, 1 << 30) for each in row]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class RecordedNvml:
    """The functions of `pynvml` that are used, as a machine with two GPUs answered them."""

    class NVMLError(Exception):
        """As the library's own."""

    def __init__(self, *, missing=False, count=2, silent=False):
        self._missing, self._count, self._silent = missing, count, silent
        self.open = False

    def nvmlInit(self):
        if self._missing:
            raise self.NVMLError("NVML Shared Library Not Found")
        self.open = True

    def nvmlShutdown(self):
        self.open = False

    def nvmlDeviceGetCount(self):
        return self._count

    def nvmlDeviceGetHandleByIndex(self, number):
        return number

    def nvmlDeviceGetName(self, handle):
        return [b"GPU A", "GPU B"][handle]  # bytes from older versions of the library

    def nvmlSystemGetDriverVersion(self):
        return "550.0"

    def nvmlDeviceGetUtilizationRates(self, handle):
        if self._silent:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=[97, 3][handle], memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=80 << 30, free=70 << 30, used=(10 << 30) + handle)


def samples_of(busy, *, interval=0.5, warmup=0.0, **changed):
    rows = [row if isinstance(row, tuple) else (row,) for row in busy]
    facts = {
        "gpus": tuple(f"GPU {number}" for number in range(len(rows[0]))),
        "driver": "550.0",
        "command": ("python", "train.py"),
        "started_at": "2026-11-25T00:00:00+00:00",
        "interval": interval,
        "warmup": warmup,
        "before": (0.0,) * len(rows[0]),
        "seconds": tuple(interval * number for number in range(len(rows))),
        "utilisation": tuple(rows),
        "memory_bytes": ((1 << 30,) * len(rows[0]),) * len(rows),
    }
    return GpuSamples(**facts | changed)


# ---- judging ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (0.95, Verdict.PASSED),
        (0.6, Verdict.FAILED),
        (0.8, Verdict.INCONCLUSIVE),
        (0.81, Verdict.INCONCLUSIVE),
    ],
)
def test_the_whole_bound_decides(mean, verdict):
    busy = np.clip(np.random.default_rng(1).normal(mean, 0.1, 120), 0, 1)
    judgement = judge_gpu(samples_of(busy.tolist()))
    assert judgement.verdict is verdict
    assert judgement.tier is Tier.REAL
    facts = judgement.measured
    assert facts["utilisation_at_least"] < facts["utilisation"] < facts["utilisation_at_most"]
    json.dumps(facts)


def test_neighbours_that_resemble_each_other_widen_the_bound():
    draw = np.random.default_rng(2)
    apart = draw.choice([0.7, 1.0], 200)
    in_runs = np.repeat(draw.choice([0.7, 1.0], 10), 20)
    widths = [
        judged["utilisation_at_most"] - judged["utilisation_at_least"]
        for judged in (judge_gpu(samples_of(busy.tolist())).measured for busy in (apart, in_runs))
    ]
    assert widths[1] > 2 * widths[0]


def test_the_bound_holds_at_the_border():
    """At most 1 % of runs whose true mean is just the objective may pass; with 500 runs, at most 12."""
    draw = np.random.default_rng(3)
    passed = 0
    for _ in range(500):
        noise = np.zeros(120)
        for number in range(1, 120):
            noise[number] = 0.5 * noise[number - 1] + draw.normal(0, 0.05)
        passed += judge_gpu(samples_of((0.8 + noise).clip(0, 1).tolist())).verdict is Verdict.PASSED
    assert passed <= 12


def test_an_idle_gpu_beside_a_busy_one_counts():
    judgement = judge_gpu(samples_of([(1.0, 0.0)] * 60))
    assert judgement.verdict is Verdict.FAILED
    assert judgement.measured["utilisation"] == 0.5


def test_the_warmup_is_not_judged():
    assert judge_gpu(samples_of([0.0] * 20 + [1.0] * 60, warmup=10)).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (samples_of([1.0] * 15), "Only 7 s with 15 samples"),
        (samples_of([1.0] * 60, warmup=1000), "Only 0 s with 0 samples"),
        (samples_of([1.0] * 60, before=(0.4,)), "40% busy before"),
        (samples_of([1.0] * 60, interrupted=True), "Interrupted"),
        (samples_of([1.0] * 60, seconds=(*range(59), 100)), "Nobody looked for 42.0 s"),
    ],
)
def test_what_says_nothing_is_inconclusive(samples, said):
    judgement = judge_gpu(samples)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert said in judgement.summary


# ---- evidence ---------------------------------------------------------------------------------------------


def test_evidence_comes_back_as_it_was(tmp_path):
    samples = samples_of([(0.5, 1.0)] * 30, files={"train.py": "ab"})
    file = tmp_path / "gpu.json"
    file.write_text(samples.as_json())
    assert GpuSamples.load(file) == samples


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"utilisation": [[1.5]] * 30}, "no number from 0 to 1"),
        ({"utilisation": [["much"]] * 30}, "no number from 0 to 1"),
        ({"utilisation": [[1.0]] * 29}, "as many samples as times"),
        ({"utilisation": [[1.0, 1.0]] * 30}, "one number for each GPU"),
        ({"seconds": [0.0] * 30}, "don't go forward"),
        ({"interval": 0}, "a time is no number"),
        ({"gpus": []}, "names no GPU"),
        ({"format": 2}, "another format"),
        ({"verdict": "passed"}, "unexpected keyword"),
    ],
)
def test_evidence_that_was_never_measured_is_refused(tmp_path, change, said):
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps(json.loads(samples_of([1.0] * 30).as_json()) | change))
    with pytest.raises(WorkFault, match=said):
        GpuSamples.load(file)


@pytest.mark.parametrize("text", ["", "[1]", "null", "[" * 5000, '{"format": 1}'])
def test_a_file_that_is_no_evidence_is_refused(tmp_path, text):
    file = tmp_path / "gpu.json"
    file.write_text(text)
    with pytest.raises(WorkFault, match=r"gpu\.json holds no samples"):
        GpuSamples.load(file)
    with pytest.raises(WorkFault, match="holds no samples"):
        GpuSamples.load(tmp_path / "missing.json")


# ---- measuring --------------------------------------------------------------------------------------------


def python(code):
    return [sys.executable, "-c", code]


def test_it_looks_until_the_command_ends():
    gpus = RecordedGpus([0.0], [0.25], [0.75])
    samples = measure_gpu(python("import time; time.sleep(0.3)"), gpus, warmup=0, interval=0.05)
    assert samples.before == (0.0,)
    assert samples.utilisation[:2] == ((0.25,), (0.75,))
    assert 3 <= len(samples.seconds) <= 20
    assert samples.driver == "recorded"
    assert not samples.interrupted


def test_it_ends_the_command_and_what_that_started(tmp_path):
    child = tmp_path / "child"
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    began = time.monotonic()
    measure_gpu(python(code), RecordedGpus([0.9]), seconds=1.5, warmup=0.5, interval=0.1)
    assert time.monotonic() - began < 20
    pid = int(child.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_ctrl_c_keeps_what_was_seen():
    def stop(at, _):
        if at > 0.2:
            raise KeyboardInterrupt

    samples = measure_gpu(
        python("import time; time.sleep(60)"), RecordedGpus([0.9]), warmup=0, interval=0.05, on_look=stop
    )
    assert samples.interrupted
    assert samples.seconds


def test_evidence_names_its_code(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print('trained')")
    samples = measure_gpu([sys.executable, str(script)], RecordedGpus([0.9]), warmup=0)
    assert list(samples.files) == ["train.py"]
    assert len(samples.files["train.py"]) == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (python("raise SystemExit(3)"), "exit code 3"),
        (["/no/such/program"], "can't be started"),
        ([], "no command"),
    ],
)
def test_a_command_that_does_not_run_is_told(arguments, said):
    with pytest.raises(WorkbookError, match=said):
        measure_gpu(arguments, RecordedGpus([0.9]), warmup=0)


@pytest.mark.parametrize("numbers", [{"seconds": 0}, {"interval": -1}, {"warmup": float("inf")}])
def test_numbers_that_make_no_sense_are_refused(numbers):
    with pytest.raises(WorkbookError, match="can't be measured"):
        measure_gpu(python("pass"), RecordedGpus([0.9]), **numbers)


# ---- NVML -------------------------------------------------------------------------------------------------


def test_what_nvml_says_is_read():
    library = RecordedNvml()
    with NvmlGpus(library) as gpus:
        assert library.open
        assert gpus.names == ("GPU A", "GPU B")
        assert gpus.driver == "550.0"
        assert gpus.look() == [Busy(0.97, 10 << 30), Busy(0.03, (10 << 30) + 1)]
    assert not library.open


def test_a_machine_without_a_driver_or_a_gpu_is_said():
    with pytest.raises(Unavailable, match="Shared Library Not Found"):
        NvmlGpus(RecordedNvml(missing=True))
    library = RecordedNvml(count=0)
    with pytest.raises(Unavailable, match="no GPU"):
        NvmlGpus(library)
    assert not library.open


def test_a_gpu_that_does_not_say_is_told():
    with (
        NvmlGpus(RecordedNvml(silent=True)) as gpus,
        pytest.raises(WorkbookError, match="does not say how busy"),
    ):
        gpus.look()


def test_the_real_library_answers_or_says_that_there_is_no_gpu():
    if Path("/proc/driver/nvidia/version").exists():
        with NvmlGpus() as gpus:
            assert all(0 <= each.utilisation <= 1 for each in gpus.look())
    else:
        with pytest.raises(Unavailable, match="no NVIDIA GPU"):
            NvmlGpus()


# ---- the command line -------------------------------------------------------------------------------------


def measure(*arguments):
    result = CliRunner().invoke(app, ["gpu", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(command, "NvmlGpus", lambda: NvmlGpus(RecordedNvml(missing=True)))


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(command, "NvmlGpus", lambda: RecordedGpus([0.0], [0.9]))


@pytest.mark.usefixtures("without_gpu")
def test_without_a_gpu_it_is_not_measured_and_nothing_runs(tmp_path):
    ran = tmp_path / "ran"
    result = measure("--json", "--", *python(f"open({str(ran)!r}, 'w')"))
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["verdict"] == "not_measured"
    assert "no NVIDIA GPU" in facts["summary"]
    assert not ran.exists()
    assert "not measured" in measure("--", "true").output


@pytest.mark.usefixtures("with_gpu")
def test_with_one_it_judges_and_keeps_the_samples(tmp_path):
    evidence = tmp_path / "gpu.json"
    sleeps = python("import time; time.sleep(0.4)")
    options = ["--warmup", "0", "--interval", "0.02", "--evidence", evidence]
    result = measure(*options, "--json", "--", *sleeps)
    assert result.exit_code == 3
    facts = json.loads(result.stdout)
    assert facts["verdict"] == "inconclusive"
    assert "at least 10 s" in facts["summary"]
    samples = GpuSamples.load(evidence)
    assert len(samples.seconds) == facts["samples"]
    assert set(samples.utilisation) == {(0.9,)}


@pytest.mark.usefixtures("with_gpu")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--objective", "much", "--", "true"], "is no share"),
        (["--objective", "120%", "--", "true"], "can't be judged"),
        (["--warmup", "-1", "--", "true"], "can't be measured"),
        (["--", "false"], "exit code 1"),
        (["--evidence", "/no/such/folder/gpu.json", "--warmup", "0", "--", "true"], "could not be written"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, said):
    result = measure(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_what_a_person_sees_fits_a_screen(capsys):
    from rich.console import Console

    command.show(Console(), "python train.py · utilisation > 80%", judge_gpu(samples_of([0.9, 0.95] * 60)))
    shown = capsys.readouterr().out
    assert " passed" in shown
    assert "92%" in shown
    assert len(shown.splitlines()) <= 10
