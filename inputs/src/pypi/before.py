# SPDX-License-Identifier: Apache-2.0
"""Runs this Python's pip for another one, with no file of an index that was uploaded at a time or later (PEP 700).

Arguments: INTERPRETER TIME BUT_FOR ARGUMENT…. A file of which the index does not say when it was uploaded is taken, and so is
each whose name begins with BUT_FOR, unless that is empty. Since 26.0, pip has an option for the time (`--uploaded-prior-to`);
what is used of pip here is the same from 23.0 to 26.3, and `--python` is done as pip does it: the interpreter runs the code of
this Python's pip.
"""
import os
import sys

FOR_INTERPRETER = """
import datetime, sys
place, before, but_for, *arguments = sys.argv[1:]
sys.path.insert(0, place)
from pip._internal.models.link import Link
def moment(text):
    found = datetime.datetime.fromisoformat(text.split(".")[0].rstrip("Z"))
    return found.replace(tzinfo=None)
before, from_json = moment(before), Link.from_json
def earlier(file, page_url):
    uploaded = file.get("upload-time")
    is_later = uploaded and moment(uploaded) >= before
    is_taken = but_for and str(file.get("filename")).lower().startswith(but_for)
    return None if is_later and not is_taken else from_json(file, page_url)
Link.from_json = earlier
from pip._internal.cli.main import main
sys.exit(main(arguments))
"""

import pip

place = os.path.dirname(os.path.dirname(os.path.abspath(pip.__file__)))
interpreter, *arguments = sys.argv[1:]
os.execv(interpreter, [interpreter, "-c", FOR_INTERPRETER, place, *arguments])
