"""Which scheduler the environment names: every value, every contradiction, and no secrets told."""

from __future__ import annotations

from typing import Any

import azure.identity
import pytest
from scheduler import CONNECTION_STRING, CREDENTIALS, ConfigurationError, Scheduler

from tests.processes import PROJECT, run

AZURE = "https://name.region.durabletask.io"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset what azure.identity would read."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def read(**variables: str) -> Scheduler:
    return Scheduler.from_environment(variables)


def connect(**fields: str) -> Scheduler:
    """Read a connection string of these fields to a task hub in Azure."""
    fields = {"Endpoint": AZURE, "TaskHub": "hub", **fields}
    return read(**{CONNECTION_STRING: ";".join(f"{key}={value}" for key, value in fields.items())})


def refusal(**variables: str) -> str:
    """Return why the environment is refused."""
    with pytest.raises(ConfigurationError) as caught:
        read(**variables)
    return str(caught.value)


# Where


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Scheduler("http://localhost:8080", "default", "None")),
        ({"TASKHUB": "hub"}, Scheduler("http://localhost:8080", "hub", "None")),
        ({"ENDPOINT": "http://emulator:8080"}, Scheduler("http://emulator:8080")),
        ({"ENDPOINT": AZURE, "TASKHUB": "hub"}, Scheduler(AZURE, "hub", "DefaultAzure")),
        ({"ENDPOINT": f" {AZURE} "}, Scheduler(AZURE, authentication="DefaultAzure")),
        ({CONNECTION_STRING: f"Endpoint={AZURE};TaskHub=h"}, Scheduler(AZURE, "h", "DefaultAzure")),
        ({"ENDPOINT": f"Endpoint={AZURE};TaskHub=h"}, Scheduler(AZURE, "h", "DefaultAzure")),
        ({"ENDPOINT": f"Endpoint={AZURE};", "TASKHUB": "h"}, Scheduler(AZURE, "h", "DefaultAzure")),
        (
            {"ENDPOINT": f"ENDPOINT = {AZURE} ; taskhub=h;AUTHENTICATION=azurecli;"},
            Scheduler(AZURE, "h", "AzureCLI"),
        ),
        (
            {"ENDPOINT": "Endpoint=http://localhost:8080;TaskHub=h;Authentication=None"},
            Scheduler("http://localhost:8080", "h", "None"),
        ),
        (
            {"ENDPOINT": f"Endpoint={AZURE};TaskHub=h;Authentication=None"},
            Scheduler(AZURE, "h", "None"),
        ),
    ],
)
def test_the_environment_names_one_scheduler(
    variables: dict[str, str], expected: Scheduler
) -> None:
    assert read(**variables) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://localhost:8080/", "http://localhost:8080"),
        ("HTTP://localhost:8080", "http://localhost:8080"),
        ("http://localhost", "http://localhost:80"),
        ("http://localhost:", "http://localhost:80"),
        ("http://[::1]", "http://[::1]:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        (f"{AZURE}/", AZURE),
        (f"{AZURE}:443", f"{AZURE}:443"),
    ],
)
def test_an_endpoint_is_given_to_grpc_in_a_form_in_which_it_finds_the_port(
    endpoint: str, expected: str
) -> None:
    assert read(ENDPOINT=endpoint).endpoint == expected


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ENDPOINT": ""}, "ENDPOINT is set but empty"),
        ({"TASKHUB": " "}, "TASKHUB is set but empty"),
        ({CONNECTION_STRING: ""}, f"{CONNECTION_STRING} is set but empty"),
        ({"ENDPOINT": AZURE, CONNECTION_STRING: "x=y"}, "Set either ENDPOINT or"),
        ({"TASKHUB": "hub\nforged"}, "TASKHUB holds a character"),
        ({"TASKHUB": "hub\x1b[2J"}, "TASKHUB holds a character"),
        ({"TASKHUB": "h\u00fcb"}, "TASKHUB holds a character"),
        ({"TASKHUB": "hub\udcff"}, "TASKHUB holds a character"),
        ({"ENDPOINT": f"Endpoint={AZURE};TaskHub=h\u00fcb"}, "TASKHUB holds a character"),
        ({"ENDPOINT": "http://localhost\nforged"}, "not a URL"),
        ({"ENDPOINT": "http://l\u00f6calhost"}, "not a URL"),
        ({"ENDPOINT": "localhost:8080"}, "must begin with http://"),
        ({"ENDPOINT": "grpc://localhost:8080"}, "must begin with http://"),
        ({"ENDPOINT": "http://:8080"}, "must begin with http://"),
        ({"ENDPOINT": "http://localhost:eighty"}, "not a URL"),
        ({"ENDPOINT": "http://localhost:99999"}, "not a URL"),
        ({"ENDPOINT": "http://[::1"}, "not a URL"),
        ({"ENDPOINT": f"{AZURE}/hub"}, "and nothing else"),
        ({"ENDPOINT": f"{AZURE}?hub"}, "and nothing else"),
        ({"ENDPOINT": f"{AZURE}#hub"}, "and nothing else"),
        ({"ENDPOINT": "http://local host"}, "and nothing else"),
        ({"ENDPOINT": "http://me@localhost"}, "and nothing else"),
        ({"ENDPOINT": f"Endpoint={AZURE};"}, "has no 'TaskHub=...'. Add it, or set TASKHUB"),
        ({CONNECTION_STRING: "TaskHub=hub"}, "has no 'Endpoint=...'"),
        ({"ENDPOINT": f"Endpoint={AZURE};TaskHub="}, "Part 2 of the connection string"),
        ({"ENDPOINT": f"Endpoint={AZURE};;TaskHub"}, "Part 2 of the connection string"),
        ({"ENDPOINT": f"Endpoint={AZURE};Colour=red"}, "Endpoint, TaskHub, Authentication"),
        ({"ENDPOINT": f"TaskHub=a;TaskHub=b;Endpoint={AZURE}"}, "TaskHub is set twice"),
        ({"ENDPOINT": f"Endpoint={AZURE};TaskHub=a", "TASKHUB": "b"}, "TaskHub is set twice"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_reason(
    variables: dict[str, str], reason: str
) -> None:
    assert reason in refusal(**variables)


# With which credential


@pytest.mark.parametrize(
    ("authentication", "class_name"),
    [
        ("DefaultAzure", "DefaultAzureCredential"),
        ("ManagedIdentity", "ManagedIdentityCredential"),
        ("WorkloadIdentity", "WorkloadIdentityCredential"),
        ("Environment", "EnvironmentCredential"),
        ("AzureCLI", "AzureCliCredential"),
        ("azurecli", "AzureCliCredential"),
    ],
)
def test_an_authentication_is_a_credential_of_azure_identity(
    authentication: str, class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.setenv(name, "value")
    connection = connect(Authentication=authentication).connection()
    assert type(connection["token_credential"]).__name__ == class_name
    assert connection["secure_channel"]


@pytest.mark.parametrize(
    ("authentication", "class_name", "argument"),
    [
        ("DefaultAzure", "DefaultAzureCredential", "managed_identity_client_id"),
        ("ManagedIdentity", "ManagedIdentityCredential", "client_id"),
        ("WorkloadIdentity", "WorkloadIdentityCredential", "client_id"),
    ],
)
def test_a_client_id_goes_to_the_credential(
    authentication: str, class_name: str, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(azure.identity, class_name, lambda **arguments: given.append(arguments))
    connect(Authentication=authentication).credential()
    connect(Authentication=authentication, ClientID="id").credential()
    assert given == [{}, {argument: "id"}]


@pytest.mark.parametrize("authentication", ["None", "Environment", "AzureCLI"])
def test_a_client_id_is_refused_where_it_would_be_ignored(authentication: str) -> None:
    with pytest.raises(ConfigurationError, match=f"does not go with .*={authentication}"):
        connect(Authentication=authentication, ClientID="id")


def test_an_unknown_authentication_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown\. .* None, DefaultAzure, Man"):
        connect(Authentication="Magic")


@pytest.mark.parametrize(
    "authentication",
    ["DefaultAzure", "ManagedIdentity", "WorkloadIdentity", "Environment", "AzureCLI"],
)
def test_a_credential_is_never_sent_over_plaintext(authentication: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{authentication} needs an endpoint with https"):
        connect(Endpoint="http://localhost:8080", Authentication=authentication)


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:8080", "http://127.0.0.1:8080", "http://emulator:8080"]
)
def test_plaintext_goes_without_a_credential_to_any_host(endpoint: str) -> None:
    connection = read(ENDPOINT=endpoint).connection()
    assert connection["token_credential"] is None
    assert not connection["secure_channel"]


def test_a_workload_identity_without_its_variables_says_which_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="It needs AZURE_TENANT_ID, AZURE_CLIENT_ID"):
        connect(Authentication="WorkloadIdentity").connection()


def test_a_certificate_that_is_not_there_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "id")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/no/such/certificate.pem")
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    with pytest.raises(ConfigurationError, match="No such file"):
        connect(Authentication="Environment").connection()


def test_the_documentation_lists_every_authentication_with_its_credential() -> None:
    rows = (PROJECT / "docs/azure.md").read_text().splitlines()
    for name, credential in CREDENTIALS.items():
        assert [row for row in rows if f"| `{name}`" in row and f"`{credential.class_name}`" in row]


# In the processes


@pytest.mark.parametrize(
    "variables",
    [
        {"ENDPOINT": f"http://me:{SECRET}@localhost"},
        {"ENDPOINT": f"{AZURE}?sig={SECRET}"},
        {"ENDPOINT": f"{SECRET}://host"},
        {"ENDPOINT": f"http://host:{SECRET}"},
        {"ENDPOINT": f"Endpoint={AZURE};TaskHub=hub;{SECRET}"},
        {"ENDPOINT": f"Endpoint={AZURE};TaskHub=hub;AccountKey={SECRET}"},
        {"ENDPOINT": f"Endpoint={AZURE};TaskHub=hub;Authentication={SECRET}"},
        {"TASKHUB": f"{SECRET}\nx"},
    ],
)
def test_no_message_repeats_what_may_be_a_secret(variables: dict[str, str]) -> None:
    assert SECRET not in refusal(**variables)


@pytest.mark.parametrize("program", ["worker.py", "client.py"])
@pytest.mark.parametrize(
    "connection_string",
    ["Endpoint", f"Endpoint={AZURE};TaskHub=h;Authentication=WorkloadIdentity"],
)
def test_a_program_ends_with_status_2_and_one_line_for_a_wrong_value(
    program: str, connection_string: str
) -> None:
    finished = run(program, **{CONNECTION_STRING: connection_string})
    assert finished.status == 2
    assert finished.stderr.splitlines()[-1:] == [
        line for line in finished.stderr.splitlines() if "ERROR" in line
    ]
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("module", ["worker", "client"])
def test_azure_identity_is_not_imported_for_an_emulator(module: str) -> None:
    script = (
        f"import sys, {module}, scheduler; scheduler.Scheduler().connection(); "
        "print('azure.identity' in sys.modules)"
    )
    assert run("-c", script).stdout == "False\n"
