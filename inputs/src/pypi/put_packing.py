# SPDX-License-Identifier: Apache-2.0
# Arguments: WHICH DIRECTORY PACKING. Packs the source archive in DIRECTORY again: with the gzip header and the owners that the JSON
# file PACKING has, and with its times for what the build wrote (WHICH is `written`). What was there before the virtual environment was made keeps
# its own. Python's tarfile and zlib are what setuptools, for one, packs with.
import gzip, json, os, sys, tarfile, zlib
_, directory, listed = sys.argv[1:]
packing = json.load(open(listed))
began = os.stat("../backend/pyvenv.cfg").st_mtime - 2
number = lambda text: float(text) if "." in text else int(text)
for name in sorted(os.listdir(directory)):
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        packed = file.read()
    packed_again = path + ".new"
    # The magic of a header: GNU tar's, or that of POSIX.
    is_gnu = gzip.decompress(packed)[257:265] == b"ustar  \0"
    with tarfile.open(path) as old, tarfile.open(packed_again, "w", format=tarfile.GNU_FORMAT if is_gnu else tarfile.PAX_FORMAT) as new:
        for member in old:
            published = packing["members"].get(member.name)
            if published:
                member.uid, member.gid = published["user"], published["group"]
                member.uname, member.gname = published["user_name"], published["group_name"]
                if member.mtime >= began:
                    member.pax_headers.pop("mtime", None)
                    member.mtime = number(published["time"])
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    with open(packed_again, "rb") as file:
        tar = file.read()
    os.unlink(packed_again)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 0)
    ends = zlib.crc32(tar).to_bytes(4, "little") + (len(tar) & 0xffffffff).to_bytes(4, "little")
    with open(path, "wb") as file:
        file.write(bytes.fromhex(packing["head"]) + compressor.compress(tar) + compressor.flush() + ends)
