"""A stand-in for what Azure adds to a scheduler: TLS, tokens, and roles.

Test helpers only: the emulator itself asks for no token.
"""

from __future__ import annotations

import functools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import trustme

from dts_emulator.hub.task_hub import TaskHub
from dts_emulator.hub.task_hubs import TaskHubs
from dts_emulator.server import build_server

# What a token for the scheduler is asked for.
RESOURCE = "https://durabletask.io"


class ManagedIdentity:
    """The endpoint that gives tokens to the programs of one machine.

    It speaks as App Service and Container Apps do: `variables` point azure.identity to it.
    `tokens` holds every token handed out, with the time when it expires.
    """

    def __init__(self, token_lifetime: float = 3600) -> None:
        self.token_lifetime = token_lifetime
        self.tokens: dict[str, float] = {}
        self.client_ids: set[str | None] = set()
        self._secret = secrets.token_hex()

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that has this identity."""
        url = f"http://127.0.0.1:{self._server.server_port}/msi/token"
        return {"IDENTITY_ENDPOINT": url, "IDENTITY_HEADER": self._secret}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer requests for the length of a block."""
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = identity.answer(self.headers, parse_qs(urlsplit(self.path).query))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as self._server:
            thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
            thread.start()
            yield
            self._server.shutdown()
            thread.join()

    def answer(
        self, headers: Message[str, str], query: Mapping[str, list[str]]
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the body for one request."""
        if headers.get("X-IDENTITY-HEADER") != self._secret:
            return 401, {"statusCode": 401, "message": "wrong X-IDENTITY-HEADER"}
        if query.get("resource") != [RESOURCE]:
            return 400, {"statusCode": 400, "message": f"a token for {query.get('resource')}?"}
        token, expires_on = secrets.token_urlsafe(), int(time.time() + self.token_lifetime)
        self.tokens[token] = expires_on
        self.client_ids.add(query.get("client_id", [None])[0])
        return 200, {
            "access_token": token,
            "expires_on": str(expires_on),
            "resource": RESOURCE,
            "token_type": "Bearer",
        }


class Gate(grpc.ServerInterceptor):
    """Lets a call pass while the token that it carries is valid, and ends it when it expires.

    `admitted` holds, for every method that was let through, the tokens it came with.
    """

    def __init__(self, identity: ManagedIdentity) -> None:
        self.identity = identity
        self.authorised = True
        self.admitted: dict[str, set[str]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method's handler with the gate before it."""
        handler: Any = continuation(handler_call_details)
        method = handler_call_details.method.rpartition("/")[2]
        inner = handler.unary_stream or handler.unary_unary

        @functools.wraps(inner)  # Keeps what says that an RPC answers later, through `reply`.
        def call(request: Any, context: grpc.ServicerContext, *reply: Any) -> Any:
            token = self._valid_token(context)
            self.admitted.setdefault(method, set()).add(token)
            expiry = threading.Timer(self.identity.tokens[token] - time.time(), context.cancel)
            expiry.daemon = True
            expiry.start()
            context.add_callback(expiry.cancel)
            return inner(request, context, *reply)

        wrap: Any = (
            grpc.unary_stream_rpc_method_handler
            if handler.unary_stream
            else grpc.unary_unary_rpc_method_handler
        )
        wrapped: grpc.RpcMethodHandler[Any, Any] = wrap(
            call, handler.request_deserializer, handler.response_serializer
        )
        return wrapped

    def _valid_token(self, context: grpc.ServicerContext) -> str:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        kind, _, token = metadata.get("authorization", "").partition(" ")
        if kind != "Bearer" or self.identity.tokens.get(token, 0) <= time.time():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is not valid.")
        if not self.authorised:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "The caller has no role here.")
        return token


class DeployedScheduler:
    """A scheduler behind TLS and a gate. Its task hubs outlive a stop, as they do in Azure."""

    def __init__(self, identity: ManagedIdentity, folder: Path) -> None:
        self.gate = Gate(identity)
        self._hubs = TaskHubs(TaskHub)
        self._hubs.open("default")
        self._authority = trustme.CA()
        self._roots = folder / "roots.pem"
        self._authority.cert_pem.write_to_path(str(self._roots))
        self._port = 0

    @property
    def endpoint(self) -> str:
        """The URL that workers and clients use."""
        return f"https://localhost:{self._port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that uses this scheduler and trusts its certificate."""
        return {"ENDPOINT": self.endpoint, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self._roots)}

    def start(self) -> None:
        """Listen on the same port as before, the first time on any that is free."""
        certificate = self._authority.issue_cert("localhost")
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
        self._server = build_server(self._hubs, [self.gate])
        self._port = self._server.add_secure_port(f"127.0.0.1:{self._port}", credentials)
        self._server.start()

    def stop(self) -> None:
        """Cut every connection."""
        self._server.stop(grace=None).wait()
