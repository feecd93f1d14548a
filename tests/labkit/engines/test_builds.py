"""What a build gives: its steps, what came from the cache, its layers, and nothing of this machine."""

from __future__ import annotations

import json

import pytest

from labkit.engines import bases
from labkit.engines.host_indexes import INSIDE

BASE = "FROM python:3.11-slim\n"


def test_steps_cache_and_layers(engine, context):
    dockerfile = (
        f"{BASE}WORKDIR /app\nCOPY a.txt .\nRUN head -c 3000000 /dev/zero > big\nCOPY b.txt .\nENV A=1\n"
    )
    folder = context(dockerfile, **{"a.txt": "a", "b.txt": "b"})
    said: list[str] = []
    engine.build(folder, on_step=said.append)
    assert any(line.startswith("RUN head") for line in said)
    (folder / "b.txt").write_text(f"{folder}")
    again = engine.build(folder, tag="workbook-test:layers")
    cached = {step.text.split()[0]: step.cached for step in again.steps if "b.txt" not in step.text}
    assert cached == {"WORKDIR": True, "COPY": True, "RUN": True}
    assert [step.cached for step in again.steps if "b.txt" in step.text] == [False]
    sizes = {layer.made_by.split()[0]: layer.bytes for layer in again.image.layers[1:4]}
    assert sizes["RUN"] == 3_000_000
    assert again.image.layers[0].bytes > 50_000_000
    assert "workbook-test:layers" in again.image.tags
    assert "app/big" in engine.files("workbook-test:layers")
    assert engine.layer_files("workbook-test:layers")[-1]["app/b.txt"] == f"{folder}".encode()
    engine.remove("workbook-test:layers")


def test_a_target_arguments_and_secrets(engine, context, tmp_path):
    (tmp_path / "token").write_text("s3cret-words")
    folder = context(
        f"{BASE.strip()} AS one\nARG WORD=none\n"
        "RUN --mount=type=secret,id=token "
        'test "$(cat /run/secrets/token)" = s3cret-words && echo $WORD > /word\n'
        "FROM one AS two\nRUN false\n"
    )
    made = engine.build(
        folder, target="one", arguments={"WORD": "hello"}, secrets={"token": tmp_path / "token"}
    )
    layers = engine.layer_files(made.image.id)
    assert layers[-1]["word"] == b"hello\n"
    assert not any(content and b"s3cret" in content for layer in layers for content in layer.values())


def test_steps_install_packages_and_nothing_of_this_machine_stays_in_the_image(engine, context):
    made = engine.build(
        context(f"{BASE}RUN pip install --no-cache-dir six==1.17.0 && env > /env-is-not-kept && rm /env*\n"),
        fresh=True,
    )
    given = json.loads((engine.daemon.given / "given.json").read_text())
    private = [INSIDE.encode(), *(name.encode() + b"=" for name in given["variables"])]
    certificates = engine.daemon.given / "ca.crt"
    if certificates.exists():
        private.append(certificates.read_bytes()[-400:])
    described = json.dumps([made.image.history, dict(made.image.config)]).encode()
    base = len(engine.inspect("python:3.11-slim").layers)
    layers = engine.layer_files(made.image.id)[base:]
    assert any("six.py" in name for layer in layers for name in layer)
    contents = [
        c for layer in layers for name, c in layer.items() if c and not name.endswith((".pyc", ".py"))
    ]
    for words in private:
        assert words not in described
        assert not any(words in content for content in contents), words
    assert not any("dev/.workbook" in name for layer in layers for name in layer)


def test_a_stand_in_says_so_and_has_a_digest(engine):
    image = engine.inspect("python:3.11-slim")
    if not image.stand_in:
        pytest.skip("the real image is here")
    assert "Debian 12" in image.stand_in
    digests = [name for name in image.digests if name.startswith("python@sha256:")]
    assert digests


def test_what_is_built_on_a_stand_in_by_digest_says_so_too(engine, context):
    image = engine.inspect("python:3.11-slim")
    digest = next(name for name in image.digests if name.startswith("python@")).split("@")[1]
    made = engine.build(context(f"FROM python:3.11-slim@{digest}\nRUN true\n"))
    assert made.image.stand_in == image.stand_in


def test_pip_lays_files_where_the_real_image_does(engine, context):
    where = "/usr/local/lib/python3.11/site-packages"
    made = engine.build(
        context(
            f"{BASE}RUN pip install --no-cache-dir --prefix=/p six==1.17.0 && pip install --no-cache-dir "
            "--user six==1.17.0 && pip install --no-cache-dir -I six==1.17.0 && python -m venv /v\n"
        )
    )
    files = engine.files(made.image.id)
    for place in (where, "/p/lib/python3.11/site-packages", "/root/.local/lib/python3.11/site-packages"):
        assert f"{place[1:]}/six.py" in files
    assert "v/bin/python" in files


def test_what_is_known_of_bases():
    assert {"python:3.11", "python:3.11-slim", "python:3.9", "python:3.9-slim"} <= set(bases.RECIPES)
    assert "not 3.9" in bases.RECIPES["python:3.9"].about


def test_a_cuda_stand_in_looks_for_its_libraries_as_the_real_one_does(engine):
    image = bases.provide(engine, "nvidia/cuda:11.8.0-base-ubuntu22.04")
    if not image.stand_in:
        pytest.skip("the real image is here")
    environment = dict(entry.split("=", 1) for entry in image.config["Env"])
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["CUDA_VERSION"] == "11.8.0"
    with engine.run(image.id, ["sleep", "30"]) as container:
        assert container.exec(["test", "-e", "/usr/local/cuda/lib64/libcudart.so.11.0"]).exit_code == 0
        assert "libcudart.so.11.0" in container.exec(["/sbin/ldconfig", "-p"]).text
        assert container.exec(["grep", "-rq", "non-free", "/etc/apt"]).exit_code == 1
        assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in container.exec(["env"]).text
