# SPDX-License-Identifier: Apache-2.0
"""Packs a crate again from its own contents, without a network.

    pack.py [zlib|zlib-rs]

The argument is what compresses: zlib, or zlib-rs, which is compiled from the crates in /inputs. The working directory has what
is in the `.crate`, without its top directory; the new one is put there. What cargo had around it when it was packed is made up
from what is in it: the manifest as its author wrote it is put back, a workspace above it has the values of the manifest that cargo
wrote, a directory that it depends on has a package of that name and version, the index has the versions of its `Cargo.lock`, and a
commit is made where the crate names one. What comes out has the id of that commit, and the times that newer cargos write: the id
that the crate names is put in its place, and the times that older cargos wrote."""

import gzip, json, os, pathlib, re, shutil, subprocess, sys, tarfile, tomllib, zlib

KINDS = ["dependencies", "dev-dependencies", "build-dependencies"]


def tables(manifest):
    """Every table of dependencies, by kind."""
    for kind in KINDS:
        yield kind, manifest.get(kind, {})
        for target in manifest.get("target", {}).values():
            yield kind, target.get(kind, {})


def quoted(value):
    """A value as TOML 1.0."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {quoted(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def workspace(orig, written):
    """What the workspace has that the author's manifest refers to, by the one that cargo wrote."""
    package, dependencies = {}, {}
    for key, value in orig["package"].items():
        if isinstance(value, dict) and value.get("workspace") is True:
            package[key] = written["package"].get(key, [] if key in ("keywords", "categories", "authors") else "")
    resolved = {name: value for _, table in tables(written) for name, value in table.items()}
    for _, table in tables(orig):
        for name, value in table.items():
            if isinstance(value, dict) and value.get("workspace") is True:
                found = resolved.get(name, "*")
                found = {"version": found} if isinstance(found, str) else dict(found)
                found.pop("optional", None)
                # Cargo joins both lists.
                found["features"] = [each for each in found.get("features", []) if each not in value.get("features", [])]
                found = {key: value for key, value in found.items() if value != []}
                dependencies[name] = found
    lines = ["[workspace]", f"resolver = {quoted(resolver(written))}", "[workspace.package]"]
    lines += [f"{key} = {quoted(value)}" for key, value in package.items()]
    lines += ["[workspace.dependencies]", *[f"{name} = {quoted(value)}" for name, value in dependencies.items()]]
    lints = written.get("lints", {}) if orig.get("lints", {}).get("workspace") is True else {}
    lines += ["[workspace.lints]", *[f"{name} = {quoted(value)}" for name, value in lints.items()]]
    wanted = package or dependencies or orig["package"].get("workspace") or lints
    wanted = wanted or resolver(orig, written) != resolver(written)
    return "\n".join(lines) + "\n", bool(wanted)


def resolver(manifest, inherited=None):
    """The version of the resolver that a manifest asks for (Cargo Book, "Resolver versions")."""
    package = manifest["package"]
    edition = package.get("edition", "2015")
    if isinstance(edition, dict):
        edition = inherited["package"].get("edition", "2015")
    return package.get("resolver") or {"2021": "2", "2024": "3"}.get(edition, "1")


def oldest(locked, where):
    """A member of the workspace for which cargo writes a lock of the form that the published one has."""
    packages = [package for package in locked.get("package", []) if "source" in package]
    version = locked.get("version", 2 if packages and all("checksum" in package for package in packages) else 1)
    needed = {1: "1.36", 2: "1.45", 3: "1.60"}.get(version)
    if not locked or not needed:
        return []
    stub(where / "made-up-oldest", "made-up-oldest", "0.0.0", (), [f'rust-version = "{needed}"'])
    return ["made-up-oldest"]


def above(crate, repository, orig, written, locked):
    """Makes the workspace that a crate is in, if it is not at the top itself, and gives the directory of what is at the top."""
    if "workspace" in orig:
        return crate
    text, is_wanted = workspace(orig, written)
    named = orig["package"].get("workspace")
    top = pathlib.Path(os.path.normpath(crate / named)) if named else repository
    if top == crate:
        if is_wanted:
            sys.exit("the manifest takes values from a workspace, and is itself at the top of its repository")
        return crate
    if (crate / "Cargo.lock").exists():
        (crate / "Cargo.lock").replace(top / "Cargo.lock")
    members = [os.path.relpath(crate, top), *oldest(locked, top)]
    (top / "Cargo.toml").write_text(text.replace("[workspace]\n", f"[workspace]\nmembers = {quoted(members)}\n", 1))
    return top


