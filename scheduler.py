"""Which scheduler to talk to: endpoint, task hub and credential, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from durabletask.grpc_options import GrpcChannelOptions

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

DEFAULT_ENDPOINT = "http://localhost:8080"
DEFAULT_TASK_HUB = "default"
CONNECTION_STRING = "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"

KEYS = ("Endpoint", "TaskHub", "Authentication", "ClientID")
AUTHENTICATIONS = (
    "None",
    "DefaultAzure",
    "ManagedIdentity",
    "WorkloadIdentity",
    "Environment",
    "AzureCLI",
)
WITH_CLIENT_ID = ("DefaultAzure", "ManagedIdentity", "WorkloadIdentity")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class ConfigurationError(ValueError):
    """A variable has a value that cannot be used; the message names it and says what to do."""


class Connection(TypedDict):
    """The arguments that the SDK's worker and client have in common."""

    host_address: str
    taskhub: str
    token_credential: TokenCredential | None
    secure_channel: bool
    channel_options: GrpcChannelOptions


@dataclass(frozen=True)
class Scheduler:
    """A scheduler and a task hub of it, and how to authenticate there.

    The scheme of `endpoint` decides: `http://` is plaintext without a credential, for the
    emulator; `https://` is TLS with the credential that `authentication` names.
    """

    endpoint: str = DEFAULT_ENDPOINT
    task_hub: str = DEFAULT_TASK_HUB
    authentication: str = "None"
    client_id: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Scheduler:
        """Read ENDPOINT and TASKHUB, or a connection string instead of both.

        Raises:
            ConfigurationError: a value is empty, malformed, or contradicts another one.
        """
        variables = {
            name: _value(environ, name) for name in ("ENDPOINT", "TASKHUB", CONNECTION_STRING)
        }
        endpoint, task_hub, connection_string = variables.values()
        if endpoint is not None and connection_string is not None:
            raise ConfigurationError(f"Set either ENDPOINT or {CONNECTION_STRING}, not both.")
        if endpoint is not None and ";" in endpoint:
            connection_string = endpoint
        if connection_string is None:
            return _checked(endpoint or DEFAULT_ENDPOINT, task_hub or DEFAULT_TASK_HUB, None, None)

        fields = _parse(connection_string)
        if task_hub is not None and fields.get("TaskHub", task_hub) != task_hub:
            raise ConfigurationError(
                f"TASKHUB says '{task_hub}', the connection string TaskHub={fields['TaskHub']}. "
                "Set it in one place."
            )
        return _checked(
            _required(fields, "Endpoint"),
            task_hub or _required(fields, "TaskHub"),
            fields.get("Authentication"),
            fields.get("ClientID"),
        )

    def credential(self) -> TokenCredential | None:
        """Return what `authentication` stands for; no token is fetched yet."""
        if self.authentication == "None":
            return None
        # Imported here because it takes 0.3 s, which the emulator's users should not pay for.
        from azure import identity

        match self.authentication:
            case "ManagedIdentity":
                return identity.ManagedIdentityCredential(client_id=self.client_id)
            case "WorkloadIdentity":
                options = {"client_id": self.client_id} if self.client_id else {}
                return identity.WorkloadIdentityCredential(**options)
            case "Environment":
                return identity.EnvironmentCredential()
            case "AzureCLI":
                return identity.AzureCliCredential()
            case _:
                options = {"managed_identity_client_id": self.client_id} if self.client_id else {}
                return identity.DefaultAzureCredential(**options)

    def connection(self) -> Connection:
        """Return the arguments for the SDK's worker and client."""
        secure = self.endpoint.startswith("https://")
        options: list[tuple[str, int]] = [
            # A scheduler that comes back is noticed within two seconds.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        if not secure:
            # A proxy for the web has no business between us and an emulator.
            options.append(("grpc.enable_http_proxy", 0))
        return Connection(
            host_address=self.endpoint,
            taskhub=self.task_hub,
            token_credential=self.credential(),
            secure_channel=secure,
            channel_options=GrpcChannelOptions(
                max_receive_message_length=MAX_MESSAGE_BYTES,
                max_send_message_length=MAX_MESSAGE_BYTES,
                raw_options=options,
            ),
        )


def _value(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value is not None and not value.strip():
        raise ConfigurationError(f"{name} is set but empty. Give it a value, or unset it.")
    return value.strip() if value is not None else None


def _parse(connection_string: str) -> dict[str, str]:
    """Split `Key=value;...` into a dictionary whose keys are spelled as in KEYS."""
    spelling = {key.casefold(): key for key in KEYS}
    fields: dict[str, str] = {}
    for part in filter(None, map(str.strip, connection_string.split(";"))):
        name, _, value = part.partition("=")
        key = spelling.get(name.strip().casefold())
        if key is None or not value.strip() or key in fields:
            raise ConfigurationError(
                f"The connection string has a wrong part '{name.strip()}'. "
                f"It takes each once, with a value: {', '.join(KEYS)}."
            )
        fields[key] = value.strip()
    return fields


def _required(fields: Mapping[str, str], key: str) -> str:
    if key not in fields:
        raise ConfigurationError(f"The connection string has no '{key}=...'. Add it.")
    return fields[key]


def _checked(
    endpoint: str, task_hub: str, authentication: str | None, client_id: str | None
) -> Scheduler:
    """Return the scheduler if the parts fit together."""
    endpoint = _checked_endpoint(endpoint)
    secure = endpoint.startswith("https://")
    spelling = {name.casefold(): name for name in AUTHENTICATIONS}
    if authentication is None:
        authentication = "DefaultAzure" if secure else "None"
    chosen = spelling.get(authentication.casefold())
    if chosen is None:
        raise ConfigurationError(
            f"Authentication={authentication} is unknown. Use one of {', '.join(AUTHENTICATIONS)}."
        )
    if chosen != "None" and not secure:
        raise ConfigurationError(
            f"Authentication={chosen} needs https://; a credential is never sent over {endpoint}."
        )
    if client_id is not None and chosen not in WITH_CLIENT_ID:
        raise ConfigurationError(
            f"ClientID does not go with Authentication={chosen}, only with "
            f"{', '.join(WITH_CLIENT_ID)}."
        )
    return Scheduler(endpoint, task_hub, chosen, client_id)


def _checked_endpoint(endpoint: str) -> str:
    """Return `scheme://host[:port]`, in which form gRPC finds the port.

    gRPC takes port 443 where none is given, for plaintext too.
    """
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"The endpoint '{endpoint}' is not a URL.") from None
    if url.username is not None or url.password is not None:
        raise ConfigurationError("The endpoint must not contain a user name or a password.")
    if url.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"The endpoint '{endpoint}' must begin with http:// (the emulator) or https:// "
            f"(Azure), e.g. {DEFAULT_ENDPOINT}"
        )
    if url.path.strip("/") or url.query or url.fragment:
        raise ConfigurationError(
            f"The endpoint '{endpoint}' must end after the host and port, e.g. {DEFAULT_ENDPOINT}"
        )
    if port is None and url.scheme == "http":
        return f"http://{url.netloc}:80"
    return f"{url.scheme}://{url.netloc}"
