"""Tracing with OpenTelemetry: sends the spans that the SDK emits to an OTLP endpoint.

Only a process that exports traces imports this: see export_traces in hosting/program.py.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

# How long the end of a process waits for an endpoint that does not answer.
FLUSH_SECONDS = 2.0


class InWords(SpanExporter):
    """Says once that an endpoint takes no spans, where the exporter itself says it each time."""

    def __init__(self, exporter: SpanExporter, logger: logging.Logger) -> None:
        self._exporter = exporter
        self._logger = logger
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans on; those that cannot be sent are lost."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # An endpoint that is no URL, for example.
            self._logger.debug("Traces cannot be delivered", exc_info=error)
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.FAILURE and not self._fails:
            self._logger.warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT takes no traces; they are lost until it does"
            )
        self._fails = result is SpanExportResult.FAILURE
        return result

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()


def export_traces(name: str, logger: logging.Logger) -> None:
    """Export all spans of this process, as those of the service `name`, until its end.

    The standard's variables count: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_BSP_MAX_QUEUE_SIZE and so on. Source:
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    # What these say in several lines and again and again, InWords says in one.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: name}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = InWords(OTLPSpanExporter(), logger)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    ending = threading.Event()

    def end() -> None:
        ending.set()
        provider.shutdown()

    def give_up() -> None:
        ending.wait()
        time.sleep(FLUSH_SECONDS)
        exporter.shutdown()

    # Started now: a process that ends can start no thread.
    threading.Thread(target=give_up, name="traces", daemon=True).start()
    atexit.register(end)