def outside(crate, where, repository, orig, written):
    """Puts files back that the author's manifest names and that are not below it: cargo packs them at the crate's top."""
    for key in ("readme", "license-file"):
        named, base = orig["package"].get(key), crate
        if isinstance(named, dict):
            named, base = written["package"].get(key), where
        if not isinstance(named, str):
            continue
        place = pathlib.Path(os.path.normpath(base / named))
        packed = crate / place.name
        is_outside = crate not in place.parents and repository in place.parents
        if is_outside and packed.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            packed.replace(place)


def stub(place, name, version, features, more=()):
    """A package of that name and version, with nothing in it, where there is none."""
    manifest = place / "Cargo.toml"
    there = manifest.read_text() if manifest.exists() else ""
    if "package" in tomllib.loads(there):
        return
    (place / "src").mkdir(parents=True, exist_ok=True)
    lines = ["[package]", f"name = {quoted(name)}", f"version = {quoted(version)}", 'edition = "2018"', *more, "[features]"]
    lines += [f"{quoted(feature)} = []" for feature in sorted({"default", *features})]
    manifest.write_text(there + "\n".join(lines) + "\n")
    (place / "src/lib.rs").write_text("")


def least(requirement):
    """A version that meets a requirement, as a rule: the one that it names."""
    version = requirement.split(",")[0].strip().lstrip("=^~<> ").replace("*", "0") or "0"
    while version.count(".") < 2:
        version += ".0"
    return version


def beside(crate, orig, written):
    """Packages in the directories that the author's manifest names: those that it depends on, and members of its workspace."""
    resolved = {name: value for _, table in tables(written) for name, value in table.items()}
    features = asked_for(orig)
    for _, table in tables(orig):
        for name, value in table.items():
            if isinstance(value, dict) and "path" in value:
                found, real = resolved.get(name, {}), value.get("package", name)
                version = least(found if isinstance(found, str) else found.get("version", value.get("version", "0")))
                stub(pathlib.Path(os.path.normpath(crate / value["path"])), real, version, features.get(real, ()))
    top = orig.get("workspace", {})
    for member in [*top.get("members", []), *top.get("default-members", [])]:
        # A pattern has to match something.
        member = member.replace("*", "member").replace("?", "m")
        stub(pathlib.Path(os.path.normpath(crate / member)), "member-" + member.strip("./").replace("/", "-"), "0.0.0", ())


def asked_for(manifest):
    """The features of other packages that the manifest speaks of, by these packages' names."""
    features, names = {}, {}
    for _, table in tables(manifest):
        for name, value in table.items():
            names[name] = value.get("package", name) if isinstance(value, dict) else name
            if isinstance(value, dict):
                features.setdefault(names[name], set()).update(value.get("features", []))
    for listed in manifest.get("features", {}).values():
        for feature in (feature for feature in listed if "/" in feature):
            name, of = feature.replace("?", "").split("/", 1)
            features.setdefault(names.get(name, name), set()).add(of)
    return features


