"""The container files, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dts_emulator import Emulator
from tests.processes import PROJECT, environment, running

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
def test_the_worker_is_started_only_with_its_profile() -> None:
    config = compose("--profile", "worker", "config")
    assert re.findall(r"profiles:\s+- (\w+)", config) == ["worker"]


@needs_docker_compose
def test_both_ports_are_published_on_this_machine_only() -> None:
    config = compose("config")
    assert config.count("127.0.0.1") == 2
    assert "8080" in config
    assert "8082" in config


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
