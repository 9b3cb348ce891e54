# SPDX-License-Identifier: Apache-2.0
"""Changes one thing in a package that somebody else made, and leaves every other byte as it is: part of packages.py."""

import base64, hashlib, lzma, re, struct, subprocess, zlib


def same_length(data, old, new, count=-1):
    assert old in data and len(old) == len(new), (old, new)
    return data.replace(old, new, count)


def number(field, value):
    """An octal number in the form in which it was written; one that was not written, as tar writes it."""
    digits = re.search(rb"[0-7]+", field)
    if callable(value):
        value = value(int(digits[0], 8))
    if not digits:
        return b"%0*o\0" % (len(field) - 1, value)
    start, end = digits.span()
    written = field[:start] + b"%0*o" % (end - start, value) + field[end:]
    assert len(written) == len(field), (field, value)
    return written


class Tar:
    """Members with the headers that stand before each, as they are written; then what follows the last."""
    FIELDS = {"mode": (100, 8), "uid": (108, 8), "size": (124, 12), "mtime": (136, 12), "link": (157, 100), "uname": (265, 32)}

    def __init__(self, data):
        self.members, at, start = [], 0, 0
        while at < len(data) and data[at]:
            size = int(data[at + 124:at + 136].strip(b" \0") or b"0", 8)
            end = at + 512 + -(-size // 512) * 512
            if data[at + 156:at + 157] not in (b"x", b"L", b"K", b"g"):
                name = data[at:at + 100].rstrip(b"\0").decode()
                self.members.append((name, data[start:at], data[at:at + 512], data[at + 512:at + 512 + size]))
                start = end
            at = end
        self.end = data[start:]
        assert self.bytes() == data, "this tar archive is not written as others are"

    def bytes(self, members=None):
        padded = lambda data: data + bytes(-len(data) % 512)
        return b"".join(before + head + padded(data) for _, before, head, data in members or self.members) + self.end

    def of(self, ending):
        return next(data for name, _, _, data in self.members if name.endswith(ending))

    def edited(self, edit, ending="", kind=b"0\0"):
        """With one field changed in each member of that kind and ending."""
        members = []
        for name, before, head, data in self.members:
            if name.endswith(ending) and head[156] in kind:
                head = edit(head)
                assert len(head) == 512
                total = sum(head[:148] + b" " * 8 + head[156:])
                head = head[:148] + number(head[148:156], total) + head[156:]
            members.append((name, before, head, data))
        return self.bytes(members)

    def field(self, name, value, **which):
        start, length = self.FIELDS[name]
        new = lambda old: value.ljust(length, b"\0") if isinstance(value, bytes) else number(old, value)
        return self.edited(lambda head: head[:start] + new(head[start:start + length]) + head[start + length:], **which)

    def replaced(self, ending, data):
        start, length = self.FIELDS["size"]
        other = Tar.__new__(Tar)
        chosen = [name.endswith(ending) and head[156] in b"0\0" for name, _, head, _ in self.members]
        assert sum(chosen) == 1, ending
        other.members, other.end = [
            (*each[:3], data if of else each[3]) for each, of in zip(self.members, chosen)], self.end
        return other.field("size", len(data), ending=ending)

    def reversed(self):
        return self.bytes(self.members[::-1])

    def without(self, ending):
        return self.bytes([each for each in self.members if not each[0].endswith(ending)])


def gunzip(data):
    return zlib.decompress(data, 31)


def gzip(like, data, level=9):
    """Compressed, behind the very header of another."""
    at = 10 + (like.index(b"\0", 10) - 9 if like[3] & 8 else 0)
    assert like[3] in (0, 8)
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return like[:at] + packer.compress(data) + packer.flush() + struct.pack("<2I", zlib.crc32(data), len(data))


class Ar:
    FIELDS = {"mtime": (16, 12), "uid": (28, 6), "mode": (40, 8)}

    def __init__(self, data):
        self.members, at = [], 8
        while at < len(data):
            size = int(data[at + 48:at + 58])
            self.members.append((data[at:at + 60], data[at + 60:at + 60 + size]))
            at += 60 + size + size % 2
        assert self.bytes() == data, "this archive is not written as others are"

    def bytes(self, members=None):
        return b"!<arch>\n" + b"".join(
            head + data + b"\n" * (len(data) % 2) for head, data in (self.members if members is None else members))

    def of(self, name):
        return next(data for head, data in self.members if head.startswith(name))

    def field(self, name, value):
        start, length = self.FIELDS[name]
        return self.bytes([(head[:start] + value.ljust(length) + head[start + length:], data) for head, data in self.members])

    def replaced(self, name, new):
        return self.bytes([(head[:48] + b"%-10d" % len(new) + head[58:], new) if head.startswith(name) else (head, data)
                           for head, data in self.members])


class Deb:
    """A Debian package whose members are compressed with xz."""

    def __init__(self, data):
        self.ar = Ar(data)
        self.control, self.data = (Tar(lzma.decompress(self.ar.of(name))) for name in (b"control.tar.xz", b"data.tar.xz"))

    def with_data(self, tar, preset=6):
        return self.ar.replaced(b"data.tar.xz", lzma.compress(tar, preset=preset))

    def with_control(self, tar):
        return self.ar.replaced(b"control.tar.xz", lzma.compress(tar))

    def noted(self, ending, new):
        """With another file, and the list of digests that follows from it."""
        md5 = lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
        sums = same_length(self.control.of("md5sums"), md5(self.data.of(ending)), md5(new))
        both = Deb.__new__(Deb)
        both.ar = Ar(self.with_data(self.data.replaced(ending, new)))
        return both.with_control(self.control.replaced("md5sums", sums))


class Zip:
    """Entries as they are written, in the order of the directory, which has to be that of the entries."""

    def __init__(self, data):
        end = data.rindex(b"PK\5\6")
        count, _, at = struct.unpack("<H2I", data[end + 10:end + 20])
        self.end, self.entries, starts = data[end:], [], []
        for _ in range(count):
            n, x, c = struct.unpack("<3H", data[at + 28:at + 34])
            starts.append((struct.unpack("<I", data[at + 42:at + 46])[0], data[at:at + 46 + n + x + c]))
            at += 46 + n + x + c
        ends = [start for start, _ in starts[1:]] + [struct.unpack("<I", data[end + 16:end + 20])[0]]
        for (start, central), stop in zip(starts, ends):
            n, x = struct.unpack("<2H", data[start + 26:start + 30])
            body, size = start + 30 + n + x, struct.unpack("<I", central[20:24])[0]
            self.entries.append((central[46:46 + n].decode(), central, data[start:body], data[body:body + size],
                                 data[body + size:stop]))
        assert self.bytes() == data, "this zip archive is not written as others are"

    def bytes(self, entries=None, comment=b""):
        out, directory = b"", b""
        entries = self.entries if entries is None else entries
        for _, central, local, body, after in entries:
            directory += central[:42] + struct.pack("<I", len(out)) + central[46:]
            out += local + body + after
        counts = struct.pack("<2H2I", len(entries), len(entries), len(directory), len(out))
        end = self.end[:8] + counts + (struct.pack("<H", len(comment)) + comment if comment else self.end[20:])
        return out + directory + end

    def of(self, name):
        entry = next(each for each in self.entries if each[0].endswith(name))
        return zlib.decompress(entry[3], -15) if entry[1][10] == 8 else entry[3]

    def each(self, edit, ending=""):
        return self.bytes([(each[0], *edit(*each[1:])) if each[0].endswith(ending) else each for each in self.entries])

    def times(self, time):
        return self.each(lambda central, local, *rest: (
            central[:12] + time + central[16:], local[:10] + time + local[14:], *rest))

    def modes(self, bits):
        with_bits = lambda old: struct.pack("<I", struct.unpack("<I", old)[0] | bits << 16)
        return self.each(lambda central, *rest: (central[:38] + with_bits(central[38:42]) + central[42:], *rest))

    def packed(self, level, ending="", data=None):
        """Compressed again; with other data, where that is said. Level None stores."""
        def edit(central, local, body, after):
            new = data
            if new is None:
                new = zlib.decompress(body, -15) if central[10] == 8 else body
            packer = zlib.compressobj(level or 0, zlib.DEFLATED, -15)
            body = new if level is None else packer.compress(new) + packer.flush()
            method = struct.pack("<H", 0 if level is None else 8)
            sums = struct.pack("<3I", zlib.crc32(new), len(body), len(new))
            described = local[6] & 8
            if described:
                after = after[:4] + sums + after[16:]
            return (central[:10] + method + central[12:16] + sums + central[28:],
                    local[:8] + method + local[10:14] + (local[14:26] if described else sums) + local[26:], body, after)
        # What is empty stays as it is.
        return self.bytes([(each[0], *edit(*each[1:])) if each[0].endswith(ending) and (each[3] or data) else each
                           for each in self.entries])

    def reversed(self):
        return self.bytes(self.entries[::-1])

    def without(self, ending):
        return self.bytes([each for each in self.entries if not each[0].endswith(ending)])

    def recorded(self, ending, data):
        """With another file, and the line in the wheel's RECORD that follows from it."""
        digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        row = lambda data: b",sha256=%s,%d" % (digest(data), len(data))
        record = self.of("dist-info/RECORD")
        assert row(self.of(ending)) in record
        changed = Zip(self.packed(9, ending, data))
        return changed.packed(9, "dist-info/RECORD", record.replace(row(self.of(ending)), row(data)))


class Rpm:
    """The lead, both headers and the payload."""

    def __init__(self, data):
        def end(at):
            rows, size = struct.unpack(">2I", data[at + 8:at + 16])
            return at + 16 + 16 * rows + size
        self.data, self.main = data, -(-end(96) // 8) * 8
        self.payload = end(self.main)

    def value(self, tag):
        """Where a value of the main header stands."""
        rows = struct.unpack(">I", self.data[self.main + 8:self.main + 12])[0]
        for row in range(rows):
            name, _, offset, _ = struct.unpack(">4I", self.data[self.main + 16 + 16 * row:self.main + 32 + 16 * row])
            if name == tag:
                return self.main + 16 + 16 * rows + offset
        raise ValueError(f"no tag {tag}")

    def edited(self, tag, new):
        at = self.value(tag)
        return self.data[:at] + new + self.data[at + len(new):]

    def with_payload(self, new):
        return self.data[:self.payload] + new


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout
