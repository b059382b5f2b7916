"""snmpsim, which replays the files of a folder: the community is the file's name."""

import os
import subprocess
import sys
from pathlib import Path

from tests.field.drivers.snmp_agents import await_udp_port, free_udp_port

# snmpsim imports pysmi, which it does not ask for, and only to print its version
_START = """
import sys, types
sys.modules.setdefault("pysmi", types.SimpleNamespace(__version__="none"))
from snmpsim.commands.responder import main
sys.exit(main())
"""


class Snmpsim:
    """One agent on loopback."""

    def __init__(self, recordings: Path, folder: Path) -> None:
        self.port = free_udp_port()
        self._log = folder / "snmpsim.log"
        arguments = [
            "--v3-engine-id=010203040506070809", f"--data-dir={recordings}", f"--cache-dir={folder}/cache",
            f"--agent-udpv4-endpoint=127.0.0.1:{self.port}", "--logging-method=null", "--v3-user=nobody",
            "--v3-auth-key=not-used-here", "--v3-auth-proto=SHA256",
        ]
        command = [sys.executable, "-W", "ignore", "-c", _START, *arguments]
        environment = {**os.environ, "SNMPSIM_ALLOW_ROOT": "true"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            await_udp_port(self.port, 20.0)
        except TimeoutError:
            self.stop()
            raise TimeoutError(self._log.read_text()) from None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=5)
