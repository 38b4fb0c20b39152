"""How worker and client log: one format, to stderr, every event on one line."""

from __future__ import annotations

import logging
import re
import sys
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

import grpc

FORMAT = "%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s"

# An RPC error as the SDK logs it: a dump of several lines around the words that matter.
_RPC_ERROR = re.compile(
    r"<_\w+ of RPC that terminated with:\s*status = StatusCode\.(\w+)\s*"
    r'details = "(.*?)"\s*debug_error_string = .*?\n?>',
    re.DOTALL,
)


class OneLine(logging.Filter):
    """Shortens RPC errors in log records to their status and details, without a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; drop the SDK's warning of the stream it closes itself."""
        record.msg = _RPC_ERROR.sub(r"\1: \2", record.getMessage())
        record.args = None
        if record.exc_info and isinstance(record.exc_info[1], grpc.RpcError):
            record.exc_info = None
        return "Locally cancelled by application" not in record.msg


class InBackground(QueueHandler):
    """Hands records to `handler` on a thread of its own.

    Without it, a thousand threads wait for one another at every line they write.
    """

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(SimpleQueue())
        self.setFormatter(logging.Formatter("%(message)s"))  # The handler adds the rest.
        self._listener: QueueListener | None = QueueListener(self.queue, handler)
        self._listener.start()

    def close(self) -> None:
        """Write what is left; logging.shutdown calls this when the process ends."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
        super().close()


def configure(name: str, *, in_background: bool = False) -> logging.Logger:
    """Send the log to stderr and return the logger `name`, at level INFO."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    if in_background:
        handler = InBackground(handler)
    handler.addFilter(OneLine())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # What azure.identity logs at length, it raises as well, and that is shown in one line.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    logger = logging.getLogger(name)
    # Set on the logger itself: the SDK asks for `logger.level` before it formats debug records.
    logger.setLevel(logging.INFO)
    return logger
