# SPDX-License-Identifier: Apache-2.0
"""Pairs out of packages that others have published, which differ by one known cause each: part of make.py. They are
downloaded by each ecosystem's own client, as it is set up; what can't be had is said and left out."""

import os, py_compile, re, shutil, struct, subprocess, sys, tempfile, zlib
from pathlib import Path

from surgery import Ar, Deb, Rpm, Tar, Zip, gunzip, gzip, same_length, zstd

WHEELS = {
    "six": ("six==1.16.0",),
    "linux": ("markupsafe==2.1.5", "--platform", "manylinux2014_x86_64"),
    "mac": ("markupsafe==2.1.5", "--platform", "macosx_11_0_arm64"),
    "windows": ("markupsafe==2.1.5", "--platform", "win_amd64"),
    "wtforms": ("wtforms==3.1.2",),
}
SDIST = "flit-core==3.9.0"
NPM = {"is-odd": "is-odd@3.0.1", "source-map": "source-map@0.7.4"}
CRATES = {"itoa": "1.0.11", "rpm": "0.17.1"}
DEBS = ("hostname", "libfl-dev", "libhamcrest-java", "libjs-leaflet", "sed")
# In ten octal digits, for which every packer of tar has room.
TIME = 900_000_000
BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.S)
UUID = re.compile(rb"\x1b\0\0\0\x18\0\0\0(.{16})", re.S)
DATE = re.compile(rb"POT-Creation-Date: (\d{4})")


def run(*command, folder):
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120)


def wheel(what, folder):
    python = ("--python-version", "3.11", "--only-binary=:all:")
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", *python, *what, folder=folder)


def sdist(what, folder):
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:", what, folder=folder)


def npm(what, folder):
    run("npm", "pack", "--silent", what, folder=folder)


def deb(what, folder):
    # Whoever apt downloads as would have to own the folder.
    run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", what, folder=folder)


def crates(folder):
    """All in one: cargo downloads what a program that has them as dependencies would be built from."""
    rows = [f'{name} = {{ version = "={version}", default-features = false }}\n' for name, version in CRATES.items()]
    Path(folder, "Cargo.toml").write_text('[package]\nname = "none"\nversion = "0.0.0"\nedition = "2021"\n[lib]\n'
                                          'path = "none"\n[workspace]\n[dependencies]\n' + "".join(rows))
    Path(folder, "none").touch()
    run("cargo", "fetch", "--quiet", folder=folder)
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    found = {}
    for name, version in CRATES.items():
        found[name] = next(home.glob(f"registry/cache/*/{name}-{version}.crate")).read_bytes()
    return found


def downloaded():
    """The packages by their names, as bytes with the name of the file; then what could not be had, with the reason."""
    wanted = [(name, wheel, what) for name, what in WHEELS.items()] + [("flit", sdist, SDIST)]
    wanted += [(name, npm, what) for name, what in NPM.items()] + [(name, deb, name) for name in DEBS]
    found, missing = {}, {}
    for name, client, what in wanted:
        with tempfile.TemporaryDirectory() as folder:
            try:
                client(what, folder)
                [path] = Path(folder).iterdir()
                found[name] = path.name, path.read_bytes()
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                missing[name] = error
    with tempfile.TemporaryDirectory() as folder:
        try:
            found |= {name: (f"{name}.crate", data) for name, data in crates(folder).items()}
        except (OSError, StopIteration, subprocess.SubprocessError) as error:
            missing |= {name: error for name in CRATES}
    return found, missing


