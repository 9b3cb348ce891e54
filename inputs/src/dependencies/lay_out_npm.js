// SPDX-License-Identifier: Apache-2.0
// Makes a cache that npm installs from without a network, out of the tarballs in /inputs: each by its SHA-512, and for each package
// the document that a registry would have given, for lock files that do not say where a tarball comes from.
// node lay_out_npm.js LOCK CACHE
"use strict";
const { createHash } = require("crypto");
const fs = require("fs");
const { dirname } = require("path");

const [lock, cache] = process.argv.slice(2);
const registry = process.env.npm_config_registry;
// What npm asks for, by which it tells a document from another.
const accepted = ["application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", "application/json"];

const hash = (algorithm, data, form) => createHash(algorithm).update(data).digest(form);
const inParts = (hex) => `${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex.slice(4)}`;

function made(path) {
    fs.mkdirSync(dirname(path), { recursive: true });
    return path;
}

function place(base64) {
    return made(`${cache}/_cacache/content-v2/sha512/${inParts(Buffer.from(base64, "base64").toString("hex"))}`);
}

function index(url, base64, size, reqHeaders) {
    const key = `make-fetch-happen:request-cache:${url}`;
    const resHeaders = { "content-type": "application/json" };
    const metadata = { time: 1, url, reqHeaders, resHeaders, options: { compress: true } };
    const entry = JSON.stringify({ key, integrity: `sha512-${base64}`, time: 1, size, metadata });
    const bucket = made(`${cache}/_cacache/index-v5/${inParts(hash("sha256", key, "hex"))}`);
    fs.appendFileSync(bucket, `\n${hash("sha1", entry, "hex")}\t${entry}`);
}

const sizes = new Map();
for (const file of fs.readdirSync("/inputs").filter((name) => name.endsWith(".tgz")).sort()) {
    const bytes = fs.readFileSync(`/inputs/${file}`);
    const base64 = hash("sha512", bytes, "base64");
    // A copy: npm changes its mode, and /inputs can't be written to.
    fs.writeFileSync(place(base64), bytes);
    sizes.set(base64, bytes.length);
}

const documents = new Map();
for (const [path, entry] of Object.entries(JSON.parse(fs.readFileSync(lock, "utf8")).packages)) {
    const { name = path.split("node_modules/").pop(), version, integrity = "" } = entry;
    const base64 = integrity.split(/\s+/).map((one) => one.replace(/^sha512-/, "")).find((one) => sizes.has(one));
    if (base64 === undefined) continue;
    const document = documents.get(name) || { name, "dist-tags": {}, versions: {} };
    documents.set(name, document);
    if (document.versions[version]) continue;
    const tarball = `${registry}${name}/-/${version}.tgz`;
    document.versions[version] = { name, version, dist: { tarball, integrity: `sha512-${base64}` } };
    index(tarball, base64, sizes.get(base64), {});
}
for (const document of documents.values()) {
    const text = JSON.stringify(document);
    const base64 = hash("sha512", text, "base64");
    fs.writeFileSync(place(base64), text);
    const url = registry + document.name.replace("/", "%2f");
    for (const accept of accepted) index(url, base64, Buffer.byteLength(text), { accept });
}
