"""A real OPC UA server for the tests, in a thread with a loop of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions

from tests.field.drivers.certificates import make_certificate

CLIENT_URI = "urn:pswd-edge:client"
NAMESPACE = "urn:test:bess"
TWIN_NAMESPACE = "urn:test:twin"
STAMP = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


class Users:
    """Anybody without a name, one user by password, one by certificate; `strange` is nobody's."""

    def __init__(self) -> None:
        self.known = b""
        self.strange = b""
        self.seen: list[str] = []

    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None):
        if username is not None:
            self.seen.append("password")
            return User(role=UserRole.User) if (username, password) == ("engineer", "correct horse") else None
        self.seen.append("certificate" if certificate == self.known else "anybody")
        return None if certificate == self.strange else User(role=UserRole.User)


class OpcUaSite:
    """The server; `call` runs a coroutine in its loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.users = Users()
        self.server = Server(user_manager=self.users)
        self.reads = 0
        self.call(self._start())

    @property
    def port(self) -> int:
        return self.server.bserver._server.sockets[0].getsockname()[1]

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def stop(self) -> None:
        self.call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def put(self, name: str, answer: ua.DataValue) -> None:
        """Make a node answer this from now on."""
        node = ua.NodeId(name, self._namespace)
        self.call(self.server.iserver.write_attribute_value(node, answer))

    def value(self, name: str) -> Any:
        return self.call(self.server.get_node(ua.NodeId(name, self._namespace)).read_value())

    def swap_namespaces(self) -> None:
        """What a restart may do: the same URIs at other indices."""
        self.call(self._swap())

    async def _swap(self) -> None:
        node = self.server.get_node(ua.ObjectIds.Server_NamespaceArray)
        uris = await node.read_value()
        await node.write_value([*uris[:-2], uris[-1], uris[-2]])

    def renumber(self, name: str, identifier: str) -> None:
        """What another restart may do: the same browse name at another node id."""
        self.call(self._renumber(name, identifier))

    async def _renumber(self, name: str, identifier: str) -> None:
        parent = await self.server.nodes.objects.get_child([f"{self._namespace}:bess"])
        node = await parent.get_child([f"{self._namespace}:{name}"])
        value = await node.read_value()
        await self.server.delete_nodes([node])
        browse_name = ua.QualifiedName(name, self._namespace)
        await parent.add_variable(ua.NodeId(identifier, self._namespace), browse_name, value)

    def client_files(self) -> dict[str, str]:
        """Settings of a client with a certificate of its own, that knows the server's."""
        names = {"certificate": "client.der", "private_key": "client.pem", "server_certificate": "server.der"}
        return {key: str(self._folder / name) for key, name in names.items()}

    def user_files(self, name: str) -> dict[str, str]:
        """Settings of a user by certificate."""
        return {"user_certificate": str(self._folder / f"{name}.der"),
                "user_private_key": str(self._folder / f"{name}.pem")}

    def other_client(self, name: str) -> dict[str, str]:
        """Settings of a client with another certificate of its own."""
        return self.client_files() | {"certificate": str(self._folder / f"{name}.der"),
                                      "private_key": str(self._folder / f"{name}.pem")}

    async def _secure(self) -> None:
        for name, uri in (("server", "urn:test:server"), ("client", CLIENT_URI), ("engineer", CLIENT_URI),
                          ("stranger", CLIENT_URI)):
            make_certificate(self._folder, name, uri)
        make_certificate(self._folder, "expired", CLIENT_URI, days=-3.0)
        self.users.known = (self._folder / "engineer.der").read_bytes()
        self.users.strange = (self._folder / "stranger.der").read_bytes()
        await self.server.set_application_uri("urn:test:server")
        policies = ua.SecurityPolicyType
        self.server.set_security_policy([
            policies.NoSecurity, policies.Basic256Sha256_Sign, policies.Basic256Sha256_SignAndEncrypt,
            policies.Aes128Sha256RsaOaep_Sign, policies.Aes128Sha256RsaOaep_SignAndEncrypt,
            policies.Aes256Sha256RsaPss_Sign, policies.Aes256Sha256RsaPss_SignAndEncrypt,
        ])
        self.server.set_certificate_validator(CertificateValidator(CertificateValidatorOptions.TIME_RANGE))
        await self.server.load_certificate(str(self._folder / "server.der"))
        await self.server.load_private_key(str(self._folder / "server.pem"))

    async def _start(self) -> None:
        await self.server.init()
        await self._secure()
        self.server.set_endpoint("opc.tcp://127.0.0.1:0/test")
        self._namespace = await self.server.register_namespace(NAMESPACE)
        twin = await self.server.register_namespace(TWIN_NAMESPACE)
        folder = await self.server.nodes.objects.add_object(self._namespace, "bess")
        moving = ua.QualifiedName("moving", self._namespace)
        await folder.add_variable(ua.NodeId("moving-1", self._namespace), moving, 3.5)
        initial = {
            "power": ua.Variant(12.5, ua.VariantType.Double),
            "count": ua.Variant(7, ua.VariantType.UInt16),
            "running": ua.Variant(True, ua.VariantType.Boolean),
            "name": ua.Variant("BESS", ua.VariantType.String),
            "cells": ua.Variant([3.3, 3.4], ua.VariantType.Double),
            "power_setpoint": ua.Variant(0.0, ua.VariantType.Double),
            "mode": ua.Variant(0, ua.VariantType.Int16),
            "read_only": ua.Variant(1.0, ua.VariantType.Double),
        }
        for name, variant in initial.items():
            browse_name = ua.QualifiedName(name, self._namespace)
            variable = await folder.add_variable(ua.NodeId(name, self._namespace), browse_name, variant)
            if name in ("power_setpoint", "mode", "running"):
                await variable.set_writable()
        await folder.add_variable(ua.NodeId("power", twin), "power", -1.0)
        await self.server.start()
        self._count_reads()

    def _count_reads(self) -> None:
        service = self.server.iserver.attribute_service
        read = service.read

        def counted(params: Any) -> Any:
            self.reads += 1
            return read(params)

        service.read = counted
