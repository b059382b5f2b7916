"""`pswd-edge token`: API keys, the tokens of DCPI clients, and the key that signs tokens."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pswd_edge.clock import SystemClock, iso_utc
from pswd_edge.commands.table import table
from pswd_edge.errors import ConfigError, PswdError
from pswd_edge.gateway.families import Families
from pswd_edge.gateway.keys import ApiKey, KeyStore
from pswd_edge.gateway.signing import rotate_key
from pswd_edge.gateway.tokens import RevokedTokens

EPILOG = """examples:
  pswd-edge token create scada --role grid_operator                        reads what the role reads, for 90 days
  pswd-edge token create batch --role workload_operator --scope workload:announce --days 30
  pswd-edge token list                     API keys, and the families of DCPI clients' tokens
  pswd-edge token revoke 3f9a01c2          a key, a family, or a token by its id (jti)
  pswd-edge token rotate-key               old tokens hold until they end
  pswd-edge token rotate-key --compromised     old tokens end at once"""
_TOKEN_ID_DIGITS = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=["create", "list", "revoke", "rotate-key"])
    parser.add_argument("name", nargs="?", help="`create`: a name for the key; `revoke`: an id")
    parser.add_argument("--role", help="`create`: what the key acts as")
    parser.add_argument("--scope", action="append", default=[], help="`create`: only this; may be given more than once")
    parser.add_argument("--days", type=float, default=90.0, help="`create`: how long it holds, at most 365")
    parser.add_argument("--compromised", action="store_true", help="`rotate-key`: tokens of the old key end at once")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/pswd-edge-gateway"))
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 where it was done, 1 where there is nothing of this id; a running gateway notices by itself."""
    needed = {"create": "a name for the key", "revoke": "the id of a key, a family or a token"}.get(options.action)
    if (options.name is None) is not (needed is None):
        raise ConfigError([f"token {options.action}: got {options.name or 'nothing'}: expected {needed or 'no name'}"])
    answer, text = _done(options)
    print(json.dumps(answer) if options.json else text)
    return 0


def _done(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """What to print, as an object and as text."""
    match options.action:
        case "create":
            return _created(options)
        case "revoke":
            what = _revoked(options.state_dir, options.name)
            return {"revoked": options.name, "kind": what}, f"{options.name}: the {what} is worthless now"
        case "rotate-key":
            kid = rotate_key(options.state_dir, SystemClock(), compromised=options.compromised)
            old = "its tokens are worthless" if options.compromised else "its tokens hold until they end"
            return {"kid": kid}, f"tokens are signed with key {kid} from now on; of the old key: {old}"
        case _:
            return _listed(options.state_dir)


def _created(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    store = KeyStore(options.state_dir, SystemClock())
    key_id, text = store.create(options.name, options.role or "", options.scope, options.days)
    ends = iso_utc(store.all()[key_id].expires_utc_s)
    return ({"id": key_id, "key": text, "expires": ends},
            f"{text}\nkey {key_id} ({options.name}) holds until {ends}; it is shown this once")


def _revoked(state_dir: Path, name: str) -> str:
    clock = SystemClock()
    if KeyStore(state_dir, clock).revoke(name):
        return "API key"
    if Families(state_dir, clock).end(name):
        return "family of tokens"
    if len(name) == _TOKEN_ID_DIGITS and set(name) <= set("0123456789abcdef"):
        RevokedTokens(state_dir, clock).add(name)
        return "token"
    raise PswdError(f"{name}: got no API key, family or token id: expected one of `pswd-edge token list`, or the jti "
                    "of a token")


def _listed(state_dir: Path) -> tuple[dict[str, Any], str]:
    clock = SystemClock()
    store, now_s = KeyStore(state_dir, clock), clock.utc_s()
    families = Families(state_dir, clock).all()
    keys = [(key_id, key, _state(key, now_s), store.last_used_utc_s(key_id)) for key_id, key in store.all().items()]
    answer = {
        "keys": [{"id": i, "name": k.name, "role": k.role, "scopes": k.scopes, "state": state,
                  "expires": iso_utc(k.expires_utc_s)} | ({} if used is None else {"last_used": iso_utc(used)})
                 for i, k, state, used in keys],
        "families": [{"id": i, "client_id": f.client_id, "scopes": f.scopes, "began": iso_utc(f.began_utc_s),
                      "ends": iso_utc(f.ends_utc_s)} for i, f in families.items()],
    }
    return answer, "\n".join(_lines(answer))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield table(("key", "name", "role", "scopes", "state", "expires", "used in the hour of"), [
        (k["id"], k["name"], k["role"], " ".join(k["scopes"]) or "reads alone", k["state"], k["expires"],
         k.get("last_used", "never")) for k in answer["keys"]])
    yield ""
    yield table(("family", "client", "scopes", "began", "ends"), [
        (f["id"], f["client_id"], " ".join(f["scopes"]), f["began"], f["ends"]) for f in answer["families"]])


def _state(key: ApiKey, now_s: float) -> str:
    if key.revoked_utc_s is not None:
        return "revoked"
    return "expired" if now_s >= key.expires_utc_s else "good"
