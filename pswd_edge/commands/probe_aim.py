"""Where `pswd-edge probe` looks: an address, or a device of a site; through control, or by a session of its own."""

import argparse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from pswd_edge.app import compiled_site
from pswd_edge.commands.adhoc import DEVICE, adhoc_site, host_and_port
from pswd_edge.commands.read import chosen
from pswd_edge.commands.running import (
    Endpoint,
    addresses,
    endpoint_of,
    open_image,
    refuse_second_session,
    refuse_while_running,
)
from pswd_edge.commands.session import Devices, controls_devices, own_devices
from pswd_edge.config.secrets import is_reference
from pswd_edge.errors import PswdError
from pswd_edge.model.point import ModbusAddress, OpcUaAddress, Point, SnmpAddress
from pswd_edge.model.site import Site

PROTOCOLS = ("modbus", "opcua", "snmp")


class Aim(NamedTuple):
    """What is probed: a device, an address there, and the point of its map where there is one."""

    device: str
    address: ModbusAddress | OpcUaAddress | SnmpAddress | None
    point: Point | None


@asynccontextmanager
async def aimed(options: argparse.Namespace) -> AsyncIterator[tuple[Devices, Aim]]:
    """The devices to ask, and where to look."""
    words = options.what
    if words[0] in PROTOCOLS:
        site, aim = _adhoc(options, words)
        host, port = endpoint_of(site.connections[0])
        refuse_second_session({Endpoint(a, port) for a in addresses(host)}, options.runtime_dir)
        async with own_devices(site) as devices:
            yield devices, aim
    elif options.site is not None:
        site = compiled_site(options.site)
        refuse_while_running(site, options.runtime_dir)
        async with own_devices(site) as devices:
            yield devices, _aim_of(site, options)
    else:
        with open_image(options.runtime_dir) as image:
            site = image.site
        async with controls_devices(site, options.runtime_dir) as devices:
            yield devices, _aim_of(site, options)


def _adhoc(options: argparse.Namespace, words: Sequence[str]) -> tuple[Site, Aim]:
    """A site of one device from the words of the command line."""
    if len(words) != 3:
        raise PswdError(f"probe {words[0]}: got {len(words) - 1} words: expected two, see pswd-edge probe --help")
    protocol, where, what = words
    settings = settings_of(options.set or ())
    if protocol == "opcua":
        return adhoc_site("opcua", {"url": where, **settings}), Aim(DEVICE, OpcUaAddress(what), None)
    if where != "-":
        host, port = host_and_port(where, {"modbus": 502, "snmp": 161}[protocol])
        settings = {"host": host, "port": port, **settings}
    if protocol == "snmp":
        return adhoc_site("snmp", settings), Aim(DEVICE, SnmpAddress(what.lstrip(".")), None)
    if options.address is None or not what.isdigit() or int(what) > 255:
        raise PswdError("probe modbus: expected HOST[:PORT] UNIT --address N, with a unit of 0..255")
    return adhoc_site("modbus", settings, int(what)), Aim(DEVICE, ModbusAddress(options.address, "uint16"), None)


def settings_of(pairs: Sequence[str]) -> dict[str, str | int | float | bool | None]:
    """Keys of a connection from KEY=VALUE words. Raises PswdError; a secret must be a reference."""
    found: dict[str, str | int | float | bool | None] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise PswdError(f"--set {pair}: expected KEY=VALUE")
        if key.endswith(("secret", "password", "private_key")) and not is_reference(value):
            raise PswdError(f"--set {key}: got a secret itself, which others see in the list of processes: expected "
                            "file:PATH")
        number = key != "version" and value.lstrip("-").isdigit()
        found[key] = int(value) if number else {"true": True, "false": False}.get(value, value)
    return found


def _aim_of(site: Site, options: argparse.Namespace) -> Aim:
    words = [w for word in options.what for w in word.split(".", 1)] if len(options.what) == 1 else options.what
    device = words[0]
    if device not in site.device_index:
        raise PswdError(f"{device}: no such device on {site.id}; there are: {', '.join(site.device_index)}")
    if options.address is not None:
        return Aim(device, ModbusAddress(options.address, "uint16"), None)
    if len(words) == 1:
        return Aim(device, None, None)
    point = chosen(site, [f"{device}.{words[1]}"])[0]
    return Aim(device, point.address, point)
