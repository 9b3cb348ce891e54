# SPDX-License-Identifier: Apache-2.0
from jinja2 import Template

GREETING = Template("Hello, {{ name }}.")


def greet(name):
    return GREETING.render(name=name)
