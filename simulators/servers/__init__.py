"""Devices as their clients see them: Modbus TCP, OPC UA and SNMP servers laid out from a compiled site."""
