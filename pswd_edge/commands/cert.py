"""`pswd-edge cert`: an own certificate authority, and the table that binds certificates to DCPI clients."""

import argparse
import json
from pathlib import Path
from typing import Any

from pswd_edge.commands.cert_authority import CertAuthority, Issued
from pswd_edge.commands.table import table
from pswd_edge.errors import ConfigError
from pswd_edge.gateway.clients import ClientTable

EPILOG = """examples:
  pswd-edge cert init --folder /srv/pswd-ca                          an authority: ca.pem and ca-key.pem
  pswd-edge cert server gateway.site.example 10.0.4.2 --folder /srv/pswd-ca
  pswd-edge cert client scheduler-01 --scope workload:announce --scope power:read --folder /srv/pswd-ca
  pswd-edge cert bind scheduler-02 --cn sched02.example.com --scope power:read     its certificate is of elsewhere
  pswd-edge cert list
  pswd-edge cert disable scheduler-01          refused from the next request on; until: cert enable scheduler-01
  pswd-edge cert revoke 5ad18c0f…              one certificate, by its serial number"""
_ACTIONS = ("init", "server", "client", "bind", "list", "revoke", "disable", "enable")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("names", nargs="*", metavar="NAME", help="`server`: host names and addresses; `revoke`: serial "
                        "numbers; `client`, `bind`, `disable`, `enable`: the client id")
    parser.add_argument("--cn", help="`client`, `bind`: the certificate's common name; the client id without it")
    parser.add_argument("--scope", action="append", default=[], help="`client`, `bind`: may be given more than once")
    parser.add_argument("--fingerprint", action="append", default=[],
                        help="`bind`: only this certificate (SHA-256); may be given more than once")
    parser.add_argument("--permit", action="append", default=[],
                        help="`init`: only names of this domain or network; may be given more than once")
    parser.add_argument("--days", type=float, default=365.0, help="`server`, `client`: at most 825")
    parser.add_argument("--folder", type=Path, default=Path("/etc/pswd-edge/tls"), help="of the authority")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/pswd-edge-gateway"))
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 where it was done; a running gateway notices changed bindings by itself."""
    _check(options)
    answer, text = _done(options)
    print(json.dumps(answer) if options.json else text)
    return 0


def _done(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What to print, as an object and as text: never a key."""
    match options.action:
        case "init":
            made = CertAuthority.make(options.folder, "pswd-edge site authority", options.permit)
            return {"folder": str(made.folder)}, (
                f"{made.folder}: ca.pem is for clients and for `client_ca`; keep ca-key.pem apart from the gateway")
        case "server":
            return _told(CertAuthority(options.folder).server(options.names, options.days), options.folder)
        case "client":
            return _client(options)
        case "list":
            return _listed(options)
    return _changed(ClientTable(options.state_dir), options)


def _changed(clients: ClientTable, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What needs no authority: the table alone."""
    first = options.names[0]
    match options.action:
        case "bind":
            cn = options.cn or first
            clients.bind(first, cn, options.scope, options.fingerprint)
            return {"client_id": first, "cn": cn}, f"{first}: bound to CN {cn} with {' '.join(options.scope)}"
        case "revoke":
            clients.revoke_serials(options.names)
            return {"revoked": options.names}, f"{', '.join(options.names)}: refused from the next request on"
        case action:
            clients.set_disabled(first, disabled=action == "disable")
            state = "refused from the next request on" if action == "disable" else "may come in again"
            return {"client_id": first, "disabled": action == "disable"}, f"{first}: {state}"


def _client(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The binding first: a certificate that is bound to nothing opens nothing, the reverse would wait for a file."""
    client_id = options.names[0]
    cn = options.cn or client_id
    authority = CertAuthority(options.folder)
    ClientTable(options.state_dir).bind(client_id, cn, options.scope)
    return _told(authority.client(client_id, cn, options.days), options.folder)


def _told(issued: Issued, folder: Path) -> tuple[dict[str, Any], str]:
    return issued._asdict(), (f"{folder / issued.file}: {issued.kind} {issued.name}, serial {issued.serial}, until "
                              f"{issued.ends}; its key lies beside it")


def _listed(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    clients = ClientTable(options.state_dir)
    revoked = set(clients.revoked_serials)
    issued = CertAuthority.issued_in(options.folder)
    answer = {
        "clients": [{"client_id": i, "cn": c.cn, "scopes": c.scopes, "fingerprints": c.fingerprints,
                     "disabled": c.disabled} for i, c in clients.all().items()],
        "certificates": [{**row._asdict(), "revoked": row.serial in revoked} for row in issued],
        "revoked_serials": sorted(revoked),
    }
    bound = table(("client", "cn", "scopes", "state"), [
        (i, c.cn, " ".join(c.scopes), "disabled" if c.disabled else "enabled") for i, c in clients.all().items()])
    signed = table(("kind", "name", "serial", "until", "state"), [
        (r.kind, r.name, r.serial, r.ends, "revoked" if r.serial in revoked else "good") for r in issued])
    return answer, f"{bound}\n\n{signed}"


def _check(options: argparse.Namespace) -> None:
    problems, count = [], len(options.names)
    needed = {"init": (0, 0), "list": (0, 0), "server": (1, 100), "revoke": (1, 100)}.get(options.action, (1, 1))
    if not needed[0] <= count <= needed[1]:
        expected = {(0, 0): "none", (1, 1): "one", (1, 100): "at least one"}[needed]
        problems.append(f"cert {options.action}: got {count} names: expected {expected}")
    if options.scope and options.action not in ("client", "bind"):
        problems.append(f"cert {options.action}: got --scope: expected it with client or bind alone")
    problems += [f"serial: got {serial!r}: expected a hexadecimal number" for serial in options.names
                 if options.action == "revoke" and not _hexadecimal(serial)]
    if problems:
        raise ConfigError(problems)


def _hexadecimal(text: str) -> bool:
    return 0 < len(text) <= 40 and set(text.lower()) <= set("0123456789abcdef")
