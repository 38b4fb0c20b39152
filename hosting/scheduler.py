"""The scheduler to use: endpoint, task hub and credential, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from durabletask.grpc_options import GrpcChannelOptions

DEFAULT_ENDPOINT = "http://localhost:8080"
# ENDPOINT may hold a connection string too. The .NET and Java samples read the third variable.
CONNECTION_STRINGS = ("DURABLE_TASK_SCHEDULER_CONNECTION_STRING", "DURABLE_TASK_CONNECTION_STRING")
KEYS = ("Endpoint", "TaskHub", "Authentication", "ClientID")
# Azure's sample infrastructure (azd) passes the client ID of the identity that it creates here.
MANAGED_IDENTITY = "AZURE_MANAGED_IDENTITY_CLIENT_ID"

# For each value of Authentication: the class in azure.identity, and its argument for ClientID.
CREDENTIALS = {
    "DefaultAzure": ("DefaultAzureCredential", "managed_identity_client_id"),
    "ManagedIdentity": ("ManagedIdentityCredential", "client_id"),
    "WorkloadIdentity": ("WorkloadIdentityCredential", "client_id"),
    "Environment": ("EnvironmentCredential", ""),
    "AzureCLI": ("AzureCliCredential", ""),
}

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    # Reconnect within two seconds when the scheduler returns.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Receive work items without an extra thread, in 4 % less time: experimental in gRPC.
    ("SingleThreadedUnaryStream", 1),
)


class ConfigurationError(ValueError):
    """A setting is invalid. The message repeats no value, which may be a misplaced secret."""


@dataclass(frozen=True)
class Scheduler:
    """A scheduler, one of its task hubs, and the authentication to use there.

    The scheme of `endpoint` decides: `http://` is plaintext without a credential, for an
    emulator; `https://` is TLS with the credential that `authentication` names.
    """

    endpoint: str = DEFAULT_ENDPOINT
    task_hub: str = "default"
    authentication: str = "None"
    client_id: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Scheduler:
        """Read ENDPOINT and TASKHUB, or a connection string instead of both.

        Raises ConfigurationError if a value is empty or invalid, or contradicts another one.
        """
        names = ("ENDPOINT", *CONNECTION_STRINGS, "TASKHUB")
        values = {name: environ[name].strip() for name in names if name in environ}
        if empty := [name for name, value in values.items() if not value]:
            raise ConfigurationError(f"{empty[0]} is set but empty. Give it a value, or unset it.")
        task_hub = values.pop("TASKHUB", "")
        if len(set(values.values())) > 1:
            raise ConfigurationError(f"{' and '.join(values)} contradict each other. Set one.")
        source = next(iter(values.values()), DEFAULT_ENDPOINT)
        fields = {"Endpoint": source, "TaskHub": task_hub or "default"}
        if ";" in source or (values and "ENDPOINT" not in values):
            fields = _parse(source, task_hub)
        url = _normalized(fields["Endpoint"])
        default = "DefaultAzure" if url.startswith("https://") else "None"
        authentication, client_id = fields.get("Authentication", default), fields.get("ClientID")
        if authentication in ("DefaultAzure", "ManagedIdentity"):
            client_id = client_id or environ.get(MANAGED_IDENTITY, "").strip()
        return cls(url, fields["TaskHub"], authentication, client_id or None)

    def __post_init__(self) -> None:
        if not (self.task_hub.isascii() and self.task_hub.isprintable()):
            raise ConfigurationError("TASKHUB contains a character that is not allowed.")
        if self.authentication not in ("None", *CREDENTIALS):
            raise ConfigurationError(f"Unknown Authentication: use None, {', '.join(CREDENTIALS)}.")
        if self.authentication != "None" and not self.is_secure:
            reason = "needs https:// in the endpoint: a credential is never sent over http://."
            raise ConfigurationError(f"Authentication={self.authentication} {reason}")
        if self.client_id and not CREDENTIALS.get(self.authentication, ("", ""))[1]:
            raise ConfigurationError(f"ClientID does not go with {self.authentication}. Remove it.")

    @property
    def is_secure(self) -> bool:
        """Whether calls use TLS."""
        return self.endpoint.startswith("https://")

    def connection(self) -> dict[str, Any]:
        """Return the arguments that the SDK's worker and client share; fetch no token yet.

        Raises ConfigurationError if this machine cannot create the credential.
        """
        # No web proxy between this process and an emulator.
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", int(self.is_secure))]
        return {
            "host_address": self.endpoint,
            "taskhub": self.task_hub,
            "token_credential": self._credential(),
            "secure_channel": self.is_secure,
            "channel_options": GrpcChannelOptions(raw_options=options),
        }

    def _credential(self) -> Any:
        if self.authentication == "None":
            return None
        from azure import identity  # Takes 0.3 s, which users of an emulator need not wait.

        class_name, argument = CREDENTIALS[self.authentication]
        arguments = {argument: self.client_id} if self.client_id else {}
        try:
            return getattr(identity, class_name)(**arguments)
        except (ValueError, OSError) as error:  # OSError: a certificate that cannot be read
            raise ConfigurationError(f"Authentication={self.authentication}: {error}") from None


def _parse(connection_string: str, task_hub: str) -> dict[str, str]:
    """Return the fields of `Key=value;...`, with keys and Authentication spelled as above."""
    fields = {"TaskHub": task_hub} if task_hub else {}
    spelling = {name.casefold(): name for name in (*KEYS, "None", *CREDENTIALS)}
    for number, part in enumerate(filter(str.strip, connection_string.split(";")), start=1):
        name, _, value = map(str.strip, part.partition("="))
        key = spelling.get(name.casefold())
        if key not in KEYS or not value:
            reason = f"expected KEY=value pairs separated by ';'. The keys are {', '.join(KEYS)}."
            raise ConfigurationError(f"Invalid connection string (part {number}): {reason}")
        if key == "Authentication":
            value = spelling.get(value.casefold(), value)
        if fields.setdefault(key, value) != value:
            raise ConfigurationError(f"{key} has two different values. Set it once.")
    if missing := [key for key in ("Endpoint", "TaskHub") if key not in fields]:
        raise ConfigurationError(f"The connection string lacks {' and '.join(missing)}. Add it.")
    return fields


def _normalized(endpoint: str) -> str:
    """Return `scheme://host[:port]`, the form in which gRPC finds the port."""
    try:
        url = urlsplit(endpoint)
        extra = url.path.strip("/") or url.query or url.fragment or set("@ ") & set(url.netloc)
        is_plain = endpoint.isascii() and endpoint.isprintable()
        if url.scheme in ("http", "https") and url.hostname and is_plain and not extra:
            # gRPC uses port 443 where none is given, for plaintext too.
            port = ":80" if url.port is None and url.scheme == "http" else ""
            return f"{url.scheme}://{url.netloc.removesuffix(':')}{port}"
    except ValueError:  # An invalid port or IPv6 address.
        pass
    forms = "http://HOST:PORT (emulator) or https://HOST (Azure) without more"
    raise ConfigurationError(f"Invalid endpoint: use {forms}. Example: {DEFAULT_ENDPOINT}")
