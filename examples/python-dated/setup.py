# SPDX-License-Identifier: Apache-2.0
"""Writes down on which day it was built."""

import datetime
import pathlib

import setuptools

pathlib.Path("greet/built.py").write_text(f"WHEN = {str(datetime.datetime.now(datetime.timezone.utc).date())!r}\n")
setuptools.setup()
