"""`state_dir/alarms.json`: the list of alarms over a restart. Read at the start, written by a thread of its own."""

from pathlib import Path

import msgspec
import structlog

from pswd_edge.control.state_file import StateFile
from pswd_edge.model.report import AlarmReport

FILE = "alarms.json"
_log = structlog.get_logger("control")


class AlarmFile:
    """`save` never waits: see `StateFile`."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, "alarms")

    def read(self) -> tuple[AlarmReport, ...]:
        """What was kept; nothing where there is no file, or one that cannot be read: that costs no start."""
        try:
            return msgspec.json.decode(self._file.path.read_bytes(), type=tuple[AlarmReport, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("alarms.json cannot be read: what was latched or shelved before this start is forgotten",
                       path=str(self._file.path), error=str(error))
            return ()

    def save(self, alarms: tuple[AlarmReport, ...]) -> bool:
        """Begin to replace the file; False where the former write has not ended: call again later."""
        return self._file.replace(lambda: _content(alarms))

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty where it did not."""
        return self._file.trouble

    def close(self, alarms: tuple[AlarmReport, ...]) -> None:
        """Write these last, and wait for it. Blocks on the disk."""
        self._file.close(lambda: _content(alarms))


def _content(alarms: tuple[AlarmReport, ...]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(alarms), indent=1)
