#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the images that the tests read, of one small tree with one of everything. Needs root, for a device and owners.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/tree/etc/deep" "$folder/tree/dev"
cd "$folder/tree"
printf 'hello\n' >etc/motd
printf 'small\n' >etc/deep/small
# More than one block of any of the formats, with a hole in the middle and an end that is no whole block.
seq 1 5000 | head -c 20000 >etc/large
truncate -s 40000 etc/large
printf 'the end\n' >>etc/large
ln etc/motd etc/same
ln -s motd etc/link
ln -s "$(printf 'far/%.0s' $(seq 1 25))away" etc/long
mknod dev/null c 1 3
mknod dev/disk b 8 300
mkfifo dev/pipe
setfattr -n user.note -v 'an attribute' etc/motd
setfattr -n user.far -v "$(printf '%0300d' 7)" etc/deep/small
chown -h 1000:1000 etc/large etc/link
chmod 0755 etc/large
find . -exec touch -h -d @1700000000 {} +

squashfs() {
    mksquashfs . "$folder/image" -noappend -quiet -no-progress -nopad -mkfs-time 1700000000 -b 8192 "$@" >/dev/null
}
save() {
    zstd -q -19 -f -o "$out/$1.zst" "$folder/image"
    rm "$folder/image"
}
squashfs -noI -noId -noD -noF -noX
save plain.squashfs
for compression in gzip xz zstd; do
    squashfs -comp "$compression"
    save "$compression.squashfs"
done
uuid=00112233-4455-6677-8899-aabbccddeeff
export E2FSPROGS_FAKE_TIME=1700000000
for kind in ext2 ext4; do
    more=""
    [ "$kind" = ext2 ] || more="-O inline_data,64bit,^has_journal -I 256"
    # shellcheck disable=SC2086 # the options are meant to be split
    mkfs.$kind -q -b 1024 $more -U "$uuid" -E "hash_seed=$uuid,nodiscard" -N 64 -d . "$folder/image" 256k
    save "image.$kind"
done
mkfs.erofs --quiet -T1700000000 -U "$uuid" "$folder/image" . >/dev/null
save plain.erofs
mkfs.erofs --quiet -U "$uuid" -Eforce-inode-extended -zlz4 "$folder/image" . >/dev/null
save lz4.erofs

# As small as they get, for fuzzing.
mkdir "$folder/small" && cd "$folder/small"
mkdir a && printf 'hello\n' >a/b && ln -s b a/c && setfattr -n user.x -v y a/b
find . -exec touch -h -d @1700000000 {} +
squashfs -noI -noId -noD -noF -noX -all-root
save small.squashfs
squashfs -all-root
save small.gzip.squashfs
for kind in ext2 ext4; do
    more="-I 128 -O none"
    [ "$kind" = ext2 ] || more="-I 256 -O none,extent,filetype,64bit,ext_attr,inline_data"
    # shellcheck disable=SC2086 # the options are meant to be split
    mkfs.$kind -q -b 1024 $more -U "$uuid" -E "hash_seed=$uuid,nodiscard,root_owner=0:0" -N 16 -d . "$folder/image" 64k
    save "small.$kind"
done
mkfs.erofs --quiet -T1700000000 -U "$uuid" "$folder/image" . >/dev/null
save small.erofs
