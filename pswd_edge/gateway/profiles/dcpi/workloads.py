"""DCPI: workloads."""

from pswd_edge.gateway.endpoint import Endpoint
from pswd_edge.gateway.services import Services


def endpoints(_: Services) -> list[Endpoint]:
    """The operations on workloads."""
    return []
