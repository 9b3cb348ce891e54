# SPDX-License-Identifier: Apache-2.0
"""Finds one release in pip's index and downloads its sdist and one wheel, without running any code of it.

Arguments: NAME VERSION DIRECTORY MAX_BYTES INTERPRETER [FILE_NAME]. FILE_NAME is what is to be rebuilt: a wheel, or the
sdist. Without it that is the pure wheel or, where the release has none, the first wheel that INTERPRETER would take. The
files are written as DIRECTORY/sdist and DIRECTORY/wheel; one JSON object on standard output has their names, the SHA-256
that the index gives for them and when they were uploaded, or says why not. It has no URLs. Where the sdist is to be rebuilt
there may be no wheel.

It is run with `index.py` before it.
"""


def supported(interpreter):
    """The tags of wheels that a Python takes, the best first."""
    import pip

    code = "import sys; sys.path.insert(0, sys.argv[1]); from pip._vendor.packaging.tags import sys_tags"
    command = [interpreter, "-I", "-c", code + "; print(*sys_tags(), sep='\\n')", os.path.dirname(os.path.dirname(pip.__file__))]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def wheel_of(release, names, interpreter, wanted):
    """The wheel that is to be rebuilt."""
    wheels = [file for file in release if file[0].endswith(".whl") and wanted in ("", file[0])]
    if wanted and not wheels:
        raise Answer("no-file", {"files": names[:20]})
    pure = [file for file in wheels if "py3-none-any" in file[2]]
    if pure:
        return one(pure)
    for tag in supported(interpreter) if wheels else []:
        fitting = [file for file in wheels if tag in file[2]]
        if fitting:
            return one(fitting)
    if wanted:
        raise Answer("not-here", {"name": wanted})
    raise Answer("no-wheel", {"wheels": [name for name in names if name.endswith(".whl")][:20]})


def choose(links, name, version, interpreter, wanted):
    """The sdist and a wheel, or `None` for that: file name and link of each."""
    from pip._vendor.packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
    from pip._vendor.packaging.version import Version

    releases = {}
    for link in links:
        file_name = str(link.filename)
        parse = parse_wheel_filename if file_name.endswith(".whl") else parse_sdist_filename
        try:
            project, found, *more = parse(file_name)
        except ValueError:
            continue
        if project == canonicalize_name(name):
            tags = {str(tag) for tag in more[1]} if more else set()
            releases.setdefault(found, []).append((file_name, link, tags))
    if not releases:
        raise Answer("no-package", {})
    try:
        release = releases[Version(version)]  # 1.0 finds 1.0.0
    except (KeyError, ValueError):
        newest = [str(found) for found in sorted(releases, reverse=True)[:5]]
        raise Answer("no-version", {"newest": newest}) from None
    names = sorted({file[0] for file in release})
    sdists = [file for file in release if file[0].endswith(".tar.gz")]
    if not sdists:
        raise Answer("no-sdist", {"files": names[:20]})
    if wanted.endswith(".tar.gz"):
        if wanted not in names:
            raise Answer("no-file", {"files": names[:20]})
        pure = [file for file in release if "py3-none-any" in file[2]]
        return one([file for file in sdists if file[0] == wanted]), one(pure) if pure else None
    return one(sdists), wheel_of(release, names, interpreter, wanted)


def one(files):
    """The file of the highest name, from a place that gives its digest, where one does; all that do must agree."""
    file_name = max(file[0] for file in files)
    links = [file[1] for file in files if file[0] == file_name]
    if len({sha256(link) for link in links} - {None}) > 1:
        raise Answer("conflict", {"name": file_name})
    return file_name, max(links, key=lambda link: sha256(link) is not None)


def main(name, version, directory, most, interpreter, wanted=""):
    finder, session = finder_and_session()
    links, uploads = all_links(finder, session, name)
    chosen = zip(("sdist", "wheel"), choose(links, name, version, interpreter, wanted))
    chosen = {kind: file for kind, file in chosen if file}
    fetched = {kind: download(session, *file, os.path.join(directory, kind), int(most)) for kind, file in chosen.items()}
    return {kind: {**file, "uploaded": uploads.get(file["name"])} for kind, file in fetched.items()}


try:
    print(json.dumps({"answer": "found", **main(*sys.argv[1:])}))
except Answer as answer:
    print(json.dumps({"answer": answer.args[0], **answer.args[1]}))
