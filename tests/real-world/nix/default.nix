# SPDX-License-Identifier: Apache-2.0
# Derivations that build without a network: all that they use is a folder of tools, whose `bin/sh` is a static busybox.
# The first six are reproducible; of the others, each is not, in a way that is typical.
{ tools, system ? builtins.currentSystem }:
let
  store = builtins.path { path = tools; name = "tools"; };
  build = more: script:
    derivation ({ inherit system; builder = "${store}/bin/sh"; PATH = "${store}/bin"; } // more // {
      args = [ "-euc" script ];
    });
in
rec {
  text = build { name = "text-1.0"; } ''
    mkdir -p $out/share $out/bin
    echo "built from $name" >$out/share/text
    printf '#!%s/bin/sh\necho hello\n' ${store} >$out/bin/hello
    chmod 755 $out/bin/hello
    ln -s hello $out/bin/greet
  '';

  # More than one output, which name each other.
  split = build { name = "split-1.0"; outputs = [ "out" "dev" ]; } ''
    mkdir -p $out/lib $dev/include
    echo "code" >$out/lib/code
    echo "#define CODE \"$out/lib/code\"" >$dev/include/code.h
  '';

  # Uses what another makes, and a variable that comes as a file.
  user = build { name = "user-1.0"; header = split.dev; text = "a long text\n"; passAsFile = [ "text" ]; } ''
    mkdir $out
    cat $header/include/code.h $textPath >$out/all
    printf '%s\n' ${placeholder "out"} "$PWD" "$TMPDIR" "$textPath" >$out/paths
  '';

  # Settled by its hash.
  fixed = build {
    name = "fixed-1.0.txt";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = "6983285a62ed141c39c56ed516710b6ce82b4c53e73d6c207c3e41abe21f6b8e";
  } ''
    echo "settled" >$out
  '';

  # One file, made by several at a time, each of which has its own part.
  joined = build { name = "joined-1.0.txt"; } ''
    for part in 1 2 3 4 5 6 7 8; do
      (seq $part 100 | md5sum >part-$part) &
    done
    wait
    cat part-1 part-2 part-3 part-4 part-5 part-6 part-7 part-8 >$out
    chmod 755 $out
  '';

  # What a builder sees is the same for whoever builds it: no program but its tools, no variable but its own, and a store that it
  # can add to and not change.
  sees = build { name = "sees-1.0"; } ''
    mkdir $out
    env | grep -v ^NIX_BUILD_CORES= | sort >$out/variables
    ls ${builtins.storeDir} /usr /bin /etc >$out/listed 2>&1 || true
    echo $(pwd) $(hostname) $(id -u) $0 >$out/place
    (echo x >${store}/bin/new) 2>/dev/null && echo "a file was made in the tools" >$out/changed
    rm -f ${store}/bin/busybox 2>/dev/null && echo "a file of the tools was removed" >>$out/changed
    ls ${store}/bin >>$out/listed
    ls / | grep -v -e '^reprove$' -e '^sys$' >$out/root
  '';

  # The time of day, to the second.
  second = build { name = "second-1.0.txt"; } ''
    date +%s >$out
  '';

  # The day: two builds of one day are equal.
  day = build { name = "day-1.0.txt"; } ''
    date +%Y-%m-%d >$out
  '';

  random = build { name = "random-1.0"; } ''
    mkdir $out
    od -An -tx8 -N8 /dev/urandom >$out/id
  '';

  # The order in which a directory is listed: the same for two builds on one file system.
  listing = build { name = "listing-1.0.txt"; } ''
    mkdir parts
    for part in c a d b f e; do echo $part >parts/$part; done
    find parts -type f -exec cat {} + >$out
  '';

  # Several at a time that write to one file.
  parallel = build { name = "parallel-1.0.txt"; } ''
    for part in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
      (seq $part 3000 | md5sum >>$out) &
    done
    wait
  '';

  # How many processors there are.
  cores = build { name = "cores-1.0.txt"; } ''
    echo "built by $NIX_BUILD_CORES at a time" >$out
  '';
}
