# SPDX-License-Identifier: Apache-2.0
"""What all pairs are made with: part of make.py."""

import io, json, struct, tarfile, zipfile, zlib
from pathlib import Path

OLD, NEW = 1_700_000_000, 1_732_000_000
LIBRARY = Path(json.__file__).parent
SOURCES = {f"json/{path.name}": path.read_bytes() for path in sorted(LIBRARY.glob("*.py"))}
FIRST = next(iter(SOURCES))
CHANGED = {**SOURCES, FIRST: SOURCES[FIRST].replace(b"the", b"The", 1)}
FEWER = dict(list(SOURCES.items())[:-1])
REVERSED = dict(reversed(SOURCES.items()))
PAIRS = []


def pair(name, file, cause, left, right, level, normalizations=(), kinds=()):
    PAIRS.append((name, file, left, right,
                  {"cause": cause, "level": level, "normalizations": list(normalizations), "kinds": sorted(kinds)}))


def equal(name, file, cause, left, right, normalizations, kinds):
    pair(name, file, cause, left, right, "normalized-equal", normalizations, kinds)


def different(name, file, cause, left, right, kinds):
    pair(name, file, cause, left, right, "different", (), kinds)


def tar(files, form=tarfile.GNU_FORMAT, time=OLD, user=0, mode=0o644, link="json"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for number, (name, data) in enumerate(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid, info.mode = len(data), time, user, mode
            info.uname = f"user{user}"
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("link")
        info.type, info.linkname, info.mtime = tarfile.SYMTYPE, link, OLD
        archive.addfile(info)
    return out.getvalue()


def wheel(files, time=(2023, 1, 2, 3, 4, 6), method=zipfile.ZIP_DEFLATED, level=6, mode=0o644, comment=b"", streamed=False):
    out = Stream() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, time)
            info.compress_type, info.external_attr, info.create_system = method, (0o100000 | mode) << 16, 3
            archive.writestr(info, data, compresslevel=level)
        archive.comment = comment
    return out.getvalue()


class Stream(io.BytesIO):
    """Can't be written to but at its end, so that sizes have to follow the data."""

    def seekable(self):
        return False

    def tell(self):
        raise io.UnsupportedOperation


def png(time, text=b"Software\0maker"):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"tIME", time), chunk(b"tEXt", text), chunk(b"IDAT", zlib.compress(b"\0\0"))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")
