"""What a deployment may say, and what is said of one that can't be."""

import pytest

from labkit.errors import WorkFault
from labkit.serving import Deployment, backend, server_for


def test_it_is_read_from_toml(tmp_path):
    file = tmp_path / "deployment.toml"
    file.write_text('framework = "grpc-aio"\nbatch_size = 8\nbatch_delay_ms = 1.5\n')
    assert Deployment.read(file) == Deployment(framework="grpc-aio", batch_size=8, batch_delay_ms=1.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no framework"),
        ('framework = ""', "names no framework"),
        ("framework = 3", "framework is a text"),
        ('framework = "fastapi"\nreplicas = 2', "setting 'replicas'"),
        ('framework = "fastapi"\nworkers = 0', "workers = 0"),
        ('framework = "fastapi"\nworkers = true', "workers = True"),
        ('framework = "fastapi"\nbatch_size = 2.5', "batch_size = 2.5"),
        ('framework = "fastapi"\nbatch_delay_ms = -1', "batch_delay_ms = -1"),
        ('framework = "fastapi"\nbatch_delay_ms = nan', "batch_delay_ms = nan"),
        ("framework =", "is not TOML"),
    ],
)
def test_what_can_not_be_is_refused(text, said, tmp_path):
    file = tmp_path / "deployment.toml"
    file.write_text(text)
    with pytest.raises(WorkFault, match=said):
        Deployment.read(file)


def test_no_file_and_no_text_are_said(tmp_path):
    with pytest.raises(WorkFault, match=r"There is no deployment\.toml"):
        Deployment.read(tmp_path / "deployment.toml")
    (tmp_path / "deployment.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(WorkFault, match="is not TOML"):
        Deployment.read(tmp_path / "deployment.toml")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"framework": "nginx"}, "There is no framework 'nginx'"),
        ({"framework": "fastapi", "protocol": "grpc"}, "does not speak 'grpc'"),
        ({"framework": "grpc", "batch_size": 4}, "does not put requests together"),
        ({"framework": "grpc-aio", "workers": 2}, "runs one worker"),
    ],
)
def test_a_framework_is_asked_only_for_what_it_can(settings, said):
    with pytest.raises(WorkFault, match=said):
        server_for(Deployment(**settings))


def test_every_backend_says_what_it_runs():
    from labkit.serving.choice import names

    for name in names():
        found = backend(name)
        assert found.name == name
        assert found.runs
        assert found.title
