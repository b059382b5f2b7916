"""What may be scanned: private networks of a bounded size, and never what a running control has a session with."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from pswd_edge.errors import PswdError

HOSTS_MAX, LARGE_MAX = 256, 65536
QUICK_UNITS = (1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 100, 126, 247)
"""Unit ids that devices are found at: first ones behind gateways, common defaults, SunSpec's 126."""
_ROUTES = Path("/proc/net/route")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def hosts_of(targets: Sequence[str], *, large: bool) -> list[Address]:
    """Every address of the targets, once each, in order. Raises PswdError for what is public or too large."""
    found: dict[Address, None] = {}
    for target in targets:
        network = _network(target)
        if network.num_addresses > LARGE_MAX or (network.num_addresses > HOSTS_MAX and not large):
            more = f": expected at most {LARGE_MAX}" if large or network.num_addresses > LARGE_MAX else (
                f": expected at most {HOSTS_MAX} (a /24); scan a part of it, or say --yes-large")
            raise PswdError(f"{target}: got {network.num_addresses} addresses{more}; nothing was asked")
        if any(_is_public(a) for a in (network[0], network[-1])):
            raise PswdError(f"{target}: got public addresses: expected a plant's private network; nothing was asked")
        found.update(dict.fromkeys(network.hosts() if network.num_addresses > 2 else network))
    return list(found)


def _network(target: str) -> Network:
    try:
        return ipaddress.ip_network(target, strict=False)
    except ValueError:
        pass
    try:
        return ipaddress.ip_network(socket.getaddrinfo(target, None)[0][4][0])
    except (OSError, ValueError) as error:
        raise PswdError(f"{target}: expected an address, a network (10.0.4.0/28) or a name that is known") from error


def _is_public(address: Address) -> bool:
    return address.is_global or address.is_multicast or address.is_unspecified


def not_here(hosts: Iterable[Address], routes: Path = _ROUTES) -> list[Address]:
    """The hosts that lie on no network of this machine: reached through a router, if at all."""
    local = [*_local_networks(routes), ipaddress.IPv4Network("127.0.0.0/8")]
    return [h for h in hosts if isinstance(h, ipaddress.IPv4Address) and not any(h in n for n in local)]


def _local_networks(routes: Path) -> list[ipaddress.IPv4Network]:
    """Networks that an interface is on: routes without a gateway."""
    try:
        rows = [line.split() for line in routes.read_text().splitlines()[1:]]
    except OSError:
        return []
    found = []
    for row in rows:
        destination, gateway, mask = (int.from_bytes(bytes.fromhex(row[i]), "little") for i in (1, 2, 7))
        if gateway == 0 and mask:
            found.append(ipaddress.IPv4Network((destination, mask.bit_count())))
    return found


def numbers_of(text: str, low: int, high: int, what: str) -> list[int]:
    """`1,3,10-12` as numbers, once each, in the order given. Raises PswdError."""
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise PswdError(f"{what}: got {part!r}: expected numbers and ranges, as 1,3,10-12")
        found.update(dict.fromkeys(range(int(first), int(last or first) + 1)))
    wrong = [n for n in found if not low <= n <= high]
    if wrong or not found:
        raise PswdError(f"{what}: got {wrong[0] if wrong else text!r}: expected {low}..{high}")
    return list(found)


def units_of(text: str) -> list[int]:
    """`quick`, `all` (quick ones first, then the rest of 1..247) or numbers."""
    if text == "quick":
        return list(QUICK_UNITS)
    if text == "all":
        return list(dict.fromkeys([*QUICK_UNITS, *range(1, 248)]))
    return numbers_of(text, 0, 255, "--units")
