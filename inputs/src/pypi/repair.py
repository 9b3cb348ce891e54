# SPDX-License-Identifier: Apache-2.0
# Arguments: DIRECTORY NAME. The wheel in DIRECTORY gets the platforms of NAME: by auditwheel, which puts in the libraries that
# these lack, or else, where auditwheel finds that it does not run on them, by its tags alone. Where Python or ABI are others
# than those of NAME, it keeps its name.
import os, re, shutil, subprocess, sys
directory, name = sys.argv[1:]
platforms = name.removesuffix(".whl").rsplit("-", 1)[1].split(".")
aliases = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}
def glibc(platform):
    for alias, full in aliases.items():
        platform = re.sub("^%s_(?!_)" % alias, full + "_", platform)
    return [int(number) for number in re.findall(r"^manylinux_(\d+)_(\d+)_", platform)[:1] for number in number]
def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments]).returncode == 0
def made():
    return [os.path.join(directory, found) for found in os.listdir(directory) if found.endswith(".whl")]
[built] = made()
repaired = os.path.join(directory, "repaired")
for platform in sorted((p for p in platforms if glibc(p)), key=glibc, reverse=True):
    if run("auditwheel", "repair", "--plat", platform, "--wheel-dir", repaired, built):
        os.unlink(built)
        for found in os.listdir(repaired):
            os.rename(os.path.join(repaired, found), os.path.join(directory, found))
        break
else:
    print("auditwheel has none of the published wheel's platforms for what was built; it gets their tags alone")
    run("wheel", "tags", "--remove", "--platform-tag", ".".join(platforms), built)
shutil.rmtree(repaired, ignore_errors=True)
[built] = made()
if os.path.basename(built).rsplit("-", 1)[0] == name.rsplit("-", 1)[0]:
    os.rename(built, os.path.join(directory, name))
