"""PSWD: the API between workload schedulers and the energy infrastructure."""
