"""Entries on disk that cannot be changed unseen: control's ledger and the gateway's audit are kept so."""
