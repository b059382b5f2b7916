"""`state_dir/alarms.json`: the list of alarms over a restart. Read at the start, written by a thread of its own."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from pswd_edge.control import whole_file
from pswd_edge.model.report import AlarmReport

FILE = "alarms.json"
_log = structlog.get_logger("control")


class AlarmFile:
    """`save` never waits: while a write is under way it does nothing and says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alarms")
        self._writing: Future[None] | None = None
        self.trouble = ""

    def read(self) -> tuple[AlarmReport, ...]:
        """What was kept; nothing where there is no file, or one that cannot be read: that costs no start."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[AlarmReport, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("alarms.json cannot be read: what was latched or shelved before this start is forgotten",
                       path=str(self._path), error=str(error))
            return ()

    def save(self, alarms: tuple[AlarmReport, ...]) -> bool:
        """Begin to replace the file; False where the former write has not ended or failed: call again later."""
        if self._writing is not None and not self._writing.done():
            return False
        self._writing = self._thread.submit(self._write, alarms)
        return True

    def _write(self, alarms: tuple[AlarmReport, ...]) -> None:
        try:
            whole_file.replace(self._path, msgspec.json.format(msgspec.json.encode(alarms), indent=1))
        except OSError as error:
            self.trouble = f"{self._path.name} cannot be written ({error}); free the disk"
        else:
            self.trouble = ""

    def close(self, alarms: tuple[AlarmReport, ...]) -> None:
        """Write these last, and wait for it. Blocks on the disk."""
        self._thread.submit(self._write, alarms)
        self._thread.shutdown(wait=True)
