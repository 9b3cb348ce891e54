# SPDX-License-Identifier: Apache-2.0
# Arguments: WHICH DIRECTORY TIMES. In the wheels of DIRECTORY, entries get the times that the JSON file TIMES has of them: two
# numbers, time and date, as zip has them (APPNOTE.TXT, 4.3.7 and 4.3.12). WHICH is `all`, or `written` for those that the build
# wrote: what was there before the virtual environment was made keeps its own.
import json, os, struct, sys, time, zipfile
which, directory, listed = sys.argv[1:]
times = json.load(open(listed))
began = os.stat("../backend/pyvenv.cfg").st_mtime - 2
for name in sorted(os.listdir(directory)):
    path = os.path.join(directory, name)
    with zipfile.ZipFile(path) as wheel:
        entries, at = wheel.infolist(), wheel.start_dir
    with open(path, "r+b") as file:
        for entry in entries:
            file.seek(at + 28)
            more = sum(struct.unpack("<HHH", file.read(6)))
            is_written = time.mktime((*entry.date_time, 0, 0, -1)) >= began
            if entry.filename in times and (is_written or which == "all"):
                for place in (at + 12, entry.header_offset + 10):
                    file.seek(place)
                    file.write(struct.pack("<HH", *times[entry.filename]))
            at += 46 + more
