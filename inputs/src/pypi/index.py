# SPDX-License-Identifier: Apache-2.0
"""pip's index, as the machine has it set up: what it has of a project, and the bytes of a file, without running any code of it.

`pip download` would prepare an sdist's metadata, which runs the package. So this uses the two parts of pip that only look and
fetch, its finder and its session, as pip itself sets them up from the machine's configuration. They are internal to pip; what
is used of them is the same from 23.0 to 26.3. What comes behind this in one program uses it.
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
    session.get, Link.from_json = get, from_json
    if failures:
        raise Answer("unreachable", {"why": failures[0]})
    return found, uploads


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
