# The worker in a container. It needs ENDPOINT and TASKHUB, and an identity in Azure: docs/azure.md
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=ERROR
WORKDIR /app

COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY worker.py large_fan_out.py ./
COPY hosting hosting

# A number, by which Kubernetes can tell that this is not root.
USER 65532:65532

# Without a shell around it, the worker gets SIGTERM itself and finishes its work in progress.
ENTRYPOINT ["python", "worker.py"]
