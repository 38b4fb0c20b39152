"""The container files, as far as docker-compose can check them without Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import PROJECT, environment, running

if TYPE_CHECKING:
    from dts_emulator import Emulator

DOCKER_COMPOSE = shutil.which("docker-compose")

needs_docker_compose = pytest.mark.skipif(
    DOCKER_COMPOSE is None, reason="there is no docker-compose (Debian: apt install docker-compose)"
)


def compose(*arguments: str, **variables: str) -> str:
    """Return what docker-compose makes of docker-compose.yml."""
    assert DOCKER_COMPOSE is not None
    return subprocess.run(
        [DOCKER_COMPOSE, *arguments],
        cwd=PROJECT,
        env=environment(**variables),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@needs_docker_compose
def test_workers_and_jaeger_start_only_with_their_profiles() -> None:
    config = compose("--profile", "worker", "--profile", "tracing", "config")
    services = re.findall(r"^  (\S+):\n((?:    .*\n)+)", config, re.MULTILINE)
    assert {name: re.findall(r"profiles:\s+- (\w+)", body) for name, body in services} == {
        "emulator": [],
        "jaeger": ["tracing"],
        "traced-worker": ["tracing"],
        "worker": ["worker"],
    }


@needs_docker_compose
def test_the_traced_worker_sends_its_traces_to_jaeger() -> None:
    config = compose("--profile", "tracing", "config")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: http://jaeger:4318\n" in config
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf\n" in config
    assert "target: traced\n" in config


def test_the_traced_image_installs_the_versions_that_are_tested() -> None:
    pins = (PROJECT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    tested = [line for line in pins if line.startswith("opentelemetry-")]
    assert len(tested) == 2
    (installed,) = re.findall(r"^ +(opentelemetry-.+)$", (PROJECT / "Dockerfile").read_text(), re.M)
    assert sorted(installed.split()) == sorted(tested)


@needs_docker_compose
def test_all_ports_are_published_on_this_machine_only() -> None:
    config = compose("--profile", "tracing", "config")
    ports = re.findall(r"^    - (\S+)/tcp$", config, re.MULTILINE)
    assert ports == [f"127.0.0.1:{port}:{port}" for port in (8080, 8082, 4318, 16686)]


@needs_docker_compose
@pytest.mark.parametrize(
    ("variables", "tag", "task_hubs"),
    [
        ({}, "latest", "default"),
        ({"DTS_EMULATOR_TAG": "v0.0.6", "DTS_TASK_HUB_NAMES": "a,b"}, "v0.0.6", "a,b"),
    ],
)
def test_tag_and_task_hubs_can_be_chosen(
    variables: dict[str, str], tag: str, task_hubs: str
) -> None:
    config = compose("config", **variables)
    assert f"image: mcr.microsoft.com/dts/dts-emulator:{tag}\n" in config
    assert f"DTS_TASK_HUB_NAMES: {task_hubs}\n" in config


@needs_docker_compose
def test_the_worker_uses_the_emulator_by_its_service_name() -> None:
    assert "ENDPOINT: http://emulator:8080\n" in compose("--profile", "worker", "config")


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction `name` of the Dockerfile."""
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def copied_files() -> list[str]:
    return [file for copy in instructions("COPY") for file in copy.split()[:-1]]


def test_what_the_image_copies_is_what_the_build_may_see() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert sorted(copied_files()) == sorted(line[1:] for line in ignored if line[:1] == "!")


def test_the_image_does_not_run_as_root() -> None:
    assert instructions("USER")[-1].split(":")[0] not in ("root", "0")


def test_the_files_of_the_image_are_a_worker_that_ends_cleanly_on_sigterm(
    emulator: Emulator, tmp_path: Path
) -> None:
    for name in copied_files():
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, tmp_path / name)
        else:
            shutil.copy(PROJECT / name, tmp_path)
    program, script = json.loads(instructions("ENTRYPOINT")[-1])
    assert program == "python"
    with running(str(tmp_path / script), ENDPOINT=emulator.endpoint) as worker:
        worker.wait_for_line("Successfully connected")
        assert worker.stop().status == 0
