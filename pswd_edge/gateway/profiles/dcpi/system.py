"""DCPI: the system itself."""

from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.profiles.dcpi.metrics import metrics_endpoint
from pswd_edge.gateway.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on the system itself."""
    return [metrics_endpoint(services)]
