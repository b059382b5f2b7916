"""Control: the cycle, the arbiter, the desk that takes requests, the ledger, and the pure rules."""
