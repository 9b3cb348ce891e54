# SPDX-License-Identifier: Apache-2.0
"""Writes an OCI layout with one image into a tar archive: each name in its place, each time that of SOURCE_DATE_EPOCH."""

import hashlib, io, json, os, sys, tarfile
from datetime import datetime, timezone
from pathlib import Path

AT = int(os.environ["SOURCE_DATE_EPOCH"])
TYPE = "application/vnd.oci.image."


def tar(files):
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = mode, AT
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return to.getvalue()


def main():
    blobs = {}

    def blob(kind, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = (0o644, content)
        return {"mediaType": TYPE + kind, "digest": f"sha256:{digest}", "size": len(content)}

    def document(kind, value):
        return blob(kind, json.dumps(value, sort_keys=True).encode())

    base = tar({"bin/busybox": (0o755, Path("/bin/busybox").read_bytes()), "bin/sh": (0o777, "busybox")})
    pages = tar({"www/index.html": (0o644, Path("index.html").read_bytes())})
    config = document("config.v1+json", {
        "architecture": "amd64",
        "os": "linux",
        "created": datetime.fromtimestamp(AT, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {"Cmd": ["/bin/busybox", "httpd", "-f", "-h", "/www"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in (base, pages)]},
    })
    manifest = document("manifest.v1+json", {
        "schemaVersion": 2,
        "mediaType": TYPE + "manifest.v1+json",
        "config": config,
        "layers": [blob("layer.v1.tar", layer) for layer in (base, pages)],
    })
    index = {"schemaVersion": 2, "manifests": [manifest | {"annotations": {"org.opencontainers.image.ref.name": "1.0"}}]}
    blobs["index.json"] = (0o644, json.dumps(index, sort_keys=True).encode())
    blobs["oci-layout"] = (0o644, b'{"imageLayoutVersion": "1.0.0"}')
    Path(sys.argv[1]).write_bytes(tar(blobs))


main()
