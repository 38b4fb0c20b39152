"""The scheduler that the environment names: each value, each contradiction, no secret repeated."""

from __future__ import annotations

from typing import Any

import azure.identity
import pytest

from hosting.scheduler import (
    CONNECTION_STRINGS,
    CREDENTIALS,
    MANAGED_IDENTITY,
    ConfigurationError,
    Scheduler,
)
from tests.processes import PROJECT, lines_of_trouble, run

LONG, SHORT = CONNECTION_STRINGS
AZURE = "https://name.region.durabletask.io"
STRING = f"Endpoint={AZURE};TaskHub=h"
IN_AZURE = Scheduler(AZURE, "h", "DefaultAzure")
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
    return read(**{LONG: ";".join(f"{key}={value}" for key, value in fields.items())})


def refusal(**variables: str) -> str:
    """Return why the environment is refused."""
    with pytest.raises(ConfigurationError) as caught:
        read(**variables)
    return str(caught.value)


# Endpoint and task hub


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Scheduler("http://localhost:8080", "default", "None")),
        ({"TASKHUB": "hub"}, Scheduler("http://localhost:8080", "hub", "None")),
        ({"ENDPOINT": "http://emulator:8080"}, Scheduler("http://emulator:8080")),
        ({"ENDPOINT": AZURE, "TASKHUB": "hub"}, Scheduler(AZURE, "hub", "DefaultAzure")),
        ({"ENDPOINT": f" {AZURE} "}, Scheduler(AZURE, authentication="DefaultAzure")),
        ({LONG: STRING}, IN_AZURE),
        ({SHORT: STRING}, IN_AZURE),
        ({LONG: STRING, SHORT: STRING}, IN_AZURE),
        ({"ENDPOINT": STRING}, IN_AZURE),
        ({"ENDPOINT": f"Endpoint={AZURE};", "TASKHUB": "h"}, IN_AZURE),
        (
            {"ENDPOINT": f"ENDPOINT = {AZURE} ; taskhub=h;AUTHENTICATION=azurecli;"},
            Scheduler(AZURE, "h", "AzureCLI"),
        ),
        (
            {"ENDPOINT": "Endpoint=http://localhost:8080;TaskHub=h;Authentication=None"},
            Scheduler("http://localhost:8080", "h", "None"),
        ),
        ({"ENDPOINT": f"{STRING};Authentication=None"}, Scheduler(AZURE, "h", "None")),
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
def test_grpc_gets_an_endpoint_in_a_form_in_which_it_finds_the_port(
    endpoint: str, expected: str
) -> None:
    assert read(ENDPOINT=endpoint).endpoint == expected


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:8080",
        "grpc://localhost:8080",
        "http://:8080",
        "http://localhost:eighty",
        "http://localhost:99999",
        "http://[::1",
        "http://localhost\nforged",
        "http://l\u00f6calhost",
        "http://local host",
        "http://me@localhost",
        f"{AZURE}/hub",
        f"{AZURE}?hub",
        f"{AZURE}#hub",
    ],
)
def test_an_invalid_endpoint_is_refused_with_the_form_of_a_valid_one(endpoint: str) -> None:
    assert refusal(ENDPOINT=endpoint).startswith("Invalid endpoint: use http://HOST:PORT")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ENDPOINT": ""}, "ENDPOINT is set but empty"),
        ({"TASKHUB": " "}, "TASKHUB is set but empty"),
        ({LONG: ""}, f"{LONG} is set but empty"),
        ({SHORT: ""}, f"{SHORT} is set but empty"),
        ({"ENDPOINT": AZURE, LONG: STRING}, f"ENDPOINT and {LONG} contradict each other"),
        ({"ENDPOINT": AZURE, SHORT: STRING}, f"ENDPOINT and {SHORT} contradict each other"),
        ({LONG: STRING, SHORT: f"{STRING}2"}, f"{LONG} and {SHORT} contradict each other"),
        ({"TASKHUB": "hub\nforged"}, "TASKHUB contains a character"),
        ({"TASKHUB": "hub\x1b[2J"}, "TASKHUB contains a character"),
        ({"TASKHUB": "h\u00fcb"}, "TASKHUB contains a character"),
        ({"TASKHUB": "hub\udcff"}, "TASKHUB contains a character"),
        ({"ENDPOINT": f"{STRING}\u00fc"}, "TASKHUB contains a character"),
        ({"ENDPOINT": f"Endpoint={AZURE};"}, "lacks TaskHub"),
        ({LONG: "TaskHub=hub"}, "lacks Endpoint"),
        ({LONG: "Authentication=None"}, "lacks Endpoint and TaskHub"),
        ({"ENDPOINT": f"Endpoint={AZURE};TaskHub="}, "Invalid connection string (part 2)"),
        ({"ENDPOINT": f"Endpoint={AZURE};;TaskHub"}, "Invalid connection string (part 2)"),
        ({"ENDPOINT": f"{STRING};Colour=red"}, "Endpoint, TaskHub, Authentication, ClientID"),
        ({"ENDPOINT": f"TaskHub=a;TaskHub=b;Endpoint={AZURE}"}, "TaskHub has two different"),
        ({"ENDPOINT": STRING, "TASKHUB": "b"}, "TaskHub has two different values"),
    ],
)
def test_a_missing_or_contradicting_value_is_refused_with_the_reason(
    variables: dict[str, str], reason: str
) -> None:
    assert reason in refusal(**variables)


