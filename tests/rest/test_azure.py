"""Worker and client as in Azure: over TLS, with tokens of a managed identity.

The scheduler and the identity are stand-ins of tests/rest/azure.py; nothing inside worker.py and
client.py is replaced.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hosting.scheduler import CONNECTION_STRINGS, MANAGED_IDENTITY
from tests.processes import run, running, wait_until
from tests.rest.azure import DeployedScheduler, ManagedIdentity

RESULT = {"total_items": 10, "sum": 385, "average": 38.5}

# A client that is refused for good must not wait for it to pass.
IMMEDIATELY_SECONDS = 20.0


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the identities of the machine that runs the tests, and its network.

    What azure.identity asks of other hosts goes to a proxy that does not exist.
    """
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # Without the Azure CLI.


@pytest.fixture
def identity() -> Iterator[ManagedIdentity]:
    """Give the managed identity of the machine that worker and client run on."""
    identity = ManagedIdentity()
    with identity.serving():
        yield identity


@pytest.fixture
def deployed(identity: ManagedIdentity, tmp_path: Path) -> Iterator[DeployedScheduler]:
    """Give a running scheduler where the identity has the role."""
    deployed = DeployedScheduler(identity, tmp_path)
    deployed.start()
    yield deployed
    deployed.stop()


@pytest.fixture
def variables(identity: ManagedIdentity, deployed: DeployedScheduler) -> dict[str, str]:
    """Give the environment of a program on that machine that uses the scheduler."""
    return {**identity.variables, **deployed.variables}


def test_ten_items_run_over_tls_with_a_token_on_every_call(
    variables: dict[str, str], identity: ManagedIdentity, deployed: DeployedScheduler
) -> None:
    with running("worker.py", **variables) as worker:
        client = run("client.py", **variables)
        worker.stop()
    assert client.status == 0, client.stderr
    assert json.loads(client.stdout) == RESULT
    assert set().union(*deployed.gate.admitted.values()) == set(identity.tokens)
    for log in (client.stderr, worker.stderr):
        assert f"Using endpoint: {deployed.endpoint}" in log
        assert not [token for token in identity.tokens if token in log]


@pytest.mark.parametrize(
    ("fields", "variable", "chosen"),
    [
        ("Authentication=ManagedIdentity;ClientID=mine", {}, "mine"),
        ("Authentication=DefaultAzure", {MANAGED_IDENTITY: "of-azd"}, "of-azd"),
    ],
)
def test_a_client_id_chooses_among_the_identities_of_the_machine(
    fields: str,
    variable: dict[str, str],
    chosen: str,
    variables: dict[str, str],
    identity: ManagedIdentity,
) -> None:
    endpoint = variables.pop("ENDPOINT")
    variables[CONNECTION_STRINGS[1]] = f"Endpoint={endpoint};TaskHub=default;{fields}"
    with running("worker.py", **variables, **variable):
        client = run("client.py", "2", **variables, **variable)
    assert json.loads(client.stdout)["sum"] == 5
    assert identity.client_ids == {chosen}


# Tokens that expire


def test_a_worker_continues_with_new_tokens_when_old_ones_expire(
    variables: dict[str, str], identity: ManagedIdentity, deployed: DeployedScheduler
) -> None:
    identity.token_lifetime = 3
    admitted = deployed.gate.admitted
    with running("worker.py", **variables) as worker:
        wait_until(lambda: len(admitted.get("GetWorkItems", ())) > 1, "a stream with a new token")
        client = run("client.py", **variables)
        assert "Not authenticated" not in worker.stderr
    assert json.loads(client.stdout) == RESULT


def test_a_client_continues_with_a_new_token_when_a_long_wait_outlives_the_old_one(
    variables: dict[str, str], identity: ManagedIdentity, deployed: DeployedScheduler
) -> None:
    identity.token_lifetime = 3
    admitted = deployed.gate.admitted
    with running("client.py", **variables) as client:
        wait_until(
            lambda: len(admitted.get("WaitForInstanceCompletion", ())) > 1,
            "the wait taken up with a new token",
        )
        identity.token_lifetime = 3600
        with running("worker.py", **variables):
            finished = client.finish()
    assert finished.status == 0, finished.stderr
    assert json.loads(finished.stdout) == RESULT