def index(lock, manifest, registry):
    """An index that has the packages of the lock and no others (Cargo Book, "Registry Index")."""
    features, by_name = asked_for(manifest), {}
    for package in lock.get("package", []):
        by_name.setdefault(package["name"], []).append(package)
    # What the lock does not have is not in what cargo writes, but cargo looks for it.
    for _, table in tables(manifest):
        for name, value in table.items():
            real = value.get("package", name) if isinstance(value, dict) else name
            if real not in by_name:
                requirement = value if isinstance(value, str) else value.get("version", "0")
                by_name[real] = [{"name": real, "version": least(requirement), "source": "none"}]
    for name, packages in by_name.items():
        low = name.lower()
        where = {1: f"1/{low}", 2: f"2/{low}", 3: f"3/{low[0]}/{low}"}.get(len(low), f"{low[:2]}/{low[2:4]}/{low}")
        lines = []
        for package in packages:
            if "source" not in package:
                continue
            # The first form of the file has all check sums in a table at its end.
            first = f"checksum {name} {package['version']} ({package['source']})"
            checksum = package.get("checksum", lock.get("metadata", {}).get(first, "0" * 64))
            needs = [each.split(" ") for each in package.get("dependencies", [])]
            of = lambda need: need[1] if len(need) > 1 else by_name[need[0]][0]["version"]
            deps = [
                {"name": f"{need[0]}-{number}", "package": need[0], "req": f"={of(need)}", "features": [], "optional": False,
                 "default_features": False, "target": None, "kind": "normal"}
                for number, need in enumerate(needs)
            ]
            lines.append({"name": name, "vers": package["version"], "deps": deps, "cksum": checksum, "yanked": False,
                          "features": {feature: [] for feature in sorted(features.get(name, ()))}})
        if lines:
            path = registry / "index" / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def git(repository, *arguments):
    command = ["git", "-c", "user.name=reprove", "-c", "user.email=reprove@localhost", *arguments]
    # The same commit each time.
    dates = {"GIT_AUTHOR_DATE": "1153704088 +0000", "GIT_COMMITTER_DATE": "1153704088 +0000"}
    subprocess.run(command, cwd=repository, check=True, stdout=subprocess.DEVNULL, env=os.environ | dates)


def commit(repository, crate, is_dirty):
    """Commits what is there; where it was dirty, another manifest than there is."""
    manifest = crate / "Cargo.toml"
    there = manifest.read_bytes()
    manifest.write_bytes(there + b"\n" if is_dirty else there)
    git(repository, "init", "--quiet", ".")
    git(repository, "add", "--force", ".")
    git(repository, "commit", "--quiet", "--message", "made up")
    manifest.write_bytes(there)


def cargo(home, *arguments):
    """Runs cargo outside of the crate: what that has in `.cargo` is not read."""
    environment = os.environ | {"CARGO_HOME": str(home), "CARGO_NET_OFFLINE": "true"}
    ended = subprocess.run(["cargo", *arguments], cwd=home, env=environment).returncode
    if ended != 0:
        sys.exit(ended)


# What cargo before 1.93 dates one second after 1970, being generated.
GENERATED = ["Cargo.toml", "Cargo.lock", ".cargo_vcs_info.json"]
# The program that compresses as cargo does since 1.89, or so.
PROGRAM = """use std::io::{Read, Write};

fn main() {
    let name = std::env::args().nth(1).expect("a name");
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).expect("a tar archive");
    let out = std::io::stdout();
    let mut to = flate2::GzBuilder::new().filename(name).write(out, flate2::Compression::best());
    to.write_all(&bytes).and_then(|()| to.try_finish()).expect("written");
}
"""


def as_published(tar, commit, noted, are_dated):
    """The archive with the commit's id that is noted in place of the one that was made, and old times where they are old."""
    if noted:
        if not re.fullmatch("[0-9a-f]{40}", noted):
            sys.exit("what the crate names as its commit is no commit's id")
        if tar.count(commit.encode()) != 1:
            sys.exit("the commit's id is not once in what cargo packed")
        tar = tar.replace(commit.encode(), noted.encode())
    tar = bytearray(tar)
    at = 0
    while are_dated and at < len(tar) and tar[at]:
        header = tarfile.TarInfo.frombuf(bytes(tar[at:at + 512]), "utf-8", "strict")
        if header.name.split("/", 1)[-1] in GENERATED:
            tar[at + 136:at + 148] = b"%011o\0" % 1
            tar[at + 148:at + 156] = b" " * 8
            tar[at + 148:at + 156] = b"%07o\0" % sum(tar[at:at + 512])
        at += 512 + (header.size + 511) // 512 * 512
    return bytes(tar)


