# SPDX-License-Identifier: Apache-2.0
"""Finds one release in pip's index and downloads its sdist and one wheel, without running any code of it.

Arguments: NAME VERSION DIRECTORY MAX_BYTES INTERPRETER [FILE_NAME]. FILE_NAME is what is to be rebuilt: a wheel, or the
sdist. Without it that is the pure wheel or, where the release has none, the first wheel that INTERPRETER would take. The
files are written as DIRECTORY/sdist and DIRECTORY/wheel; one JSON object on standard output has their names, the SHA-256
that the index gives for them and when they were uploaded, or says why not. It has no URLs. Where the sdist is to be rebuilt
there may be no wheel.

`pip download --no-binary` would prepare the sdist's metadata, which runs the package. So this uses the two parts of pip
that only look and fetch, its finder and its session, as pip itself sets them up from the machine's configuration. They
are internal to pip; what is used of them is the same from 23.0 to 26.3.
"""
import errno
import json
import os
import subprocess
import sys


class Answer(Exception):
    """Ends the program with an answer other than `found`."""


def finder_and_session():
    try:
        import pip
    except ImportError:
        raise Answer("no-pip", {}) from None
    if [int(part) for part in pip.__version__.split(".")[:2]] < [23, 0]:
        raise Answer("old-pip", {"version": pip.__version__})
    from pip._internal.commands import create_command

    # How `pip download` itself begins: pip/_internal/commands/download.py.
    command = create_command("download")
    options, _ = command.parse_args(["--no-input", "--disable-pip-version-check"])
    session = command._build_session(options)
    return command._build_package_finder(options=options, session=session), session


def all_links(finder, session, name):
    """Every link on the project's pages, also to wheels for other machines, which the finder would leave out; and when each
    file was uploaded, where the index says so (PEP 700)."""
    from pip._internal.models.link import Link

    found, failures, get, uploads, from_json = [], [], session.get, {}, Link.from_json

    def watched_get(*args, **kwargs):
        # The finder takes a page that it can't read for one that isn't there.
        try:
            response = get(*args, **kwargs)
        except Exception as error:
            failures.append(str(error))
            raise
        if response.status_code >= 400 and response.status_code not in (404, 410):
            failures.append(f"the index answered with status {response.status_code}")
        return response

    def noted(file, page_url):
        if isinstance(file.get("upload-time"), str):
            uploads[file.get("filename")] = file["upload-time"]
        return from_json(file, page_url)

    def note_links(_evaluator, links):
        found.extend(links)
        return []

    session.get, finder.evaluate_links, Link.from_json = watched_get, note_links, noted
    finder.find_all_candidates(name)
    session.get = get
    if failures:
        raise Answer("unreachable", {"why": failures[0]})
    return found, uploads


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


def sha256(link):
    return next(iter(link.as_hashes()._allowed.get("sha256", [])), None)


def download(session, file_name, link, path, most):
    from pip._internal.network.utils import response_chunks

    # As pip/_internal/network/download.py does: the bytes as they are kept, not decoded on the way.
    try:
        response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
        response.raise_for_status()
        with open(path, "xb") as out:
            for chunk in response_chunks(response):
                if out.tell() + len(chunk) > most:
                    raise Answer("too-large", {"name": file_name})
                out.write(chunk)
    except (Answer, AttributeError, TypeError):
        raise
    except Exception as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise Answer("full-disk", {}) from None
        raise Answer("unreachable", {"why": str(error)}) from None
    return {"name": file_name, "sha256": sha256(link), "yanked": bool(link.is_yanked)}


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
