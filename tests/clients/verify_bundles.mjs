// SPDX-License-Identifier: Apache-2.0
// Verifies bundles with @sigstore/verify, by a key, and by a log's and an authority's word where LOG and AUTHORITY are not
// empty: KEY KEYID LOG AUTHORITY BUNDLE...
// LOG is NAME+ID+KEY (C2SP signed-note); AUTHORITY is a file with certificates in PEM, its own first.
//
// Each must verify as it is, and with nothing changed. Prints "verified N".
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

import { bundleFromJSON } from "@sigstore/bundle";
import { X509Certificate } from "@sigstore/core";
import { Verifier, toSignedEntity } from "@sigstore/verify";

const [keyFile, keyid, log, authority, ...files] = process.argv.slice(2);
const publicKey = createPublicKey(readFileSync(keyFile));
const publicKeyOf = (hint) => {
    if (hint !== keyid) throw new Error(`there is no key ${hint}`);
    return { publicKey, validFor: () => true };
};
const logOf = (text) => {
    const [name, id, key] = text.split(/\+(.{8})\+/);
    // The DER of RFC 8410, section 4, up to the key; the first byte of the note's key is its algorithm.
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(key, "base64").subarray(1)]);
    return {
        baseURL: name,
        logID: Buffer.from(id, "hex"),
        publicKey: createPublicKey({ key: der, format: "der", type: "spki" }),
        validFor: always,
    };
};
const always = { start: new Date(0), end: new Date(8640000000000000) };
const authorityOf = (file) => {
    const pem = readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
    return { certChain: pem.map((each) => X509Certificate.parse(each)), validFor: always };
};
const tlogs = log ? [logOf(log)] : [];
const timestampAuthorities = authority ? [authorityOf(authority)] : [];
const trust = { certificateAuthorities: [], timestampAuthorities, tlogs, ctlogs: [], publicKey: publicKeyOf };
// With a log and an authority, the client's own thresholds; else none for what is not there.
const thresholds = { tlogThreshold: tlogs.length, ctlogThreshold: 0, timestampThreshold: timestampAuthorities.length };
const verifier = new Verifier(trust, log && authority ? {} : thresholds);

const verifies = (json) => {
    try {
        verifier.verify(toSignedEntity(bundleFromJSON(json)));
        return true;
    } catch {
        return false;
    }
};
const must = (holds, what) => {
    if (!holds) throw new Error(what);
};

for (const file of files) {
    const text = readFileSync(file, "utf8");
    must(verifies(JSON.parse(text)), `${file} must verify`);
    const changed = (change) => {
        const json = JSON.parse(text);
        change(json);
        return json;
    };
    const flipped = (base64) => {
        const bytes = Buffer.from(base64, "base64");
        bytes[bytes.length >> 1] ^= 1;
        return bytes.toString("base64");
    };
    const refused = [
        changed((json) => (json.dsseEnvelope.payload = flipped(json.dsseEnvelope.payload))),
        changed((json) => (json.dsseEnvelope.signatures[0].sig = flipped(json.dsseEnvelope.signatures[0].sig))),
        changed((json) => (json.dsseEnvelope.payloadType += "x")),
        changed((json) => (json.verificationMaterial.publicKey.hint = "another")),
    ];
    if (log) {
        const entry = (json) => json.verificationMaterial.tlogEntries[0];
        refused.push(
            changed((json) => (json.verificationMaterial.tlogEntries = [])),
            changed((json) => (entry(json).canonicalizedBody = flipped(entry(json).canonicalizedBody))),
            // The client takes root and size from the signed checkpoint, so that it does not look at those beside it.
            changed((json) => (entry(json).inclusionProof.hashes[0] = flipped(entry(json).inclusionProof.hashes[0]))),
            changed((json) => {
                const inclusion = entry(json).inclusionProof;
                inclusion.checkpoint.envelope = inclusion.checkpoint.envelope.replace("\n", "x\n");
            }),
        );
    }
    if (authority) {
        const data = (json) => json.verificationMaterial.timestampVerificationData;
        refused.push(
            changed((json) => (data(json).rfc3161Timestamps = [])),
            changed((json) => {
                // Its last bytes are the authority's signature; the certificates in its middle are not signed.
                const [timestamp] = data(json).rfc3161Timestamps;
                const bytes = Buffer.from(timestamp.signedTimestamp, "base64");
                bytes[bytes.length - 8] ^= 1;
                timestamp.signedTimestamp = bytes.toString("base64");
            }),
        );
    }
    refused.forEach((json, which) => must(!verifies(json), `${file}: change ${which} must not verify`));
}
console.log(`verified ${files.length}`);
