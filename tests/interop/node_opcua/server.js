// An OPC UA server by node-opcua; argv[2] is JSON: {port, folder, certificate, privateKey, namespaces}.
// Each namespace gets nodes power (Double), count (UInt16), setpoint (Double, writable), stopped (bad) and echo: what is
// written to setpoint is what echo shows. Says "ready" when it listens; ends with its standard input.
"use strict";

const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { DataType, Variant } = require("node-opcua-variant");
const { DataValue } = require("node-opcua-data-value");
const { StatusCodes } = require("node-opcua-status-code");

const settings = JSON.parse(process.argv[2]);

function addNodes(namespace, parent, power) {
    let setpoint = 0.0;
    const stamp = new Date(Date.UTC(2026, 2, 1, 12, 0, 0, 250));
    const add = (name, dataType, value, more) => namespace.addVariable({
        componentOf: parent, browseName: name, nodeId: `s=${name}`, dataType, ...more, value,
    });
    add("power", "Double", {
        timestamped_get: () => new DataValue({
            value: new Variant({ dataType: DataType.Double, value: power }), sourceTimestamp: stamp,
        }),
    });
    add("count", "UInt16", { dataType: DataType.UInt16, value: 7 });
    add("stopped", "Double", {
        timestamped_get: () => new DataValue({ statusCode: StatusCodes.BadSensorFailure, sourceTimestamp: stamp }),
    });
    const echo = add("echo", "Double", { dataType: DataType.Double, value: 0.0 });
    add("setpoint", "Double", {
        get: () => new Variant({ dataType: DataType.Double, value: setpoint }),
        set: (variant) => {
            setpoint = variant.value;
            echo.setValueFromSource({ dataType: DataType.Double, value: setpoint });
            return StatusCodes.Good;
        },
    }, { accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite" });
}

async function main() {
    const pki = new OPCUACertificateManager({
        rootFolder: `${settings.folder}/pki`, automaticallyAcceptUnknownCertificate: true, disableFileWatchers: true,
    });
    await pki.initialize();
    const server = new OPCUAServer({
        port: settings.port, host: "127.0.0.1", hostname: "127.0.0.1", resourcePath: "/interop",
        disableDiscovery: true, allowAnonymous: true,
        certificateFile: settings.certificate, privateKeyFile: settings.privateKey,
        serverCertificateManager: pki, userCertificateManager: pki,
        serverInfo: { applicationUri: "urn:test:server" },
        securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
        securityPolicies: [
            SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep,
            SecurityPolicy.Aes256_Sha256_RsaPss,
        ],
        serverCapabilities: { operationLimits: { maxNodesPerRead: 3, maxMonitoredItemsPerCall: 2 } },
        userManager: { isValidUser: (name, password) => name === "engineer" && password === "correct horse" },
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    settings.namespaces.forEach((uri) => {
        const namespace = space.registerNamespace(uri);
        const folder = namespace.addFolder(space.rootFolder.objects, { browseName: "plant" });
        addNodes(namespace, folder, uri.endsWith("twin") ? -1.0 : 12.5);
    });
    await server.start();
    console.log("ready");
    process.stdin.resume();
    process.stdin.on("end", () => server.shutdown(0).finally(() => process.exit(0)));
}

main().catch((error) => { console.error(error); process.exit(1); });
