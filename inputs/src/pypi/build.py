# SPDX-License-Identifier: Apache-2.0
# Arguments: HOOK DIRECTORY BACKEND [PATH…]. Calls the PEP 517 hook HOOK (build_wheel, build_sdist) of BACKEND, in the working
# directory.
# The first entry of sys.path is the working directory, which a back end must not see unless backend-path says so.
import os, sys
from importlib import import_module
hook, directory, name, *paths = sys.argv[1:]
sys.path[:1] = [os.path.abspath(path) for path in paths]
module, _, attributes = name.partition(":")
backend = import_module(module)
for attribute in filter(None, attributes.split(".")):
    backend = getattr(backend, attribute)
print(getattr(backend, hook)(os.path.abspath(directory)))