def compressed(tar, name, by, home, top):
    """As cargo compresses (RFC 1952): its best, with the file's name, and no time."""
    if by == "zlib":
        stream = zlib.compressobj(9, zlib.DEFLATED, -15, 8)
        head = b"\x1f\x8b\x08\x08\0\0\0\0\x02\xff" + name.encode() + b"\0"
        ends = (zlib.crc32(tar).to_bytes(4, "little"), (len(tar) & 0xffffffff).to_bytes(4, "little"))
        return head + stream.compress(tar) + stream.flush() + b"".join(ends)
    tool = top / "tool"
    (tool / "src").mkdir(parents=True)
    (tool / "src/main.rs").write_text(PROGRAM)
    lines = ["[package]", 'name = "tool"', 'version = "0.0.0"', 'edition = "2021"', "[workspace]", "[dependencies]"]
    lines += ['flate2 = { version = "1", default-features = false, features = ["zlib-rs"] }', "[patch.crates-io]"]
    for archive in sorted(pathlib.Path("/inputs").glob("*.crate")):
        with tarfile.open(archive) as crate:
            crate.extractall(tool / "crates")
        package, version = archive.stem.split("+", 1)
        lines.append(f'{package} = {{ path = "crates/{package}-{version}" }}')
    (tool / "Cargo.toml").write_text("\n".join(lines) + "\n")
    cargo(home, "build", "--quiet", "--release", "--manifest-path", tool / "Cargo.toml", "--target-dir", top / "compiled")
    return subprocess.run([top / "compiled/release/tool", name], input=tar, stdout=subprocess.PIPE, check=True).stdout


def main():
    by = sys.argv[1]
    here = pathlib.Path.cwd()
    top = here.parent / "packing"
    unpacked = top / "unpacked"
    unpacked.mkdir(parents=True)
    for each in list(here.iterdir()):
        each.rename(unpacked / each.name)
    are_dated = (unpacked / "Cargo.toml").stat().st_mtime == 1
    noted = unpacked / ".cargo_vcs_info.json"
    note = json.loads(noted.read_text()) if noted.exists() else None
    is_dirty = bool(note and note.get("git", {}).get("dirty"))
    noted.unlink(missing_ok=True)
    written = tomllib.loads((unpacked / "Cargo.toml").read_text())
    orig = tomllib.loads((unpacked / "Cargo.toml.orig").read_text())
    lock = unpacked / "Cargo.lock"
    locked = tomllib.loads(lock.read_text()) if lock.exists() else {}
    registry = top / "registry"
    (registry / "index").mkdir(parents=True)
    manifest = {**orig, "features": written.get("features", {})}
    if any(isinstance(value, dict) and value.get("workspace") for _, table in tables(orig) for value in table.values()):
        manifest = written
    index(locked, manifest, registry)
    (unpacked / "Cargo.toml.orig").replace(unpacked / "Cargo.toml")

    repository = top / "repository"
    # Where nothing says where it was, it is two directories down, so that there is something above it.
    inside = note.get("path_in_vcs", "") if note else "some/crate"
    crate = pathlib.Path(os.path.normpath(repository / inside))
    if repository not in (crate, *crate.parents):
        sys.exit("the crate names a directory that is not in its repository")
    crate.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(unpacked, crate)
    where = above(crate, repository, orig, written, locked)
    beside(crate, orig, written)
    outside(crate, where, repository, orig, written)
    home = top / "home"
    home.mkdir(parents=True)
    (home / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "locked"\n[source.locked]\nlocal-registry = {json.dumps(str(registry))}\n'
    )
    # It writes a lock where there is none, or one without what is beside: that is a part of the commit.
    if where == crate:
        cargo(home, "update", "--workspace", "--quiet", "--manifest-path", crate / "Cargo.toml")
    if note:
        commit(repository, crate, is_dirty)
    # Older cargos note no commit where changes to it are allowed.
    arguments = ["--no-verify", *(["--allow-dirty"] if is_dirty or not note else [])]
    if not locked and "autobins" in written["package"]:
        # Cargo put a lock into packages with programs alone, until 1.84.
        arguments.append("--exclude-lockfile")
    arguments += ["--package", orig["package"]["name"], "--manifest-path", crate / "Cargo.toml", "--target-dir", top / "target"]
    cargo(home, "package", *arguments)
    made_up = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, stdout=subprocess.PIPE, text=True).stdout.strip()
    [made] = (top / "target" / "package").glob("*.crate")
    tar = as_published(gzip.decompress(made.read_bytes()), made_up, note and note.get("git", {}).get("sha1"), are_dated)
    (here / made.name).write_bytes(compressed(tar, made.name, by, home, top))


if __name__ == "__main__":
    main()
