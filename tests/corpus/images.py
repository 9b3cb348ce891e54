# SPDX-License-Identifier: Apache-2.0
"""Pairs of images of file systems, and of layouts of container images, which differ by one known cause each: part of
make.py."""

import gzip, hashlib, json, os, shutil, subprocess, tempfile
from pathlib import Path

UUIDS = ["00112233-4455-6677-8899-aabbccddeeff", "ffeeddcc-bbaa-9988-7766-554433221100"]


def tree(folder, files, time, user=0, mode=0o644):
    """Writes files as a tree of files; that of other users needs root."""
    for name, data in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        os.chown(path, user or os.getuid(), user or os.getgid())
    os.symlink("elsewhere", Path(folder, "link"))
    for path in (Path(folder), *Path(folder).rglob("*")):
        os.utime(path, (time, time), follow_symlinks=False)


def squashfs(folder, image, made, uuid, options=()):
    # It has no UUID.
    return ["mksquashfs", folder, image, "-noappend", "-quiet", "-no-progress", "-mkfs-time", str(made), *options]


def ext4(folder, image, made, uuid, options=("-t", "ext4")):
    return ["mkfs.ext4", "-q", *options, "-U", uuid, "-E", f"hash_seed={UUIDS[0]},nodiscard", "-d", folder, image, "4M"]


def erofs(folder, image, made, uuid, options=("-Enoinline_data",)):
    # One time for all of it would be that of every file too.
    return ["mkfs.erofs", "--quiet", "-U", uuid, *options, image, folder]


def image(tool, files, time, made, uuid=UUIDS[0], options=None, **more):
    with tempfile.TemporaryDirectory() as folder:
        content, out = Path(folder, "content"), Path(folder, "image")
        content.mkdir()
        tree(content, files, time, **more)
        command = tool(str(content), str(out), made, uuid, *([] if options is None else [options]))
        subprocess.run(command, env={**os.environ, "E2FSPROGS_FAKE_TIME": str(made)}, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return out.read_bytes()


def images(different, trees, times):
    """Images of file systems: each has a finding beside that its own bytes differ. `trees`: files by their names, then those
    with one that differs, then those without one."""
    (files, changed, fewer), (old, new) = trees, times
    for name, tool, options in (
        ("squashfs", squashfs, ()), ("squashfs-xz", squashfs, ("-comp", "xz")), ("ext2", ext4, ("-t", "ext2")),
        ("ext4", ext4, ("-t", "ext4")), ("erofs", erofs, ("-T", str(old), "-Eforce-inode-extended")),
        ("erofs-lz4", erofs, ("-zlz4", "-T", str(old))),
    ):
        if not shutil.which(tool("", "", 0, "")[0]):
            continue
        of = lambda files=files, time=old, made=old, options=options, **more: image(
            tool, files, time, made, options=options, **more)
        base, file, own = of(), f"root.{name}", "archive-structure"
        if tool is not erofs:
            different(f"{name}-times", file, "clock", base, of(time=new), ["archive-times", own])
            different(f"{name}-made", file, "clock", base, of(made=new), ["archive-times", own])
        elif name == "erofs":
            later = of(options=("-T", str(new), "-Eforce-inode-extended"))
            different(f"{name}-times", file, "clock", base, later, ["archive-times", own])
        if tool is not squashfs:
            different(f"{name}-uuid", file, "randomness", base, of(uuid=UUIDS[1]), [own])
        if os.getuid() == 0:
            different(f"{name}-owners", file, "user", base, of(user=1000), ["archive-owners", own])
        different(f"{name}-umask", file, "umask", base, of(mode=0o664), ["archive-modes", own])
        different(f"{name}-executable", file, "mode", base, of(mode=0o755), ["archive-modes", own])
        # What is compressed in erofs is not expanded.
        inside = [] if name == "erofs-lz4" else ["content"]
        different(f"{name}-content", file, "content", base, of(changed), [*inside, own])
        different(f"{name}-missing", file, "content", base, of(fewer), ["only-left", own])
    if shutil.which("mksquashfs"):
        ways = [image(squashfs, files, old, old, options=("-comp", way)) for way in ("gzip", "zstd")]
        different("squashfs-compression", "root.squashfs", "compression level", *ways, ["archive-structure"])


def layout(tar, layers, created="2023-01-02T03:04:05Z", platforms=("amd64",), saved=False):
    """An OCI image layout, by the names of its files; or what `docker save` wrote before that."""
    files = {}
    def blob(data, kind, **more):
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data), **more}
    tars = [tar(layer, time=time) for layer, time in layers]
    rows = []
    for platform in platforms:
        config = json.dumps({"created": created, "architecture": platform, "os": "linux", "rootfs": {
            "type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in tars]}}).encode()
        if saved:
            names = [f"{hashlib.sha256(each).hexdigest()}.tar" for each in tars]
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            rows.append({"Config": name, "RepoTags": ["json:latest"], "Layers": names})
            files.update({name: config, **dict(zip(names, tars))})
            continue
        manifest = {"schemaVersion": 2, "config": blob(config, "config.v1+json"),
                    "layers": [blob(gzip.compress(each, mtime=0), "layer.v1.tar+gzip") for each in tars]}
        rows.append(blob(json.dumps(manifest).encode(), "manifest.v1+json", platform={"architecture": platform, "os": "linux"}))
    if saved:
        return {"manifest.json": json.dumps(rows).encode(), **files}
    index = json.dumps({"schemaVersion": 2, "manifests": rows}).encode()
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **files}


def layouts(different, trees, times, tar):
    """Layouts as directories and as archives; `tar` makes one of files by their names."""
    (files, changed), (old, new) = trees, times
    first = ({"etc/motd": b"hello\n"}, old)
    of = lambda files=files, time=old, **more: layout(tar, [first, (files, time)], **more)
    packed = lambda files: tar(dict(sorted(files.items())))
    both = ["archive-structure", "content"]
    for name, file, pack in (("oci-directory", "image", lambda files: files), ("oci-archive", "image.tar", packed)):
        base = of()
        different(f"{name}-times", file, "clock", pack(base), pack(of(time=new)), ["archive-times", *both])
        different(f"{name}-content", file, "content", pack(base), pack(of(changed)), both)
        different(f"{name}-created", file, "clock", pack(base), pack(of(created="2024-01-02T03:04:05Z")), both)
        several = [of(files, platforms=("arm64", "amd64")) for files in (files, changed)]
        different(f"{name}-platforms", file, "content", *map(pack, several), both)
        fewer = pack(layout(tar, [first]))
        different(f"{name}-layers", file, "content", pack(base), fewer, ["only-left", *both])
    saved = [packed(of(time=time, saved=True)) for time in (old, new)]
    different("docker-archive-times", "image.tar", "clock", *saved, ["archive-times", *both])
