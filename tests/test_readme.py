"""What README says of messages, of files and of itself is so."""

from __future__ import annotations

import logging
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from durabletask.worker import TaskHubGrpcWorker
from scheduler import ConfigurationError, Scheduler

from dts_emulator import Emulator
from dts_emulator.dashboard.web_server import NO_CONNECTION
from dts_emulator.rpc.routing import too_many_streams
from dts_emulator.store.writer import cannot_write
from hosting.activities import register
from hosting.errors import explain
from tests.conftest import endpoint_of
from tests.hosting.test_errors import call_error
from tests.processes import FREE_PORTS, PROJECT, run, running
from tests.system.test_outage import emulator_at, port_of

README = (PROJECT / "README.md").read_text(encoding="utf-8")
MAX_WORDS = 2050  # outside code
NOBODY_LISTENS = "http://127.0.0.1:9"


def section(title: str) -> str:
    """Return what stands below a heading of README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def symptoms() -> list[str]:
    """Return the messages in the first column of README's table."""
    return re.findall(r"^\| `(.+?)` \|", section("When something is wrong"), re.MULTILINE)


def no_emulator() -> str:
    client = run("client.py", "--timeout", "1", ENDPOINT=NOBODY_LISTENS)
    return client.stderr.replace(NOBODY_LISTENS, "http://localhost:8080")


def port_in_use() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        emulator = run("-m", "dts_emulator", "--port", port, "--dashboard-port", "0")
    return emulator.stderr.replace(port, "8080")


def at_an_emulator(*clients: list[str], **variables: str) -> str:
    """Return what clients say, one after the other, where no worker runs."""
    said = ""
    with emulator_at(0) as emulator:
        for arguments in clients:
            said += run("client.py", *arguments, ENDPOINT=endpoint_of(emulator), **variables).stderr
    return said


def no_worker() -> str:
    return at_an_emulator(["--timeout", "4"]).replace("after 4 s", "after 60 s")


def unknown_task_hub() -> str:
    return at_an_emulator([], TASKHUB="x")


def id_in_use() -> str:
    arguments = ["--instance-id", "x", "--timeout", "0.1"]
    return at_an_emulator(arguments, arguments)


def forgotten() -> str:
    with emulator_at(0) as emulator:
        endpoint = endpoint_of(emulator)
        with running("client.py", ENDPOINT=endpoint) as client:
            client.wait_for_line("Waiting for orchestration")
            emulator.kill()
            with emulator_at(port_of(endpoint)):
                return client.finish().stderr


def too_large() -> str:
    code = (
        "from hosting.clients import connect; from hosting.program import start\n"
        "with connect(start('client'), 10) as client:\n"
        "    client.schedule_new_orchestration('any', input='x' * 2_000_000)\n"
    )
    with emulator_at(0) as emulator:
        return run("-c", code, ENDPOINT=endpoint_of(emulator)).stderr


def failing_item() -> str:
    code = (
        "import sys, worker\n"
        "def process_work_item(_, item): raise ValueError\n"
        "worker.process_work_item = process_work_item\n"
        "sys.exit(worker.main([]))"
    )
    with emulator_at(0) as emulator:
        endpoint = endpoint_of(emulator)
        with running("-c", code, ENDPOINT=endpoint) as worker:
            with running("client.py", "7", ENDPOINT=endpoint):
                worker.wait_for_line("failed for 7")
            return worker.stderr


def file_in_use() -> str:
    with tempfile.TemporaryDirectory() as folder, Emulator(db_file=Path(folder) / "dev.db"):
        return run("-m", "dts_emulator", "--db-file", f"{folder}/dev.db", *FREE_PORTS).stderr


def async_activity() -> str:
    async def process_work_item(_: object, item: int) -> int:
        return item

    with pytest.raises(ConfigurationError) as refused:
        register(TaskHubGrpcWorker(), logging.getLogger(), [], [process_work_item])
    return str(refused.value)


SAID: dict[str, Callable[[], str]] = {
    "No scheduler answers yet at http://localhost:8080": no_emulator,
    "Port 8080 on 127.0.0.1 is in use": port_in_use,
    "No worker has taken it yet": no_worker,
    "The orchestration is still running after 60 s": no_worker,
    "The scheduler no longer knows the orchestration": forgotten,
    "Cannot use task hub 'x'": unknown_task_hub,
    "The instance ID 'x' is in use": id_in_use,
    "The scheduler does not take this input": too_large,
    "Not authorised for task hub": lambda: explain(call_error("PERMISSION_DENIED"), Scheduler()),
    "The endpoint must begin with http://": lambda: run("client.py", ENDPOINT="localhost").stderr,
    "python3 is older than 3.10": lambda: (
        (PROJECT / "Makefile").read_text(encoding="utf-8").replace("$(PYTHON)", "python3")
    ),
    "process_work_item failed for 7": failing_item,
    "is in use by another emulator": file_in_use,
    "The emulator cannot write to dev.db": lambda: cannot_write("dev.db", "disk is full"),
    "This emulator serves at most 1,000 streams simultaneously": lambda: str(too_many_streams()),
    "The dashboard accepts no connections at present": lambda: NO_CONNECTION,
    "Invalid task hub name 'a/b'": lambda: (
        run("-m", "dts_emulator", "--task-hubs", "a/b").stderr
    ),
    "is an async function": async_activity,
}


@pytest.mark.parametrize("symptom", symptoms())
def test_a_symptom_is_said_in_these_words(symptom: str) -> None:
    assert symptom in SAID[symptom]()


def test_the_table_of_symptoms_is_found() -> None:
    assert set(symptoms()) == set(SAID)


def test_readme_stays_short_and_leaves_azure_and_figures_to_their_own_files() -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert len(prose.split()) < MAX_WORDS
    assert not re.search(r"^\s*az ", README, re.MULTILINE)
    assert "items per second" not in README


def test_every_file_that_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README)
    named = re.findall(r"^\| `([\w/]+(?:\.py)?)` \|", section("What to read first"), re.MULTILINE)
    files = [name for name in (*links, *named) if "://" not in name]
    assert len(files) > 10
    assert [name for name in files if not (PROJECT / name).exists()] == []


def test_the_examples_readme_shows_the_quickstarts_output_and_its_commands() -> None:
    text = (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")
    modules = re.findall(r"python -m (examples[.\w]+)", text)
    assert len(set(modules)) == 4
    for module in modules:
        assert (PROJECT / (module.replace(".", "/") + ".py")).exists()
