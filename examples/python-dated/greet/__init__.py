# SPDX-License-Identifier: Apache-2.0
"""Greets."""

from .built import WHEN


def text():
    return f"Hello, world, built at {WHEN}"
