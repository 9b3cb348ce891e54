// SPDX-License-Identifier: Apache-2.0
// Verifies bundles with @sigstore/verify, by a key and by nothing else: KEY KEYID BUNDLE...
//
// Each must verify as it is, and with nothing changed. Prints "verified N".
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity } from "@sigstore/verify";

const [keyFile, keyid, ...files] = process.argv.slice(2);
const publicKey = createPublicKey(readFileSync(keyFile));
const publicKeyOf = (hint) => {
    if (hint !== keyid) throw new Error(`there is no key ${hint}`);
    return { publicKey, validFor: () => true };
};
const trust = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [], publicKey: publicKeyOf };
// A managed key, and no log: the thresholds for what a log and a timestamp authority would say are none.
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });

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
    refused.forEach((json, which) => must(!verifies(json), `${file}: change ${which} must not verify`));
}
console.log(`verified ${files.length}`);
