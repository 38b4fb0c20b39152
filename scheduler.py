"""Which scheduler to talk to: endpoint, task hub and credential, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from urllib.parse import urlsplit

from durabletask.grpc_options import GrpcChannelOptions

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

DEFAULT_ENDPOINT = "http://localhost:8080"
DEFAULT_TASK_HUB = "default"
CONNECTION_STRING = "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"
# The .NET and Java samples of Durable Task Scheduler read the second one.
CONNECTION_STRINGS = (CONNECTION_STRING, "DURABLE_TASK_CONNECTION_STRING")
KEYS = ("Endpoint", "TaskHub", "Authentication", "ClientID")

# Azure's sample infrastructure (azd) names the identity that it has made in this variable.
MANAGED_IDENTITY = "AZURE_MANAGED_IDENTITY_CLIENT_ID"

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class ConfigurationError(ValueError):
    """A variable has a value that cannot be used; the message names it and says what to do."""


class Credential(NamedTuple):
    """What stands behind a value of `Authentication`."""

    class_name: str  # in azure.identity
    client_id_argument: str | None
    advice: str


CREDENTIALS = {
    "DefaultAzure": Credential(
        "DefaultAzureCredential",
        "managed_identity_client_id",
        "Sign in with 'az login', or give this machine a managed identity.",
    ),
    "ManagedIdentity": Credential(
        "ManagedIdentityCredential",
        "client_id",
        "Give this machine a managed identity. If it has several, name one with ClientID "
        f"or {MANAGED_IDENTITY}.",
    ),
    "WorkloadIdentity": Credential(
        "WorkloadIdentityCredential",
        "client_id",
        "It needs AZURE_TENANT_ID, AZURE_CLIENT_ID (or ClientID) and AZURE_FEDERATED_TOKEN_FILE.",
    ),
    "Environment": Credential(
        "EnvironmentCredential",
        None,
        "It needs AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or a certificate.",
    ),
    "AzureCLI": Credential("AzureCliCredential", None, "Sign in with 'az login'."),
}


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
        endpoint, task_hub = _value(environ, "ENDPOINT"), _value(environ, "TASKHUB")
        connection_string = _connection_string(environ, endpoint)
        if connection_string:
            fields = _parse(connection_string, task_hub)
        else:
            fields = {
                "Endpoint": endpoint or DEFAULT_ENDPOINT,
                "TaskHub": task_hub or DEFAULT_TASK_HUB,
            }
        url = _checked_url(fields["Endpoint"])
        _check_task_hub(fields["TaskHub"])
        default = "DefaultAzure" if url.startswith("https://") else "None"
        authentication = _spelled(fields.get("Authentication", default), ("None", *CREDENTIALS))
        client_id = fields.get("ClientID")
        if authentication in ("DefaultAzure", "ManagedIdentity"):
            client_id = client_id or environ.get(MANAGED_IDENTITY, "").strip() or None
        return cls(url, fields["TaskHub"], authentication, client_id)

    def __post_init__(self) -> None:
        if self.authentication != "None" and not self.is_secure:
            raise ConfigurationError(
                f"Authentication={self.authentication} needs an endpoint with https://: "
                "a credential is never sent over http://."
            )
        takers = [name for name, taken in CREDENTIALS.items() if taken.client_id_argument]
        if self.client_id and self.authentication not in takers:
            raise ConfigurationError(
                f"ClientID does not go with Authentication={self.authentication}, only with "
                f"{', '.join(takers)}."
            )

    @property
    def is_secure(self) -> bool:
        """Whether calls go over TLS."""
        return self.endpoint.startswith("https://")

    def credential(self) -> TokenCredential | None:
        """Return what `authentication` stands for; no token is fetched yet.

        Raises:
            ConfigurationError: this kind of credential cannot be made on this machine.
        """
        if self.authentication == "None":
            return None
        # Imported here because it takes 0.3 s, which the emulator's users should not pay for.
        from azure import identity

        class_name, client_id_argument, advice = CREDENTIALS[self.authentication]
        arguments: dict[str, str] = {}
        if client_id_argument and self.client_id:
            arguments[client_id_argument] = self.client_id
        try:
            credential: TokenCredential = getattr(identity, class_name)(**arguments)
        except (ValueError, OSError) as error:  # OSError: a certificate that cannot be read
            raise ConfigurationError(
                f"Authentication={self.authentication} cannot be used here: {error} {advice}"
            ) from None
        return credential

    def connection(self) -> Connection:
        """Return the arguments for the SDK's worker and client.

        Raises:
            ConfigurationError: as `credential` does.
        """
        options: list[tuple[str, int]] = [
            # A scheduler that comes back is noticed within two seconds.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Work items come without the detour through a thread of gRPC's, in 4 % less time.
            # It is experimental; a gRPC that does not know it takes no notice of it.
            ("SingleThreadedUnaryStream", 1),
        ]
        if not self.is_secure:
            # A proxy for the web has no business between us and an emulator.
            options.append(("grpc.enable_http_proxy", 0))
        return Connection(
            host_address=self.endpoint,
            taskhub=self.task_hub,
            token_credential=self.credential(),
            secure_channel=self.is_secure,
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


def _connection_string(environ: Mapping[str, str], endpoint: str | None) -> str | None:
    """Return the one connection string that the environment holds, None if there is none."""
    given = {name: value for name in CONNECTION_STRINGS if (value := _value(environ, name))}
    if len(set(given.values())) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are set to different values. Set one.")
    if endpoint and given:
        raise ConfigurationError(f"Set either ENDPOINT or {next(iter(given))}, not both.")
    if endpoint and ";" in endpoint:
        return endpoint
    return next(iter(given.values()), None)


def _parse(connection_string: str, task_hub: str | None) -> dict[str, str]:
    """Split `Key=value;...` into a dictionary whose keys are spelled as in KEYS."""
    fields = {"TaskHub": task_hub} if task_hub else {}
    for number, part in enumerate(filter(str.strip, connection_string.split(";")), start=1):
        name, _, value = map(str.strip, part.partition("="))
        spelling = {key.casefold(): key for key in KEYS}
        key = spelling.get(name.casefold())
        # Neither name nor value is repeated: a secret may have got here by mistake.
        if key is None or not value:
            raise ConfigurationError(
                f"Part {number} of the connection string is wrong. It takes KEY=value, "
                f"separated by ';', where KEY is one of {', '.join(KEYS)}."
            )
        if fields.setdefault(key, value) != value:
            raise ConfigurationError(f"{key} is set twice, to different values. Set it once.")
    for key, advice in (("Endpoint", "Add it."), ("TaskHub", "Add it, or set TASKHUB.")):
        if key not in fields:
            raise ConfigurationError(f"The connection string has no '{key}=...'. {advice}")
    return fields


def _spelled(authentication: str, known: tuple[str, ...]) -> str:
    """Return `authentication` in upper and lower case as it is known."""
    for name in known:
        if name.casefold() == authentication.casefold():
            return name
    # The value is not repeated: a secret may have got here by mistake.
    raise ConfigurationError(f"Authentication is unknown. Use one of {', '.join(known)}.")


def _check_task_hub(task_hub: str) -> None:
    """Refuse what cannot be the value of a gRPC header, or would break a line of the log."""
    if not (task_hub.isascii() and task_hub.isprintable()):
        raise ConfigurationError("TASKHUB holds a character that no task hub's name has.")


def _checked_url(endpoint: str) -> str:
    """Return `scheme://host[:port]`, in which form gRPC finds the port.

    No message repeats the endpoint: it may hold a password or a key that was put there by mistake.
    """
    example = f"e.g. {DEFAULT_ENDPOINT}"
    try:
        if not (endpoint.isascii() and endpoint.isprintable()):
            raise ValueError
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"The endpoint is not a URL; use one, {example}") from None
    if url.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"The endpoint must begin with http:// (the emulator) or https:// (Azure), {example}"
        )
    if url.path.strip("/") or url.query or url.fragment or set("@ ") & set(url.netloc):
        raise ConfigurationError(
            f"The endpoint must be scheme, host and port and nothing else, {example}"
        )
    address = url.netloc.removesuffix(":")
    if port is None and url.scheme == "http":
        address += ":80"  # gRPC takes 443 where no port is given, for plaintext too.
    return f"{url.scheme}://{address}"