# A scheduler that cannot be used


def refused_token(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    deployed.gate.identity = ManagedIdentity()  # One that has handed out no token.
    return variables


def missing_role(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    deployed.gate.authorised = False
    return variables


def no_identity(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in variables if not name.startswith("IDENTITY_")}


def no_token_file(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    return {
        **variables,
        "ENDPOINT": f"Endpoint={deployed.endpoint};TaskHub=default;Authentication=WorkloadIdentity",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "id",
        "AZURE_FEDERATED_TOKEN_FILE": "no-such-file",
    }


def untrusted_certificate(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    return {name: variables[name] for name in variables if not name.startswith("GRPC_")}


def unknown_task_hub(deployed: DeployedScheduler, variables: dict[str, str]) -> dict[str, str]:
    return {**variables, "TASKHUB": "another"}


Arrange = Callable[[DeployedScheduler, dict[str, str]], dict[str, str]]


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (refused_token, ["Not authenticated", "Use an identity of the scheduler's tenant"]),
        (missing_role, ["Not authorised", "'Durable Task Data Contributor'"]),
        (no_identity, ["No token", "az login"]),
        (no_token_file, ["No token", "No such file"]),
        (untrusted_certificate, ["certificate is not trusted"]),
        (unknown_task_hub, ["Cannot use task hub 'another'", "Check TASKHUB"]),
    ],
)
def test_a_client_that_is_refused_ends_immediately_with_status_4_and_says_what_to_do(
    arrange: Arrange, words: list[str], deployed: DeployedScheduler, variables: dict[str, str]
) -> None:
    started = time.monotonic()
    client = run("client.py", **arrange(deployed, variables))
    assert time.monotonic() - started < IMMEDIATELY_SECONDS
    assert client.status == 4
    assert client.stdout == ""
    assert "Traceback" not in client.stderr
    errors = [line for line in client.stderr.splitlines() if " ERROR: " in line]
    assert len(errors) == 1
    assert [word for word in words if word not in errors[0]] == []


@pytest.mark.parametrize(
    ("arrange", "words"),
    [(missing_role, ["Not authorised"]), (untrusted_certificate, ["certificate is not trusted"])],
)
def test_a_worker_that_is_refused_says_so_on_one_line_and_tries_until_it_is_stopped(
    arrange: Arrange, words: list[str], deployed: DeployedScheduler, variables: dict[str, str]
) -> None:
    with running("worker.py", **arrange(deployed, variables)) as worker:
        worker.wait_for_line(words[0])
        ended = worker.stop()
    assert ended.status == 0
    assert len([line for line in ended.stderr.splitlines() if words[0] in line]) == 1
    assert "Traceback" not in worker.stderr
    assert "Attempted credentials" not in worker.stderr


def test_a_refused_worker_starts_to_work_when_its_identity_gets_the_role(
    variables: dict[str, str], deployed: DeployedScheduler
) -> None:
    deployed.gate.authorised = False
    with running("worker.py", **variables) as worker:
        worker.wait_for_line("Not authorised")
        deployed.gate.authorised = True
        client = run("client.py", **variables)
    assert json.loads(client.stdout) == RESULT


# A scheduler that goes and comes back


def test_a_waiting_client_gets_its_result_from_a_scheduler_that_has_come_back(
    variables: dict[str, str], deployed: DeployedScheduler
) -> None:
    with running("client.py", **variables) as client:
        client.wait_for_line("Waiting for orchestration")
        deployed.stop()
        client.wait_for_line("Lost the connection to")
        deployed.start()
        with running("worker.py", **variables):
            finished = client.finish()
    assert finished.status == 0, finished.stderr
    assert json.loads(finished.stdout) == RESULT
