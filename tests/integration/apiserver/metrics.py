"""What a running server says of itself."""

from tests.integration.apiserver_process import ApiserverProcess


def value_of(server: ApiserverProcess, name: str) -> float:
    """A metric without labels."""
    with server.client() as admin:
        lines = admin.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def long_running(server: ApiserverProcess) -> float:
    """How many watches, logs and tunnels are under way."""
    return value_of(server, "apiserver_longrunning_requests")
