"""The server of the field benchmark."""

import asyncio

from simulators.servers.cheap import CheapDevice, Temper

READ = bytes.fromhex("000700000006010300000064")


async def test_it_counts_its_answers_and_refuses_everything_else():
    """A client that decodes must see a value that changes; a wrong request must not look like a good one."""
    server = await asyncio.get_running_loop().create_server(lambda: CheapDevice(1, 100, Temper()), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(READ[:5])
        await asyncio.sleep(0)
        writer.write(READ[5:] + READ)
        answers = await asyncio.wait_for(reader.readexactly(2 * 209), 1)
        assert answers[:13].hex() == "0007000000cb0103c8" + "00000001"
        assert answers[209:222].hex() == "0007000000cb0103c8" + "00000002"
        for request, refusal in ((READ[:7] + b"\4" + READ[8:], "018401"), (READ[:11] + b"\1", "018302"),
                                 (READ[:6] + b"\2" + READ[7:], "02830b")):
            writer.write(request)
            assert (await asyncio.wait_for(reader.readexactly(9), 1))[6:].hex() == refusal
        writer.close()
