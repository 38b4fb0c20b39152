"""The variables that other samples and Azure's infrastructure set, and that README lists."""

from __future__ import annotations

import pytest
from scheduler import CONNECTION_STRINGS, MANAGED_IDENTITY, ConfigurationError, Scheduler

from tests.processes import PROJECT

LONG, SHORT = CONNECTION_STRINGS
AZURE = "https://name.region.durabletask.io"
STRING = f"Endpoint={AZURE};TaskHub=h"


@pytest.mark.parametrize(
    "variables",
    [{LONG: STRING}, {SHORT: STRING}, {LONG: STRING, SHORT: STRING}],
    ids=["the long name", "the short name", "both, with one value"],
)
def test_a_connection_string_may_have_either_name(variables: dict[str, str]) -> None:
    assert Scheduler.from_environment(variables) == Scheduler(AZURE, "h", "DefaultAzure")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({SHORT: ""}, f"{SHORT} is set but empty"),
        ({LONG: STRING, SHORT: f"{STRING}2"}, f"{LONG} and {SHORT} are set to different values"),
        ({"ENDPOINT": AZURE, SHORT: STRING}, f"Set either ENDPOINT or {SHORT}, not both"),
        ({"ENDPOINT": AZURE, LONG: STRING}, f"Set either ENDPOINT or {LONG}, not both"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(variables: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Scheduler.from_environment(variables)


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
def test_the_identity_that_azures_infrastructure_names_is_used_where_no_other_is(
    endpoint: str, client_id: str | None
) -> None:
    variables = {"ENDPOINT": endpoint, MANAGED_IDENTITY: " of-azd "}
    assert Scheduler.from_environment(variables).client_id == client_id


def test_an_empty_name_of_an_identity_names_none() -> None:
    variables = {"ENDPOINT": AZURE, MANAGED_IDENTITY: ""}
    assert Scheduler.from_environment(variables).client_id is None


@pytest.mark.parametrize("name", ["ENDPOINT", "TASKHUB", *CONNECTION_STRINGS, MANAGED_IDENTITY])
def test_readme_lists_the_variable(name: str) -> None:
    assert f"| `{name}` |" in (PROJECT / "README.md").read_text(encoding="utf-8")