class Pairs:
    def __init__(self, pair, times):
        self.pair, (self.old, self.new) = pair, times

    def equal(self, name, file, cause, left, right, normalizations, *kinds):
        self.pair(name, file, cause, left, right, "normalized-equal", normalizations, kinds)

    def code_equal(self, name, file, left, right, normalizations, *kinds):
        self.pair(name, file, "build id", left, right, "code-equal", normalizations, ["build-identity", *kinds])

    def different(self, name, file, cause, left, right, *kinds):
        self.pair(name, file, cause, left, right, "different", (), kinds)

    def of_tar_gz(self, label, file, data, text):
        """An archive that a packer of sources made: each of its fields for itself. `text`: one of its files."""
        tar, both = Tar(gunzip(data)), lambda name: ["gzip-compression", name]
        assert sum(name.endswith(text) for name, *_ in tar.members) == 1
        packed = lambda contents: gzip(data, contents)
        self.equal(f"{label}-level", file, "compression level", data, gzip(data, gunzip(data), 1), ["gzip-compression"],
                   "compression")
        self.equal(f"{label}-gzip-time", file, "clock", data, data[:4] + struct.pack("<I", self.new) + data[8:], ["gzip-times"],
                   "archive-times")
        self.equal(f"{label}-times", file, "clock", data, packed(tar.field("mtime", TIME)), both("tar-times"),
                   "archive-times")
        self.equal(f"{label}-owners", file, "user", data, packed(tar.field("uname", b"builder")), both("tar-owners"),
                   "archive-owners")
        self.equal(f"{label}-umask", file, "umask", data, packed(tar.field("mode", lambda old: old | 0o20)), both("tar-umask"),
                   "archive-modes")
        self.equal(f"{label}-order", file, "file order", data, packed(tar.reversed()), both("tar-order"), "archive-order")
        self.different(f"{label}-executable", file, "mode", data, packed(tar.field("mode", 0o755, ending=text)), "archive-modes")
        self.different(f"{label}-missing", file, "content", data, packed(tar.without(text)), "only-left")
        changed = tar.replaced(text, tar.of(text).replace(b"e", b"E", 1))
        self.different(f"{label}-content", file, "content", data, packed(changed), "content")
        return tar

    def of_zip(self, label, file, data, text):
        zip, time = Zip(data), struct.pack("<2H", 0x2345, 0x5678)
        assert sum(name.endswith(text) for name, *_ in zip.entries) == 1
        self.equal(f"{label}-times", file, "clock", data, zip.times(time), ["zip-times"], "zip-entry-times")
        self.equal(f"{label}-order", file, "file order", data, zip.reversed(), ["zip-order"], "zip-entry-order")
        self.equal(f"{label}-level", file, "compression level", data, zip.packed(1), ["zip-compression"], "zip-compression")
        self.equal(f"{label}-stored", file, "compression level", data, zip.packed(None), ["zip-compression"], "zip-compression")
        self.different(f"{label}-executable", file, "mode", data, zip.modes(0o100), "zip-entry-attributes")
        self.different(f"{label}-comment", file, "content", data, zip.bytes(comment=b"built by"), "zip-structure")
        self.different(f"{label}-missing", file, "content", data, zip.without(text), "only-left")
        changed = zip.packed(9, text, zip.of(text).replace(b"e", b"E", 1))
        self.different(f"{label}-content", file, "content", data, changed, "content")
        return zip

    def of_deb(self, label, file, data, text):
        """Debian packages: what stands around both archives, then what stands in them."""
        deb, both = Deb(data), lambda name: ["xz-compression", name]
        tar, new = deb.data, str(self.new).encode()
        self.equal(f"{label}-member-times", file, "clock", data, deb.ar.field("mtime", new), ["ar-times"], "archive-times")
        self.equal(f"{label}-member-owners", file, "user", data, deb.ar.field("uid", b"1000"), ["ar-owners"], "archive-owners")
        self.equal(f"{label}-level", file, "compression level", data, deb.with_data(tar.bytes(), 0), ["xz-compression"],
                   "compression")
        self.equal(f"{label}-times", file, "clock", data, deb.with_data(tar.field("mtime", TIME)), both("tar-times"),
                   "archive-times")
        self.equal(f"{label}-owners", file, "user", data, deb.with_data(tar.field("uid", 1000)), both("tar-owners"),
                   "archive-owners")
        self.equal(f"{label}-umask", file, "umask", data, deb.with_data(tar.field("mode", lambda old: old | 0o20, kind=b"05")),
                   both("tar-umask"), "archive-modes")
        self.different(f"{label}-executable", file, "mode", data, deb.with_data(tar.field("mode", 0o755, ending=text)),
                       "archive-modes")
        self.different(f"{label}-missing", file, "content", data, deb.with_data(tar.without(text)), "only-left")
        # The list of digests follows from the file.
        self.different(f"{label}-content", file, "content", data, deb.noted(text, tar.of(text) + b"\n"), "content")
        size = re.sub(rb"Installed-Size: \d+", b"Installed-Size: 99999", deb.control.of("control"))
        self.different(f"{label}-size", file, "file system", data, deb.with_control(deb.control.replaced("control", size)),
                       "content")
        return deb

    def six(self, file, data):
        zip = self.of_zip("six", file, data, "six.py")
        self.different("six-record", file, "content", data, zip.recorded("six.py", zip.of("six.py") + b"\n"), "content")
        wrong = same_length(zip.of("dist-info/RECORD"), b",34549", b",34548")
        self.different("six-record-wrong", file, "content", data, zip.packed(9, "dist-info/RECORD", wrong), "content")
        def compiled(time, shown):
            with tempfile.TemporaryDirectory() as folder:
                source, out = Path(folder, "six.py"), Path(folder, "six.pyc")
                source.write_bytes(zip.of("six.py"))
                os.utime(source, (time, time))
                stamp = py_compile.PycInvalidationMode.TIMESTAMP
                py_compile.compile(str(source), str(out), shown, doraise=True, invalidation_mode=stamp)
                return out.read_bytes()
        one, two = compiled(self.old, "six.py"), compiled(self.new, "six.py")
        self.equal("six-pyc-time", "six.pyc", "clock", one, two, ["pyc-times"], "archive-times")
        self.different("six-pyc-path", "six.pyc", "build path", one, compiled(self.old, "/build/six.py"), "content")

    def linux(self, file, data):
        zip, library = Zip(data), "linux-gnu.so"
        elf = zip.of(library)
        self.equal("wheel-umask", file, "umask", data, zip.modes(0o020), ["zip-umask"], "zip-entry-attributes")
        named = same_length(elf, BUILD_ID.search(elf)[1], b"reprove build id one")
        self.code_equal("wheel-elf-build-id", file, data, zip.recorded(library, named),
                        ["zip-compression", "wheel-record", "elf-identity"], "content")
        path = same_length(elf, b"/opt/_internal/", b"/opt/-internal/", 1)
        self.different("elf-path", "_speedups.so", "build path", elf, path, "content")
        self.different("wheel-elf-path", file, "build path", data, zip.recorded(library, path), "content")

    def mac(self, file, data):
        zip, library = Zip(data), "darwin.so"
        fat = zip.of(library)
        one, two = UUID.findall(fat)
        named = same_length(fat, one, bytes(range(16)))
        self.code_equal("mach-o-uuid", "_speedups.so", fat, named, ["mach-o-identity"])
        self.code_equal("mach-o-uuids", "_speedups.so", fat, same_length(named, two, bytes(range(1, 17))), ["mach-o-identity"])
        self.code_equal("wheel-mach-o-uuid", file, data, zip.recorded(library, named),
                        ["zip-compression", "wheel-record", "mach-o-identity"], "content")
        path = same_length(fat, b"/Users/runner/", b"/Users/Runner/")
        self.different("mach-o-path", "_speedups.so", "build path", fat, path, "content")

    def windows(self, file, data):
        zip, library = Zip(data), ".pyd"
        program = zip.of(library)
        at = struct.unpack("<I", program[60:64])[0] + 8
        later = same_length(program, program[at:at + 4], struct.pack("<I", self.new))
        self.equal("pe-times", "_speedups.pyd", "clock", program, later, ["pe-times"], "archive-times")
        self.equal("wheel-pe-times", file, "clock", data, zip.recorded(library, later),
                   ["zip-compression", "wheel-record", "pe-times"], "archive-times", "content")
        text = same_length(program, b"escape_silent", b"escape_Silent")
        self.different("pe-text", "_speedups.pyd", "content", program, text, "content")

    def wtforms(self, file, data):
        zip, name = Zip(data), "de/LC_MESSAGES/wtforms.mo"
        catalogue = zip.of(name)
        later = same_length(catalogue, DATE.search(catalogue)[0], b"POT-Creation-Date: 2024")
        self.equal("mo-date", "wtforms.mo", "clock", catalogue, later, ["mo-times"], "archive-times")
        self.equal("wheel-mo-date", file, "clock", data, zip.recorded(name, later),
                   ["zip-compression", "wheel-record", "mo-times"], "archive-times", "content")
        self.different("mo-text", "wtforms.mo", "content", catalogue, same_length(catalogue, b"Feld", b"feld", 1), "content")

    def flit(self, file, data):
        self.of_tar_gz("sdist", file, data, "/bootstrap_install.py")
        at = data.index(b"\0", 10)
        other = data[:10] + b"other.tar" + data[at:]
        self.equal("sdist-gzip-name", file, "build path", data, other, ["gzip-origin"], "archive-structure")

    def is_odd(self, file, data):
        tar = self.of_tar_gz("npm", file, data, "/README.md")
        text = tar.of("/package.json")
        lines = text.split(b"\n")
        moved = b"\n".join([lines[0], lines[2], lines[1], *lines[3:]])
        self.different("npm-json-order", "package.json", "hash seed", text, moved, "content")
        self.different("npm-json-value", file, "content", data,
                       gzip(data, tar.replaced("/package.json", same_length(text, b'"3.0.1"', b'"3.0.2"'))), "content")

    def source_map(self, file, data):
        tar = Tar(gunzip(data))
        wasm = tar.of("/mappings.wasm")
        # The compiler's name for a build.
        named = lambda digit: wasm + b"\0\x14\x08build_id\x0a" + digit * 10
        self.code_equal("wasm-build-id", "mappings.wasm", named(b"1"), named(b"2"), ["wasm-identity"])
        path = same_length(wasm, b"/Users/", b"/users/")
        self.different("wasm-path", "mappings.wasm", "build path", wasm, path, "content")
        self.different("npm-wasm-path", file, "build path", data, gzip(data, tar.replaced("/mappings.wasm", path)), "content")

    def itoa(self, file, data):
        tar = self.of_tar_gz("crate", file, data, "/README.md")
        commit = re.search(rb'"sha1": "(\w+)"', tar.of(".cargo_vcs_info.json"))[1]
        other = same_length(tar.of(".cargo_vcs_info.json"), commit, b"0" * 40)
        self.equal("crate-commit", file, "revision", data, gzip(data, tar.replaced(".cargo_vcs_info.json", other)),
                   ["gzip-compression", "cargo-vcs"], "content")
        toml = tar.of("/Cargo.toml")
        self.different("crate-toml", "Cargo.toml", "content", toml, same_length(toml, b'"1.0.11"', b'"1.0.12"'), "content")

    def rpm(self, _, data):
        for label, ending in (("rpm-fedora", "rpm-sign-4.15.1-1.fc31.x86_64.rpm"), ("rpm-suse", "1.25.x86_64.rpm")):
            data_, file = Tar(gunzip(data)).of(ending), f"{label}.rpm"
            rpm = Rpm(data_)
            later = rpm.edited(1006, struct.pack(">I", self.new))
            self.equal(f"{label}-times", file, "clock", data_, later, ["rpm-times"], "archive-times")
            self.equal(f"{label}-host", file, "host name", data_, rpm.edited(1007, b"other"), ["rpm-origin"],
                       "archive-structure")
            self.different(f"{label}-summary", file, "content", data_, rpm.edited(1004, b"Other"), "content")
            if shutil.which("zstd"):
                plain = zstd(rpm.data[rpm.payload:], "-d")
                self.equal(f"{label}-level", file, "compression level", data_, rpm.with_payload(zstd(plain, "-1")),
                           ["zstd-compression"], "compression")

    def hostname(self, file, data):
        deb = self.of_deb("deb", file, data, "/copyright")
        elf = deb.data.of("bin/hostname")
        named = same_length(elf, BUILD_ID.search(elf)[1], b"reprove build id one")
        self.code_equal("elf-build-id", "hostname", elf, named, ["elf-identity"])
        self.code_equal("deb-elf-build-id", file, data, deb.with_data(deb.data.replaced("bin/hostname", named)),
                        ["xz-compression", "elf-identity"])
        self.different("deb-elf-noted", file, "build id", data, deb.noted("bin/hostname", named), "content", "build-identity")
        self.different("deb-link", file, "content", data,
                       deb.with_data(deb.data.field("link", b"domainname", ending="/dnsdomainname", kind=b"2")), "link-target")
        text = same_length(elf, b"name too long", b"Name too long")
        self.different("elf-text", "hostname", "content", elf, text, "content")
        manual = deb.data.of("/hostname.1.gz")
        later = manual[:4] + struct.pack("<I", self.new) + manual[8:]
        self.equal("deb-gzip-time", file, "clock", data, deb.with_data(deb.data.replaced("/hostname.1.gz", later)),
                   ["gzip-times", "xz-compression"], "archive-times")

    def libfl_dev(self, _, data):
        library, file = Deb(data).data.of("/libfl.a"), "libfl.a"
        ar = Ar(library)
        self.equal("ar-times", file, "clock", library, ar.field("mtime", str(self.new).encode()), ["ar-times"], "archive-times")
        self.equal("ar-owners", file, "user", library, ar.field("uid", b"1000"), ["ar-owners"], "archive-owners")
        wider = same_length(library, b" 644     ", b" 664     ")
        self.equal("ar-umask", file, "umask", library, wider, ["ar-umask"], "archive-modes")
        self.different("ar-content", file, "content", library,
                       ar.replaced(b"libmain.o/", same_length(ar.of(b"libmain.o/"), b"\0yylex\0", b"\0yyLex\0")), "content")

    def libhamcrest_java(self, file, data):
        deb, name = Deb(data), "/java/hamcrest-2.2.jar"
        jar = deb.data.of(name)
        zip = self.of_zip("jar", "hamcrest.jar", jar, "core/IsNull.class")
        one = zip.of("core/IsNull.class")
        two = same_length(one, b"\0\x04null", b"\0\x04NULL")
        self.different("class-constant", "IsNull.class", "content", one, two, "content")
        self.different("jar-class", "hamcrest.jar", "content", jar, zip.packed(9, "core/IsNull.class", two), "content")
        later = zip.times(b"\x45\x23\x78\x56")
        self.equal("deb-jar-times", file, "clock", data, deb.with_data(deb.data.replaced(name, later)),
                   ["xz-compression", "zip-times"], "zip-entry-times")
        self.different("deb-jar-noted", file, "clock", data, deb.noted(name, later), "zip-entry-times", "content")

    def libjs_leaflet(self, file, data):
        deb, name = Deb(data), "/images/layers.png"
        image = deb.data.of(name)
        def chunk(kind, data):
            row = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            return image[:33] + row + image[33:]
        one, two = (chunk(b"tIME", struct.pack(">H5B", year, 1, 2, 3, 4, 5)) for year in (2023, 2024))
        self.equal("png-time", "layers.png", "clock", one, two, ["png-times"], "archive-times")
        self.different("png-text", "layers.png", "packer", image, chunk(b"tEXt", b"Software\0maker"), "only-right")
        left, right = (deb.with_data(deb.data.replaced(name, each)) for each in (one, two))
        self.equal("deb-png-time", file, "clock", left, right, ["xz-compression", "png-times"], "archive-times")

    def sed(self, file, data):
        deb = Deb(data)
        elf = deb.data.of("bin/sed")
        path = same_length(elf, b"/usr/share/locale", b"/opt/share/locale")
        self.different("elf-prefix", "sed", "build path", elf, path, "content")
        self.different("deb-elf-prefix", file, "build path", data, deb.noted("bin/sed", path), "content")
        name = "/de/LC_MESSAGES/sed.mo"
        self.different("deb-mo-missing", file, "content", data, deb.with_data(deb.data.without(name)), "only-left")


def make(pair, times):
    pairs, (found, missing) = Pairs(pair, times), downloaded()
    for name, (file, data) in found.items():
        getattr(pairs, name.replace("-", "_"))(file, data)
    for name, why in missing.items():
        print(f"LEFT OUT: the pairs of {name}, which could not be downloaded: {why}", file=sys.stderr)
    print(len(found), "packages,", len(missing), "left out", file=sys.stderr)
