"""The table of all operations and streams in docs/api/endpoints.md is what the tests saw: no more, no less.

`WRITE_ENDPOINT_TABLE=1 pytest tests/gateway/test_endpoint_table.py` writes it anew.
"""

import os
import re
from pathlib import Path

import aiohttp
from endpoint_table import Driver, table
from whole_house import whole_house

from pswd_edge.chain.chain_check import read_entries

PAGE = Path(__file__).parents[2] / "docs/api/endpoints.md"
_TABLE = re.compile(r"(<!-- endpoints -->\n).*?(\n<!-- end -->)", re.DOTALL)


async def test_every_operation_and_stream_works_and_is_in_the_table(tmp_path, tls, hashes):
    """15 of PSWD, 18 and 3 streams of DCPI: each answered over the socket, its answer as its model has it."""
    async with whole_house(tmp_path, tls, hashes) as house, aiohttp.ClientSession() as session:
        rows = await Driver(house, session).rows()

    silent = {entry["path"] for entry in read_entries(tmp_path / "state/audit/commands")
              if entry["kind"] == "command" and entry["status"] < 300 and "/auth/" not in entry["path"]
              and "after" not in entry}
    assert silent == set(), "their audit entries do not say what they changed: note_change in the handler"
    made, before = table(rows), PAGE.read_text(encoding="utf-8")
    after = _TABLE.sub(lambda found: found[1] + made + found[2], before)
    if os.environ.get("WRITE_ENDPOINT_TABLE"):
        PAGE.write_text(after, encoding="utf-8")
    assert len(rows) == 36
    assert [row for row in rows if row.wrong] == []
    assert PAGE.read_text(encoding="utf-8") == after, "WRITE_ENDPOINT_TABLE=1 writes it anew"
