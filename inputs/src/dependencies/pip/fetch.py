# SPDX-License-Identifier: Apache-2.0
"""Finds, for each line of a requirements file, the files that pip would install in a build, and downloads them; runs none of it.

Argument: a JSON file with `pins` (each with `name`, `version`, `marker`, `hashes` and `is_wheel`), `minors` (of the Pythons 3 that the build
has), `glibc` (the second number of its C library), `machine`, `directory` and `most` (bytes of one file). The files are written as
DIRECTORY/0, DIRECTORY/1 and so on; one JSON object on standard output has for each line the names of its files and which number
each has, or says why not. A line whose marker says no has none.

It is run with `index.py` before it.
"""
import hashlib


def platforms(machine, glibc):
    """What pip calls the platforms of a Linux with this C library, the best first (PEP 600)."""
    old = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    for minor in range(glibc, 4, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in old:
            yield f"{old[minor]}_{machine}"
    yield f"linux_{machine}"


def tags(minor, request):
    """What wheels for a Python may be tagged with, the best first."""
    from pip._vendor.packaging.tags import compatible_tags, cpython_tags

    python, abi = (3, minor), f"cp3{minor}"
    names = list(platforms(request["machine"], request["glibc"]))
    found = [*cpython_tags(python, [abi], names), *compatible_tags(python, abi, names)]
    return {str(tag): place for place, tag in reversed(list(enumerate(found)))}


def answers(marker, minor, machine):
    """What a marker says in a Python of which the third number is not known; both where that can't be told. ValueError: nothing."""
    from pip._vendor.packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    if marker is None:
        return {True}
    if any(name in marker for name in ("platform_release", "platform_version")):
        return {True, False}
    known = {
        "extra": "", "implementation_name": "cpython", "os_name": "posix", "platform_machine": machine,
        "platform_python_implementation": "CPython", "platform_system": "Linux", "python_version": f"3.{minor}",
        "sys_platform": "linux",
    }
    full = [f"3.{minor}.{patch}" for patch in range(100)]
    try:
        parsed = Marker(marker)
        return {parsed.evaluate({**known, "python_full_version": one, "implementation_version": one}) for one in full}
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise ValueError(str(error)) from None


def said_by(pin, request):
    """What its marker says in each of the build's Pythons."""
    try:
        return {minor: answers(pin["marker"], minor, request["machine"]) for minor in request["minors"]}
    except ValueError:
        raise Answer("bad-marker", {"name": pin["name"], "marker": pin["marker"]}) from None


def known_sha256(link, most):
    """What is said of it; of a file of this machine, what it is, unless it is too large to be fetched."""
    if sha256(link) is None and link.is_file:
        digest, left = hashlib.sha256(), most
        with open(link.file_path, "rb") as file:
            while piece := file.read(1 << 16):
                left -= len(piece)
                if left < 0:
                    return None
                digest.update(piece)
        return digest.hexdigest()
    return sha256(link)


def files_of(links, pin, most):
    """The files of a version of which the line has the hash, or may have it: names, links, tags, and whether it has."""
    from pip._vendor.packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
    from pip._vendor.packaging.version import InvalidVersion, Version

    found = []
    for link in links:
        file_name = str(link.filename)
        parse = parse_wheel_filename if file_name.endswith(".whl") else parse_sdist_filename
        try:
            project, version, *more = parse(file_name)
            if project != canonicalize_name(pin["name"]) or version != Version(pin["version"]):
                continue
        except (InvalidVersion, ValueError):
            continue
        known = known_sha256(link, most)
        if known is None or known in pin["hashes"]:
            found.append((file_name, link, [str(tag) for tag in more[1]] if more else [], known is not None))
    return sorted(found, key=lambda file: (not file[3], file[0]))


def best(files, fitting, is_wheel):
    """The wheel that fits best, or an sdist where it need be no wheel; none where nothing fits."""
    wheels = [(min(fitting[tag] for tag in file[2] if tag in fitting), file) for file in files if fitting.keys() & file[2]]
    sdists = [file for file in files if not is_wheel and not file[2] and not file[0].endswith(".whl")]
    return min(wheels, key=lambda found: found[0])[1] if wheels else next(iter(sdists), None)


def chosen(links, pin, request):
    """The files that one of the build's Pythons would take: link by file name."""
    files, found, is_needed = files_of(links, pin, request["most"]), {}, True
    for minor, said in said_by(pin, request).items():
        is_needed = is_needed and said == {True}
        file = best(files, tags(minor, request), pin["is_wheel"]) if True in said else None
        if file:
            found[file[0]] = file[1]
    if is_needed and not found:
        raise Answer("nothing-fits", {"name": pin["name"], "version": pin["version"], "files": [file[0] for file in files][:20]})
    return found


def is_wanted(pin, request):
    return any(True in said for said in said_by(pin, request).values())


def fetched(request):
    finder, session = finder_and_session()
    pages, packages, number = {}, [], 0
    for pin in request["pins"]:
        packages.append([])
        if not is_wanted(pin, request):
            continue
        if pin["name"] not in pages:
            pages[pin["name"]] = all_links(finder, session, pin["name"])[0]
        for file_name, link in sorted(chosen(pages[pin["name"]], pin, request).items()):
            download(session, file_name, link, os.path.join(request["directory"], str(number)), request["most"])
            packages[-1].append({"name": file_name, "number": number})
            number += 1
    return packages


try:
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps({"answer": "found", "packages": fetched(json.load(file))}))
except Answer as answer:
    print(json.dumps({"answer": answer.args[0], **answer.args[1]}))
