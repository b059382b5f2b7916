"""The trap receiver inside the control process."""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pswd_edge.bench.snmp import snmp_site
from pswd_edge.errors import ImageError
from pswd_edge.image import ImageReader
from pswd_edge.model.event import Event
from pswd_edge.model.site import TrapSpec, encode_site
from tests.field.drivers.snmp_agents import free_udp_port
from tests.field.trapmaker import SNMPTRAP, send, v2c

pytestmark = pytest.mark.skipif(not SNMPTRAP, reason="net-snmp's snmptrap is not installed")


async def test_a_trap_to_the_control_process_is_in_the_image(tmp_path: Path) -> None:
    """What app.py joins: block of the site, receiver, journal, image; and control comes up although nothing answers."""
    port = free_udp_port()
    site = snmp_site(1, 3, free_udp_port(), 100, tmp_path)
    site = msgspec.structs.replace(site, snmp_traps=TrapSpec("127.0.0.1", port, v2c=True))
    (tmp_path / "site.bin").write_bytes(encode_site(site))
    command = [sys.executable, "-m", "pswd_edge.bench.child", str(tmp_path / "site.bin")]
    with subprocess.Popen(command) as child:  # noqa: ASYNC220  # the moment that it takes is nobody's
        try:
            image = await opened(Path(site.runtime_dir))
            for _ in range(50):
                await send(SNMPTRAP, port, v2c("bench"), tmp_path)
                found = [e for e in events(image) if e.code == "snmp_trap"]
                if found:
                    break
                await asyncio.sleep(0.1)
        finally:
            child.terminate()
            status = child.wait(10)

    assert [(e.subject, e.text.partition(":")[0]) for e in found] == [("agent-0", "agent-0 (127.0.0.1)")]
    assert status == 0


async def opened(runtime: Path) -> ImageReader:
    for _ in range(200):
        try:
            image = ImageReader(runtime)
        except ImageError:
            await asyncio.sleep(0.05)
            continue
        if image.field_report() is not None:
            return image
        await asyncio.sleep(0.05)
    raise TimeoutError("control did not complete a cycle in 20 s")


def events(image: ImageReader) -> list[Event]:
    return list(image.events(0))