# Credentials


@pytest.mark.parametrize(
    ("authentication", "class_name"),
    [(name, class_name) for name, (class_name, _) in CREDENTIALS.items()]
    + [("azurecli", "AzureCliCredential")],
)
def test_an_authentication_is_a_credential_of_azure_identity(
    authentication: str, class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.setenv(name, "value")
    connection = connect(Authentication=authentication).connection()
    assert type(connection["token_credential"]).__name__ == class_name
    assert connection["secure_channel"]


@pytest.mark.parametrize("authentication", ["DefaultAzure", "ManagedIdentity", "WorkloadIdentity"])
def test_a_client_id_is_passed_to_the_credential(
    authentication: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_name, argument = CREDENTIALS[authentication]
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(azure.identity, class_name, lambda **arguments: given.append(arguments))
    connect(Authentication=authentication).connection()
    connect(Authentication=authentication, ClientID="id").connection()
    assert given == [{}, {argument: "id"}]


@pytest.mark.parametrize("authentication", ["None", "Environment", "AzureCLI"])
def test_a_client_id_that_would_be_ignored_is_refused(authentication: str) -> None:
    with pytest.raises(ConfigurationError, match=f"ClientID does not go with {authentication}"):
        connect(Authentication=authentication, ClientID="id")


@pytest.mark.parametrize(
    ("endpoint", "client_id"),
    [
        (AZURE, "of-azd"),
        (f"{STRING};Authentication=ManagedIdentity", "of-azd"),
        (f"{STRING};Authentication=ManagedIdentity;ClientID=own", "own"),
        (f"{STRING};ClientID=own", "own"),
        (f"{STRING};Authentication=WorkloadIdentity", None),
        (f"{STRING};Authentication=AzureCLI", None),
        ("http://localhost:8080", None),
    ],
)
def test_azds_identity_is_used_where_no_other_is_named(
    endpoint: str, client_id: str | None
) -> None:
    assert read(ENDPOINT=endpoint, **{MANAGED_IDENTITY: " of-azd "}).client_id == client_id
    assert read(ENDPOINT=AZURE, **{MANAGED_IDENTITY: ""}).client_id is None


def test_an_unknown_authentication_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown Authentication: use None, DefaultAz"):
        connect(Authentication="Magic")


@pytest.mark.parametrize("authentication", CREDENTIALS)
def test_a_credential_is_never_sent_over_plaintext(authentication: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{authentication} needs https:// in the endp"):
        connect(Endpoint="http://localhost:8080", Authentication=authentication)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "emulator:8080"])
def test_plaintext_goes_to_any_host_without_a_credential(host: str) -> None:
    connection = read(ENDPOINT=f"http://{host}").connection()
    assert connection["token_credential"] is None
    assert not connection["secure_channel"]


def test_a_workload_identity_without_its_variables_says_which_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="client_id"):
        connect(Authentication="WorkloadIdentity").connection()


def test_a_certificate_that_cannot_be_read_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "id")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/no/such/certificate.pem")
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    with pytest.raises(ConfigurationError, match="No such file"):
        connect(Authentication="Environment").connection()


# Secrets, documentation, programs


@pytest.mark.parametrize(
    "variables",
    [
        {"ENDPOINT": f"http://me:{SECRET}@localhost"},
        {"ENDPOINT": f"{AZURE}?sig={SECRET}"},
        {"ENDPOINT": f"{SECRET}://host"},
        {"ENDPOINT": f"http://host:{SECRET}"},
        {"ENDPOINT": f"{STRING};{SECRET}"},
        {"ENDPOINT": f"{STRING};AccountKey={SECRET}"},
        {"ENDPOINT": f"{STRING};Authentication={SECRET}"},
        {"TASKHUB": f"{SECRET}\nx"},
    ],
)
def test_no_message_repeats_a_value_that_may_be_a_secret(variables: dict[str, str]) -> None:
    assert SECRET not in refusal(**variables)


def test_the_documentation_lists_every_authentication_with_its_credential() -> None:
    text = (PROJECT / "docs/azure.md").read_text(encoding="utf-8")
    for name, (class_name, argument) in CREDENTIALS.items():
        (row,) = [row for row in text.splitlines() if row.startswith(f"| `{name}`")]
        assert f"`{class_name}`" in row
        assert ("not allowed" in row) == (not argument)


@pytest.mark.parametrize("name", ["ENDPOINT", "TASKHUB", *CONNECTION_STRINGS, MANAGED_IDENTITY])
def test_the_reference_lists_the_variable(name: str) -> None:
    assert f"| `{name}` |" in (PROJECT / "docs/reference.md").read_text(encoding="utf-8")


def test_an_invalid_variable_ends_the_worker_with_one_line_and_status_2() -> None:
    ended = run("worker.py", **{LONG: f"{STRING};Authentication=WorkloadIdentity"})
    assert (ended.status, ended.stdout) == (2, "")
    (line,) = lines_of_trouble(ended)
    assert " ERROR: " in line
