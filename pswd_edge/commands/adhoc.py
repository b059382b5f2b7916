"""A site of one device that stands in no file, so that tools ask it as they ask any other."""

from pathlib import Path

from msgspec.structs import replace

from pswd_edge.bench.site import bench_site  # its control section is the smallest there is, and is not used
from pswd_edge.errors import PswdError
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.site import Site

DEVICE = "device"


def adhoc_site(driver: str, settings: dict[str, str | int | float | bool | None], unit: int = 1) -> Site:
    """One connection and one device without points."""
    connection = Connection(0, DEVICE, driver, settings)
    device = Device(0, DEVICE, "meter", 0, unit, "", 0, 0)
    return replace(bench_site(1, 1, 1000, Path("/nowhere")), connections=(connection,), devices=(device,), points=())


def host_and_port(text: str, port: int) -> tuple[str, int]:
    """`10.0.4.11`, `10.0.4.11:1502`, `[fe80::1]:502`. Raises PswdError."""
    host, colon, number = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, number = text, str(port)
    if not host or not number.isdigit() or not 1 <= int(number) <= 65535:
        raise PswdError(f"{text}: expected HOST or HOST:PORT")
    return host.strip("[]"), int(number)
