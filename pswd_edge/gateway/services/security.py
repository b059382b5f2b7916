"""How safe the gateway is, as far as it can tell: what it refused, and how long its certificates last."""

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.security_log import Intrusions


class SecurityService:
    """`intrusions` counts what was refused since the gateway started."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live = live
        self.intrusions = Intrusions(clock)
        self._seen: dict[str, tuple[int, float | None]] = {}

    def certificate_ends_utc_s(self) -> float | None:
        """When the first of the listeners' own certificates ends; None where none serves TLS, or none can be read."""
        ends = [end for path in self._paths() if (end := self._end_of(path)) is not None]
        return min(ends, default=None)

    def _paths(self) -> Iterable[str]:
        return {listener.tls_certificate for listener in self._live.site.listeners if listener.tls_certificate}

    def _end_of(self, path: str) -> float | None:
        """Read again only where the file changed."""
        try:
            changed_ns = Path(path).stat().st_mtime_ns
        except OSError:
            return None
        if path not in self._seen or self._seen[path][0] != changed_ns:
            self._seen[path] = (changed_ns, _read_end(Path(path)))
        return self._seen[path][1]


def _read_end(path: Path) -> float | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None
