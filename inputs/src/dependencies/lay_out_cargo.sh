# SPDX-License-Identifier: Apache-2.0
# Unpacks the crates in /inputs to where cargo takes them for those of its registry, and tells it so in its home.
# sh lay_out_cargo.sh LOCK HOME
set -eu
home=$2
mkdir -p "$home/vendor"
for crate in /inputs/*.crate; do
    [ -e "$crate" ] || continue
    name=${crate##*/}
    folder=$home/vendor/${name%.crate}
    mkdir "$folder"
    tar --extract --gzip --file "$crate" --directory "$folder" --strip-components 1 --no-same-owner --no-same-permissions
    sum=$(sha256sum "$crate")
    # Cargo compares the one checksum with that of its lock file; there is nobody who could have changed single files.
    printf '{"files":{},"package":"%s"}' "${sum%% *}" > "$folder/.cargo-checksum.json"
done
cat > "$home/config.toml" << END
[source.crates-io]
replace-with = "dependencies"
[source.dependencies]
directory = "$home/vendor"
END
