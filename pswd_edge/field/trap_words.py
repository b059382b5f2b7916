"""What a notification's object id says, for people."""

# SNMPv2-MIB and IF-MIB; UPS-MIB (RFC 1628); PowerNet-MIB, apc.0
WORDS = {
    "1.3.6.1.6.3.1.1.5.1": "cold start",
    "1.3.6.1.6.3.1.1.5.2": "warm start",
    "1.3.6.1.6.3.1.1.5.3": "a network link is down",
    "1.3.6.1.6.3.1.1.5.4": "a network link is up",
    "1.3.6.1.6.3.1.1.5.5": "somebody asked with wrong credentials",
    "1.3.6.1.2.1.33.2.1": "on battery",
    "1.3.6.1.2.1.33.2.2": "battery test completed",
    "1.3.6.1.2.1.33.2.3": "an alarm has begun",
    "1.3.6.1.2.1.33.2.4": "an alarm is over",
    "1.3.6.1.4.1.318.0.5": "on battery",
    "1.3.6.1.4.1.318.0.7": "battery low",
    "1.3.6.1.4.1.318.0.9": "power restored",
}
QUIET = frozenset({"1.3.6.1.6.3.1.1.5.1", "1.3.6.1.6.3.1.1.5.2", "1.3.6.1.6.3.1.1.5.4", "1.3.6.1.2.1.33.2.2",
                   "1.3.6.1.2.1.33.2.4", "1.3.6.1.4.1.318.0.9"})
"""These tell of nothing that somebody must look at."""
_MAKERS = {
    "1.3.6.1.4.1.318.": "APC", "1.3.6.1.4.1.13742.": "Raritan", "1.3.6.1.4.1.1718.": "Server Technology",
    "1.3.6.1.4.1.534.": "Eaton", "1.3.6.1.4.1.476.": "Vertiv", "1.3.6.1.4.1.8072.": "net-snmp",
}


def words_of(oid: str) -> str:
    """A sentence's worth of what this trap says; the number itself always stands beside it."""
    if oid in WORDS:
        return f"{WORDS[oid]} ({oid})"
    maker = next((name for head, name in _MAKERS.items() if oid.startswith(head)), "")
    return f"{maker} {oid}".strip()
