"""DCPI: the API between data centre power infrastructure and its schedulers, behind client certificates."""
