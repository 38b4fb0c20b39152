# The worker in a container. It needs ENDPOINT and TASKHUB, and an identity in Azure: docs/azure.md
# With traces: docker build --target traced .
FROM python:3.11-slim AS base

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=ERROR
WORKDIR /app

COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY worker.py large_fan_out.py ./
COPY hosting hosting

FROM base AS traced
# Not in requirements.lock, so without hashes. Set OTEL_EXPORTER_OTLP_ENDPOINT.
RUN pip install --no-cache-dir --disable-pip-version-check \
    opentelemetry-distro==0.66b2 opentelemetry-exporter-otlp-proto-http==1.45.2
USER 65532:65532
ENTRYPOINT ["opentelemetry-instrument", "python", "worker.py"]

FROM base AS worker
# A number, by which Kubernetes can tell that this is not root.
USER 65532:65532
# Without a shell around it, the worker gets SIGTERM itself and finishes its work in progress.
ENTRYPOINT ["python", "worker.py"]
