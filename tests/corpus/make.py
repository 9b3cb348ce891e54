#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes pairs of files that differ by one known cause each, out of what is installed here: Python's own library, and what
the C compiler makes of a small program. `make.py FOLDER` writes FOLDER/NAME/left/FILE, FOLDER/NAME/right/FILE and
FOLDER/expected.json: for each pair its cause, the level, the normalizations and the kinds of findings.
`make.py FOLDER --packages` makes them out of packages that others have published, and downloads those."""

import base64, bz2, datetime, gzip, hashlib, io, json, lzma, os, py_compile, shutil, sqlite3, struct, subprocess, sys, tarfile
import tempfile, zipfile, zlib
from pathlib import Path

import images, packages
from base import CHANGED, FEWER, FIRST, LIBRARY, NEW, OLD, PAIRS, REVERSED, SOURCES, Stream, different, equal, pair, png, tar, wheel
from texts import behind_headers, gems, jars, named, signed_jars


def tars():
    for label, form in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT), ("ustar", tarfile.USTAR_FORMAT)):
        of = lambda files=SOURCES, **more: tar(files, form, **more)
        base, file = of(), "package.tar"
        equal(f"tar-{label}-times", file, "clock", base, of(time=NEW), ["tar-times"], ["archive-times"])
        equal(f"tar-{label}-owners", file, "user", base, of(user=1000), ["tar-owners"], ["archive-owners"])
        equal(f"tar-{label}-umask", file, "umask", base, of(mode=0o664), ["tar-umask"], ["archive-modes"])
        equal(f"tar-{label}-order", file, "file order", base, of(REVERSED), ["tar-order"], ["archive-order"])
        different(f"tar-{label}-executable", file, "mode", base, of(mode=0o755), ["archive-modes"])
        different(f"tar-{label}-content", file, "content", base, of(CHANGED), ["content"])
        different(f"tar-{label}-link", file, "content", base, of(link="other"), ["link-target"])
    equal("tar-gnu-padding", "package.tar", "packer", tar(SOURCES), tar(SOURCES) + bytes(10240), ["tar-form"],
          ["archive-structure"])
    missing = tar(FEWER)
    different("tar-gnu-missing", "package.tar", "content", tar(SOURCES), missing, ["only-left", "archive-structure"])


def compressed():
    ways = {
        "gzip": (lambda data, level=6: gzip.compress(data, level, mtime=0), 1),
        "xz": (lambda data, level=6: lzma.compress(data, preset=level), 0),
        "bzip2": (lambda data, level=9: bz2.compress(data, level), 1),
    }
    if shutil.which("zstd"):
        ways["zstd"] = (lambda data, level=3: subprocess.run(
            ["zstd", "-q", f"-{level}", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout, 1)
    endings = {"gzip": "gz", "xz": "xz", "bzip2": "bz2", "zstd": "zst"}
    # Large enough for levels to matter.
    text = b"".join(SOURCES.values()) * 20
    for name, (compress, low) in ways.items():
        file = f"package.tar.{endings[name]}"
        both = [f"{name}-compression", "tar-times"]
        equal(f"{name}-level", f"text.{endings[name]}", "compression level", compress(text), compress(text, low),
              [f"{name}-compression"], ["compression"])
        equal(f"{name}-tar-times", file, "clock", compress(tar(SOURCES)), compress(tar(SOURCES, time=NEW)), both,
              ["archive-times"])
        different(f"{name}-tar-content", file, "content", compress(tar(SOURCES)), compress(tar(CHANGED)), ["content"])
    named = lambda name, time: gzip_named(SOURCES[FIRST], name, time)
    equal("gzip-time", "a.py.gz", "clock", named("a.py", OLD), named("a.py", NEW), ["gzip-times"], ["archive-times"])
    equal("gzip-name", "a.py.gz", "build path", named("a.py", OLD), named("b.py", OLD), ["gzip-origin"],
          ["archive-structure"])


def gzip_named(data, name, time):
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", 6, out, time) as archive:
        archive.write(data)
    return out.getvalue()


def cpio(files, time=OLD, user=0, mode=0o100644, inode=1):
    out = b""
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")]):
        last = name == "TRAILER!!!"
        fields = [0 if last else inode + list(sorted(files)).index(name), 0 if last else mode, user * (not last), 0, 1,
                  time * (not last), len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return out


def cpios():
    base, file = cpio(SOURCES), "initrd.cpio"
    equal("cpio-times", file, "clock", base, cpio(SOURCES, time=NEW), ["cpio-times"], ["archive-times"])
    equal("cpio-owners", file, "user", base, cpio(SOURCES, user=1000), ["cpio-owners"], ["archive-owners"])
    equal("cpio-umask", file, "umask", base, cpio(SOURCES, mode=0o100664), ["cpio-umask"], ["archive-modes"])
    equal("cpio-inodes", file, "inode numbers", base, cpio(SOURCES, inode=90), ["cpio-numbers"], ["archive-structure"])
    equal("cpio-order", file, "file order", base, cpio(REVERSED), ["cpio-order"], ["archive-order"])
    different("cpio-content", file, "content", base, cpio(CHANGED), ["content"])


def ar(files, time=OLD, user=0, mode=0o100644):
    out = b"!<arch>\n"
    for name, data in files.items():
        out += b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % ((Path(name).name + "/").encode(), time, user, 0, mode, len(data))
        out += data + b"\n" * (len(data) % 2)
    return out


def ars():
    base, file = ar(SOURCES), "library.a"
    equal("ar-times", file, "clock", base, ar(SOURCES, time=NEW), ["ar-times"], ["archive-times"])
    equal("ar-owners", file, "user", base, ar(SOURCES, user=1000), ["ar-owners"], ["archive-owners"])
    equal("ar-umask", file, "umask", base, ar(SOURCES, mode=0o100664), ["ar-umask"], ["archive-modes"])
    equal("ar-order", file, "file order", base, ar(REVERSED), ["ar-order"], ["archive-order"])
    different("ar-content", file, "content", base, ar(CHANGED), ["content"])
    deb = lambda control, data, time=OLD: ar(
        {"debian-binary": b"2.0\n", "control.tar.xz": lzma.compress(control), "data.tar.xz": lzma.compress(data)}, time)
    control = tar({"control": b"Package: json\nVersion: 1\nInstalled-Size: 10\n"})
    other = tar({"control": b"Package: json\nVersion: 1\nInstalled-Size: 11\n"})
    base, file = deb(control, tar(SOURCES)), "json_1_all.deb"
    equal("deb-times", file, "clock", base, deb(control, tar(SOURCES, time=NEW)), ["xz-compression", "tar-times"],
          ["archive-times"])
    equal("deb-member-times", file, "clock", base, deb(control, tar(SOURCES), NEW), ["ar-times"], ["archive-times"])
    different("deb-size", file, "file system", base, deb(other, tar(SOURCES)), ["content"])
    different("deb-content", file, "content", base, deb(control, tar(CHANGED)), ["content"])


def wheels():
    base, file = wheel(SOURCES), "json-1-py3-none-any.whl"
    equal("zip-times", file, "clock", base, wheel(SOURCES, time=(2024, 5, 6, 7, 8, 10)), ["zip-times"],
          ["zip-entry-times"])
    equal("zip-order", file, "file order", base, wheel(REVERSED), ["zip-order"], ["zip-entry-order"])
    equal("zip-level", file, "compression level", base, wheel(SOURCES, level=1), ["zip-compression"],
          ["zip-compression"])
    equal("zip-method", file, "compression level", base, wheel(SOURCES, method=zipfile.ZIP_STORED),
          ["zip-compression"], ["zip-compression"])
    equal("zip-umask", file, "umask", base, wheel(SOURCES, mode=0o664), ["zip-umask"], ["zip-entry-attributes"])
    equal("zip-stream", file, "packer", base, wheel(SOURCES, streamed=True), ["zip-form"], ["zip-structure"])
    different("zip-executable", file, "mode", base, wheel(SOURCES, mode=0o755), ["zip-entry-attributes"])
    different("zip-comment", file, "content", base, wheel(SOURCES, comment=b"built by"), ["zip-structure"])
    different("zip-content", file, "content", base, wheel(CHANGED), ["content"])
    different("zip-missing", file, "content", base, wheel(FEWER), ["only-left"])
    def recorded(files):
        digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines = [f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items()]
        return wheel({**files, "json-1.dist-info/RECORD": "".join([*lines, "json-1.dist-info/RECORD,,\n"]).encode()})
    different("wheel-record", file, "content", recorded(SOURCES), recorded(CHANGED), ["content"])
    both = [recorded({"inner.tar": tar(SOURCES, time=time)}) for time in (OLD, NEW)]
    equal("wheel-record-follows", file, "clock", *both, ["zip-compression", "wheel-record", "tar-times"],
          ["archive-times", "content"])
    inside = lambda time: wheel({"inner.tar": tar(SOURCES, time=time)})
    equal("zip-inner-times", "bundle.zip", "clock", inside(OLD), inside(NEW), ["zip-compression", "tar-times"],
          ["archive-times"])


PROGRAM = '#include <stdio.h>\n#include <assert.h>\nint add(int a, int b) {{ assert(a); return a + b + {add}; }}\n' \
          'int main(void) {{ puts("{text}"); return add(1, 2); }}\n'


def program(folder, text="built", add=0, flags=(), name="main.c"):
    source = Path(folder, name)
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(PROGRAM.format(text=text, add=add))
    out = Path(folder, "out")
    subprocess.run(["gcc", "-O1", *flags, "-o", str(out), name], cwd=folder, check=True)
    return out.read_bytes()


def programs():
    if not shutil.which("gcc"):
        return
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        base = program(one)
        ids = [program(one, flags=[f"-Wl,--build-id=0x{digit * 40}"]) for digit in "12"]
        pair("elf-build-id", "program", "build id", *ids, "code-equal", ["elf-identity"], ["build-identity"])
        different("elf-date", "program", "clock", program(one, "built 2023"), program(one, "built 2024"),
                  ["content", "build-identity"])
        different("elf-code", "program", "content", base, program(one, add=7), ["content", "build-identity"])
        different("elf-year", "program", "clock", *[program(one, add=year) for year in (2022, 2026)],
                  ["content", "build-identity"])
        different("elf-path", "program", "build path", program(one, flags=["-g"]), program(two, flags=["-g"]),
                  ["content", "build-identity"])
        objects = [program(folder, flags=["-c", "-g"]) for folder in (one, two)]
        different("elf-object-path", "main.o", "build path", *objects, ["content"])
        libraries = [ar({"main.o": each}) for each in objects]
        different("ar-object-path", "libmain.a", "build path", *libraries, ["content"])


def portable(time, guid=b"0" * 16, text=b"built", exports=0):
    """A program for Windows with a section of text, and one with its directory of debugging information and its exports."""
    sections = [(b".text", 0x1000, 0x400, 0x60000020), (b".rdata", 0x2000, 0x600, 0x40000040)]
    directories = [(0x2100, 40)] + [(0, 0)] * 5 + [(0x2000, 28)] + [(0, 0)] * 9
    start = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<2H3I2H", 0x8664, 2, time, 0, 0, 240, 0x22)
    start += struct.pack("<HBB5IQ2I6H", 0x20B, 14, 0, 512, 512, 0, 0x1000, 0x1000, 0x140000000, 4096, 512, 6, 0, 0, 0, 6, 0)
    start += struct.pack("<4I2H4Q2I", 0, 0x3000, 1024, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)
    start += b"".join(struct.pack("<2I", *each) for each in directories)
    row = lambda name, address, at, flags: struct.pack("<8s6I2HI", name, 512, address, 512, at, 0, 0, 0, 0, flags)
    start += b"".join(row(*section) for section in sections)
    record = b"RSDS" + guid + struct.pack("<I", 1) + b"program.pdb\0"
    data = struct.pack("<2I2H4I", 0, time, 0, 0, 2, len(record), 0x2020, 0x620) + bytes(4) + record
    data = data.ljust(256, b"\0") + struct.pack("<10I", 0, exports, 0, 0x2128, 1, 0, 0, 0, 0, 0) + b"program.exe\0"
    return start.ljust(1024, b"\0") + text.ljust(512, b"\0") + data.ljust(512, b"\0")


def mach(uuid, text=b"built"):
    """An object for macOS with one section."""
    segment = struct.pack("<2I16s4Q4I", 0x19, 152, b"", 0, 8, 208, 8, 7, 7, 1, 0)
    section = struct.pack("<16s16s2Q8I", b"__text", b"__TEXT", 0, 8, 208, 0, 0, 0, 0x80000400, 0, 0, 0)
    return struct.pack("<8I", 0xFEEDFACF, 0x0100000C, 0, 1, 2, 176, 0, 0) + segment + section + struct.pack("<2I", 0x1B, 24) + \
        uuid + text.ljust(8, b"\0")


def fat(*files):
    out, at = struct.pack(">2I", 0xCAFEBABE, len(files)), 4096
    for processor, data in zip((0x01000007, 0x0100000C), files):
        out, at = out + struct.pack(">5I", processor, 3, at, len(data), 12), at + 4096
    return out.ljust(4096, b"\0") + b"".join(data.ljust(4096, b"\0") for data in files)


def foreign():
    base, file = portable(OLD), "program.exe"
    equal("pe-time", file, "clock", base, portable(NEW), ["pe-times"], ["archive-times"])
    equal("pe-exports-time", file, "clock", base, portable(OLD, exports=NEW), ["pe-times"], ["archive-times"])
    pair("pe-guid", file, "build id", base, portable(OLD, b"1" * 16), "code-equal", ["pe-identity"], ["build-identity"])
    different("pe-text", file, "content", base, portable(OLD, text=b"other"), ["content"])
    base, file = java(b"built 2023"), "Main.class"
    different("class-text", file, "clock", base, java(b"built 2024"), ["content"])
    different("class-code", file, "content", base, java(b"built 2023", b"other"), ["content"])
    one, two = b"1" * 16, b"2" * 16
    pair("mach-o-uuid", "main.o", "build id", mach(one), mach(two), "code-equal", ["mach-o-identity"], ["build-identity"])
    different("mach-o-text", "main.o", "content", mach(one), mach(one, b"other"), ["content"])
    pair("mach-o-fat-uuid", "program", "build id", fat(mach(one), mach(one)), fat(mach(one), mach(two)), "code-equal",
         ["mach-o-identity"], ["build-identity"])
    coff = lambda time, text: struct.pack("<2H3I2H", 0x8664, 1, time, 68, 1, 0, 0) + \
        struct.pack("<8s6I2HI", b".text", 0, 0, 8, 60, 0, 0, 0, 0, 0x60000020) + text.ljust(8, b"\0") + \
        struct.pack("<8sIhH2BI", b"text", 0, 1, 0, 2, 0, 4)
    equal("coff-time", "main.obj", "clock", coff(OLD, b"built"), coff(NEW, b"built"), ["coff-times"], ["archive-times"])
    different("coff-text", "main.obj", "content", coff(OLD, b"built"), coff(OLD, b"other"), ["content"])


def java(text, code=b"code"):
    """A class with a string and a method."""
    utf8 = lambda each: struct.pack(">BH", 1, len(each)) + each
    constants = [utf8(b"Main"), b"\7\0\1", utf8(b"run"), utf8(b"()V"), utf8(b"Code"), utf8(text), b"\x08\0\6"]
    method = struct.pack(">4H", 1, 3, 4, 1) + struct.pack(">HI", 5, len(code)) + code
    return struct.pack(">I3H", 0xCAFEBABE, 0, 65, len(constants) + 1) + b"".join(constants) + \
        struct.pack(">6H", 0x21, 2, 0, 0, 0, 1) + method + bytes(2)


def compiled():
    with tempfile.TemporaryDirectory() as folder:
        def of(time, mode, shown="json/decoder.py"):
            source, out = Path(folder, "a.py"), Path(folder, "a.pyc")
            source.write_bytes(SOURCES["json/decoder.py"])
            os.utime(source, (time, time))
            py_compile.compile(str(source), str(out), shown, doraise=True, invalidation_mode=mode)
            return out.read_bytes()
        stamp, by_hash = py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.CHECKED_HASH
        equal("pyc-time", "a.pyc", "clock", of(OLD, stamp), of(NEW, stamp), ["pyc-times"], ["archive-times"])
        different("pyc-path", "a.pyc", "build path", of(OLD, by_hash), of(OLD, by_hash, "/b/decoder.py"), ["content"])


def catalogue(date):
    """A gettext catalogue with its header alone."""
    text = f"POT-Creation-Date: {date}\nContent-Type: text/plain; charset=UTF-8\n".encode()
    return struct.pack("<7I", 0x950412DE, 0, 1, 28, 36, 0, 44) + struct.pack("<4I", 0, 44, len(text), 45) + b"\0" + text + b"\0"


def database(folder, name, order):
    path = Path(folder, name)
    connection = sqlite3.connect(path)
    connection.execute("create table files (name text, size integer)")
    connection.executemany("insert into files values (?, ?)", [(key, len(SOURCES[key])) for key in order])
    connection.commit()
    connection.close()
    return path.read_bytes()


def pdf(time, identity="0", text=b"BT (built) Tj ET", header=b"\x78\x9c", about=None):
    """A document with one page, its times, and where `about` is given a stream that says the same once more."""
    date = f"(D:{datetime.datetime.fromtimestamp(time, datetime.timezone.utc):%Y%m%d%H%M%S}Z)".encode()
    stream = lambda head, data: b"<< %s /Length %d >>\nstream\n%s\nendstream" % (head, len(data), data)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
               stream(b"/Filter /FlateDecode", header + zlib.compress(text)[2:]),
               b"<< /CreationDate %s /ModDate %s >>" % (date, date)]
    if about:
        objects.append(stream(b"/Type /Metadata /Subtype /XML", f"<?xpacket begin=''?>\n<x>\n<d>{about}</d>\n</x>\n".encode()))
    out, places = b"%PDF-1.4\n", []
    for number, data in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, data)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % place for place in places)
    names = identity.encode() * 32
    return out + table + b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R /ID [<%s> <%s>] >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, names, names, len(out))


def documents():
    base, file = pdf(OLD), "paper.pdf"
    equal("pdf-times", file, "clock", base, pdf(NEW), ["pdf-times"], ["archive-times"])
    pair("pdf-identity", file, "randomness", base, pdf(OLD, "1"), "code-equal", ["pdf-identity"], ["build-identity"])
    pair("pdf-both", file, "clock", base, pdf(NEW, "1"), "code-equal", ["pdf-times", "pdf-identity"],
         ["archive-times", "build-identity"])
    different("pdf-content", file, "content", base, pdf(OLD, text=b"BT (other) Tj ET"), ["content"])
    equal("pdf-level", file, "compression level", base, pdf(OLD, header=b"\x78\xda"), ["zlib-compression"], ["compression"])
    different("pdf-metadata", file, "clock", pdf(OLD, about=OLD), pdf(NEW, about=NEW), ["archive-times", "content"])


def others():
    times = [struct.pack(">H5B", year, 1, 2, 3, 4, 5) for year in (2023, 2024)]
    equal("png-time", "image.png", "clock", *map(png, times), ["png-times"], ["archive-times"])
    different("png-text", "image.png", "content", png(times[0]), png(times[0], b"Software\0other"), ["content"])
    equal("mo-date", "a.mo", "clock", catalogue("2023-01-02 03:04+0000"), catalogue("2024-01-02 03:04+0000"), ["mo-times"],
          ["archive-times"])
    with tempfile.TemporaryDirectory() as folder:
        names = sorted(SOURCES)
        pages = database(folder, "a", names), database(folder, "b", reversed(names))
    different("sqlite-order", "files.db", "file order", *pages, ["content"])
    counted = pages[0][:24] + struct.pack(">I", 9) + pages[0][28:92] + struct.pack(">I", 9) + pages[0][96:]
    different("sqlite-counter", "files.db", "file system", pages[0], counted, ["archive-structure"])
    lines = b"".join(sorted(SOURCES[FIRST].splitlines(True)))
    different("text-date", "version.txt", "clock", b"built 2023-01-02\n" + lines, b"built 2024-01-02\n" + lines, ["content"])
    different("text-order", "list.txt", "locale", b"a\nB\nc\n", b"B\na\nc\n", ["content"])
    different("text-line-ends", "list.txt", "content", lines, lines.replace(b"\n", b"\r\n"), ["content"])
    one, other = ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1})
    different("json-order", "data.json", "hash seed", json.dumps(one).encode(), json.dumps(other).encode(), ["content"])
    different("json-value", "data.json", "clock", json.dumps({**one, "built": OLD}).encode(),
              json.dumps({**one, "built": NEW}).encode(), ["content"])
    toml = lambda time, *rows: "".join(f"{row}\n" for row in rows).encode() + b"[build]\ntime = %d\n" % time
    different("toml-value", "data.toml", "clock", toml(OLD), toml(NEW), ["content"])
    different("toml-order", "data.toml", "hash seed", toml(OLD, "a = 1", "b = 2"), toml(OLD, "b = 2", "a = 1"), ["content"])
    xml = lambda time, version="1": (f'<?xml version="1.0"?>\n<project a="1">\n  <version>{version}</version>\n'
                                     f'  <built>{time}</built>\n</project>\n').encode()
    different("xml-value", "data.pom", "clock", xml(OLD), xml(NEW), ["content"])
    different("xml-space", "data.pom", "packer", xml(OLD), xml(OLD).replace(b"\n  ", b""), ["content"])
    yaml = lambda time, *rows: "".join(f"{row}\n" for row in rows).encode() + b"build:\n  time: %d\n" % time
    different("yaml-value", "data.yaml", "clock", yaml(OLD), yaml(NEW), ["content"])
    different("yaml-order", "data.yaml", "hash seed", yaml(OLD, "a: 1", "b: [2]"), yaml(OLD, "b: [2]", "a: 1"), ["content"])
    different("bytes", "data.bin", "randomness", bytes(range(256)) * 40, bytes(range(255, -1, -1)) * 40, ["content"])


def main(folder, what=None):
    if what == "--packages":
        packages.make(pair, (OLD, NEW))
    else:
        for make in (tars, compressed, cpios, ars, wheels, programs, foreign, compiled, documents, others, named, jars,
                     signed_jars, gems, behind_headers):
            make()
        images.images(different, [SOURCES, CHANGED, FEWER], (OLD, NEW))
        images.layouts(different, [SOURCES, CHANGED], (OLD, NEW), tar)
    names = [name for name, *_ in PAIRS]
    assert len(names) == len(set(names)), "a name comes twice"
    for name, file, left, right, _ in PAIRS:
        assert left != right, f"{name} is one file twice"
        for side, data in (("left", left), ("right", right)):
            # One of several files is a directory.
            for below, content in (data if isinstance(data, dict) else {"": data}).items():
                path = Path(folder, name, side, file, below)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    expected = {name: {"file": file, **answer} for name, file, _, _, answer in PAIRS}
    Path(folder, "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(len(PAIRS), "pairs")


main(*sys.argv[1:])
