# SPDX-License-Identifier: Apache-2.0
"""Greets."""


def text():
    return "Hello, world"
