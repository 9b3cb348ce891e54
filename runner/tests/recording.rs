// SPDX-License-Identifier: Apache-2.0
//! What a build asks for is seen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use reprove_model::{Digest, Exit, InsidePath, Loss, Observed, ObservedListing, Origin, RecordMode, Use};
use reprove_runner::trace::unused;
use support::project::{Watched, entry};
use support::{AS_ORDINARY_USER, again};

const C_FILES: [(&str, &str); 2] =
    [("main.c", "#include <stdio.h>\n#include \"x.h\"\nint main(){puts(X);}\n"), ("inc/x.h", "#define X \"x\"\n")];

#[tokio::test]
async fn each_path_is_seen_with_its_origin_digest_and_first_asker() {
    let script =
        "mkdir out; gcc -Inone -Iinc -o out/p main.c; ./out/p; cat /inputs/used /dev/null; ls inc > out/listed";
    let project = Watched::new(RecordMode::Full, &C_FILES, script);
    let project = project.with_tool("used", b"used\n").with_tool("unused", b"unused");
    let (listing, log) = project.seen().await;
    assert_eq!((log.as_str(), &listing.lost), ("x\nused\n", &BTreeSet::new()));
    let of = |path: &str| entry(&listing, path);
    let source = of("/build/source/inc/x.h");
    assert_eq!((source.origin, source.digest), (Origin::Source, Some(Digest::of(C_FILES[1].1.as_bytes()))));
    assert_eq!(source.uses, [Use::Open].into());
    assert!(source.by.as_ref().unwrap().as_bytes().ends_with(b"/cc1"));
    let input = of("/inputs/used");
    assert_eq!((input.origin, input.digest), (Origin::Input, Some(Digest::of(b"used\n"))));
    let header = of("/usr/include/stdio.h");
    let bytes = fs::read("/usr/include/stdio.h").unwrap();
    assert_eq!((header.origin, header.digest), (Origin::Environment, Some(Digest::of(&bytes))));
    assert_eq!((of("/build/source/none").origin, of("/build/source/none").digest), (Origin::Absent, None));
    assert_eq!(of("/build/source/out/p").origin, Origin::Written);
    assert!(of("/build/source/out/p").uses.contains(&Use::Execute));
    assert!(of("/build/source/inc").uses.contains(&Use::List));
    assert_eq!(of("/dev/null").origin, Origin::Device);
    let shell = of("/bin/sh");
    let real = fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(shell.leads_to.as_ref().unwrap().to_string(), real.to_str().unwrap());
    assert_eq!(shell.digest, Some(Digest::of(&fs::read(real).unwrap())));
    assert!(listing.calls.contains_key("getrandom"), "{:?}", listing.calls);
    assert_eq!(unused(&project.lock, &listing), [&"unused".parse().unwrap()]);
}

#[tokio::test]
async fn what_is_shown_of_the_machine_is_listed() {
    let script =
        "mkdir out; nproc --all; getconf _NPROCESSORS_CONF; ls /sys /sys/devices/system/cpu; ls /sys/class || true";
    for mode in [RecordMode::Files, RecordMode::Full] {
        let (listing, _) = Watched::new(mode, &C_FILES, script).seen().await;
        assert_eq!(entry(&listing, "/sys/devices/system/cpu").origin, Origin::Proc);
        assert_eq!(listing.lost, BTreeSet::new());
    }
}

/// Python that makes system calls by their numbers.
const CALLS: &str = "import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n";

fn python(mode: RecordMode, text: &str) -> Watched {
    Watched::new(mode, &[("p.py", &format!("{CALLS}{text}"))], "mkdir out; /usr/bin/python3 p.py")
}

#[tokio::test]
async fn scripts_and_programs_bring_what_the_kernel_opens_for_them() {
    let files =
        [("outer", "#!/build/source/inner\n"), ("near", "#!inner\n"), ("inner", "#! /usr/bin/env dash\necho inner\n")];
    let script = "mkdir out; ./near; ./outer; echo '#!/build/source/inner' > made; chmod 755 made; ./made; \
         echo '#!/usr/bin/python3' > made; ./made";
    let (listing, log) = Watched::new(RecordMode::Files, &files, script).seen().await;
    assert_eq!(log, "inner\ninner\ninner\n");
    for (path, by) in [
        // Relative to the directory that it is run in.
        ("/build/source/inner", "/build/source/near"),
        ("/usr/bin/env", "/build/source/inner"),
        // What it names has changed since it was first executed.
        ("/usr/bin/python3", "/build/source/made"),
    ] {
        let seen = entry(&listing, path);
        assert!(seen.uses.contains(&Use::Execute), "{path}");
        assert_eq!(seen.by.as_ref().map(ToString::to_string).as_deref(), Some(by), "{path}");
    }
    let loader = listing.paths.iter().find(|(path, _)| path.to_string().contains("/ld-linux")).unwrap().1;
    assert!(loader.uses.contains(&Use::Execute) && loader.digest.is_some());
}

#[tokio::test]
async fn a_path_that_is_too_long_to_be_told_is_a_loss() {
    for (deep, lost) in [(15, false), (17, true)] {
        let text = format!(
            "os.chdir('/tmp')\nfor n in range({deep}):\n  os.mkdir('d' * 250)\n  os.chdir('d' * 250)\n\
             os.open('../' * {} + 'usr/bin/true', os.O_RDONLY)\n",
            deep + 1
        );
        let (listing, _) = python(RecordMode::Files, &text).seen().await;
        assert_eq!(listing.lost.contains(&Loss::TooLong), lost, "{deep}: {:?}", listing.lost);
        assert_eq!(listing.paths.keys().any(|path| path.to_string().ends_with("/usr/bin/true")), !lost, "{deep}");
    }
}

#[tokio::test]
async fn what_a_build_makes_is_no_input() {
    let files = [("read-then-written", "1"), ("written-first", "1"), ("replaced", "1")];
    let script = "mkdir out; cat read-then-written; echo 2 > read-then-written; echo 2 > written-first; cat written-first; \
         cat later 2>&- || echo 3 > later; cat later; cat never 2>&- || true; cat linked/x 2>&- || ln -s out linked; echo > out/x; \
         cat linked/x";
    let (listing, _) = Watched::new(RecordMode::Files, &files, script).seen().await;
    let origin = |name: &str| entry(&listing, &format!("/build/source/{name}")).origin;
    assert_eq!(origin("read-then-written"), Origin::Source);
    assert_eq!(entry(&listing, "/build/source/read-then-written").digest, Some(Digest::of(b"1")));
    assert_eq!((origin("later"), origin("out/x")), (Origin::Written, Origin::Written));
    assert_eq!((origin("never"), origin("linked/x")), (Origin::Absent, Origin::Written));
    assert!(!listing.inputs().any(|(path, _)| path.to_string().contains("later")));
    // Whether it was really written is not seen.
    assert_eq!(origin("written-first"), Origin::Source);
}

/// Files of the source that a build tries in vain to write, or gives other names, stay the source's.
#[tokio::test]
async fn what_the_source_has_is_the_sources_by_whatever_name() {
    let files = [("ro", "1"), ("target", "1"), ("moved", "1"), ("linked", "1"), ("d/x", "1")];
    let script = "mkdir out made; chmod 444 ro; echo 2 > ro || cat ro; mv none target || cat target; mv moved a; cat a; \
         ln linked b; cat b; mv made made2";
    let (listing, log) = Watched::new(RecordMode::Files, &files, script).seen().await;
    assert!(log.ends_with("111"), "{log}");
    for name in ["ro", "target", "moved", "linked"] {
        let seen = entry(&listing, &format!("/build/source/{name}"));
        assert_eq!((seen.origin, seen.digest), (Origin::Source, Some(Digest::of(b"1"))), "{name}");
    }
    assert_eq!(listing.lost, BTreeSet::new());
    let (listing, _) = Watched::new(RecordMode::Files, &files, "mkdir out; mv d e; cat e/x").seen().await;
    assert_eq!(listing.lost, [Loss::Unresolved].into());
}

/// What leads through the account of a process is listed as what it leads to, or said to be lost.
#[tokio::test]
async fn what_leads_through_a_process_is_followed_or_lost() {
    let open = |path: &str| format!("os.read(os.open('{path}', os.O_RDONLY), 9)\n");
    let folder = "f = os.open('/usr/include', os.O_RDONLY)\nos.chdir('/usr/include')\n";
    for (text, found) in [
        (open("/proc/self/root/usr/include/math.h"), true),
        (format!("{folder}{}", open("/proc/self/cwd/math.h")), true),
        (format!("{folder}{}", open("/proc/self/fd/%d/math.h").replace("math.h'", "math.h' % f")), true),
        (format!("{folder}{}", open("/dev/fd/%d/math.h").replace("math.h'", "math.h' % f")), true),
        (open("/proc/%d/root/usr/include/math.h").replace("math.h'", "math.h' % os.getpid()"), false),
        (format!("os.symlink('/proc/self/root/usr/include/math.h', 'l')\n{}", open("l")), false),
        (format!("os.symlink('/proc/self/root', 'l')\n{}", open("l/usr/include/math.h")), false),
        (format!("os.symlink('../../proc/self/root', 'l')\n{}", open("l/usr/include/math.h")), false),
        (format!("os.symlink('/proc/self/root', 'l')\nos.symlink('l', 'm')\n{}", open("m/usr/include/math.h")), false),
        (open("/usr/../proc/self/root/usr/include/math.h"), false),
    ] {
        let (listing, _) = python(RecordMode::Files, &text).seen().await;
        let header = listing.paths.get(&InsidePath::new("/usr/include/math.h").unwrap());
        assert_eq!(header.is_some_and(|seen| seen.digest.is_some()), found, "{text}");
        assert_eq!(listing.lost.contains(&Loss::Unresolved), !found, "{text}");
    }
}

/// Paths that the kernel reads and a build may not, other roots, and programs without a name.
#[tokio::test]
async fn unusual_calls_are_seen_or_lost() {
    let hidden = "import mmap\nm = mmap.mmap(-1, 4096)\nm.write(b'/usr/include/errno.h\\0')\n\
         at = ctypes.addressof(ctypes.c_char.from_buffer(m))\nlibc.mprotect(ctypes.c_void_p(at), 4096, 2)\n\
         print(libc.syscall(257, -100, ctypes.c_void_p(at), 0) >= 0)\n";
    let (listing, log) = python(RecordMode::Files, hidden).seen().await;
    assert_eq!(log, "True\n");
    assert!(entry(&listing, "/usr/include/errno.h").digest.is_some());

    let root = "how = (ctypes.c_uint64 * 3)(0, 0, 0x10)\nd = os.open('/usr/include', os.O_PATH)\n\
         print(libc.syscall(437, d, b'/assert.h', how, 24) >= 0)\n";
    let (listing, log) = python(RecordMode::Files, root).seen().await;
    assert_eq!(log, "True\n");
    assert!(entry(&listing, "/usr/include/assert.h").digest.is_some());
    assert_eq!(listing.lost, [Loss::Unresolved].into());

    let nameless = "f = os.memfd_create('x', 0)\nos.write(f, b'#!/usr/bin/wc\\n')\nos.execve(f, ['x'], {})\n";
    let (listing, _) = python(RecordMode::Files, nameless).seen().await;
    assert!(entry(&listing, "/usr/bin/wc").uses.contains(&Use::Execute));
}

/// A program whose interpreter's name is further from its beginning than is read.
#[tokio::test]
async fn an_interpreter_that_is_not_seen_is_a_loss() {
    let text = "b = bytearray(open('/usr/bin/true', 'rb').read())\nimport struct\n\
         for n in range(struct.unpack_from('<H', b, 56)[0]):\n  at = 64 + 56 * n\n  \
         if b[at] == 3:\n    where, size = struct.unpack_from('<8xQ16xQ', b, at)\n    name = b[where:where + size]\n    \
         b += bytes((1 << 17) - len(b)) + name\n    struct.pack_into('<Q', b, at + 8, 1 << 17)\n\
         open('p', 'wb').write(b)\nos.chmod('p', 0o755)\nprint(os.spawnl(os.P_WAIT, './p', 'p'))\n";
    let (listing, log) = python(RecordMode::Files, text).seen().await;
    assert_eq!((log.as_str(), &listing.lost), ("0\n", &[Loss::Unresolved].into()));
}

#[tokio::test]
async fn what_is_asked_of_the_network_is_seen() {
    let text = "import socket\nfor family, address in [(socket.AF_INET, ('192.0.2.1', 80)), (socket.AF_INET6, ('2001:db8::1', 443)), \
         (socket.AF_UNIX, '/tmp/none')]:\n  try: socket.socket(family).connect(address)\n  except OSError: pass\n";
    let (listing, _) = python(RecordMode::Files, text).seen().await;
    for asked in
        ["socket inet 1", "connect inet 192.0.2.1:80", "connect inet6 [2001:db8::1]:443", "connect unix /tmp/none"]
    {
        let by = listing.network.get(asked).unwrap_or_else(|| panic!("{asked}: {:?}", listing.network));
        assert!(by.as_ref().unwrap().to_string().starts_with("/usr/bin/python3"));
    }
}

/// Python that makes the headers of `MANY` datagrams, each to an address of its own.
const SEND_MANY: &str = "import socket, struct\nto = [b'\\2\\0\\0\\x35' + bytes([198, 18, n >> 8, n & 255]) + bytes(8) for n in range(MANY)]\n\
     names = b''.join(to)\nnames = ctypes.create_string_buffer(names, len(names))\nat = ctypes.addressof(names)\n\
     headers = b''.join(struct.pack('QI44xI4x', at + 16 * n, 16, 0) for n in range(MANY))\n\
     headers = ctypes.create_string_buffer(headers, len(headers))\nfd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).fileno()\n";

#[tokio::test]
async fn the_addresses_of_datagrams_are_seen() {
    let text = "import socket\nfor family, address in [(socket.AF_INET, ('192.0.2.1', 53)), \
         (socket.AF_INET6, ('2001:db8::1', 123)), (socket.AF_UNIX, '/tmp/none')]:\n  \
         try: socket.socket(family, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, address)\n  except OSError: pass\n\
         a, b = socket.socketpair()\na.sendmsg([b'connected'])\nprint(b.recv(99).decode())\n";
    let (listing, log) = python(RecordMode::Full, text).seen().await;
    assert_eq!((log.as_str(), &listing.lost), ("connected\n", &BTreeSet::new()));
    let mut sent: Vec<&str> = listing.network.keys().filter_map(|asked| asked.strip_prefix("sendmsg ")).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["inet 192.0.2.1:53", "inet6 [2001:db8::1]:123", "unix /tmp/none"]);
    let (listing, _) = python(RecordMode::Files, text).seen().await;
    assert!(!listing.network.keys().any(|asked| asked.starts_with("send")), "{:?}", listing.network);
}

/// The kernel sends 1,024 at once at most, whatever number it is told.
#[tokio::test]
async fn the_addresses_of_many_datagrams_are_seen_as_far_as_the_kernel_goes() {
    for (many, told, seen) in [(1024, 1024, 1024), (1025, 1025, 1024), (3, u32::MAX, 3), (3, 0, 0)] {
        // What comes after the headers has no address, or is not there.
        let call = format!("libc.syscall(ctypes.c_long(number), fd, headers, ctypes.c_uint({told}), 0)\n");
        let text = format!("MANY = {many}\nnumber = {}\n{SEND_MANY}{call}", libc::SYS_sendmmsg);
        let (listing, _) = python(RecordMode::Full, &text).seen().await;
        let sent = listing.network.keys().filter(|asked| asked.starts_with("sendmmsg inet 198.18.")).count();
        assert_eq!((sent, listing.lost.len()), (seen, 0), "{many} {told}");
        assert_eq!(listing.network.contains_key("sendmmsg inet 198.18.0.2:53"), seen > 0);
    }
}

#[tokio::test]
async fn what_is_declared_is_not_watched() {
    // One filter is every build's; the watch is another.
    let count = "mkdir out; grep Seccomp_filters: /proc/self/status | tr -d '\\t'";
    let project = Watched::new(RecordMode::Declared, &C_FILES, count);
    let built = project.build().await.unwrap();
    assert_eq!(built.record.observed, Observed::declared());
    let log = fs::read_to_string(&built.log).unwrap();
    assert!(log.contains("Seccomp_filters:1\n"), "{log}");
    let watched = Watched::new(RecordMode::Files, &C_FILES, count);
    let log = watched.seen().await.1;
    assert!(log.contains("Seccomp_filters:2\n"), "{log}");
}

#[tokio::test]
async fn a_build_past_its_time_has_its_listing() {
    let mut project = Watched::new(RecordMode::Files, &C_FILES, "cat main.c; exec sleep 1000");
    project.seconds = 2;
    let built = project.build().await.unwrap();
    assert_eq!(built.record.exit, Exit::TimeOut);
    let listing = project.listing(&built);
    assert!(listing.lost.is_empty() && entry(&listing, "/build/source/main.c").digest.is_some());
}

#[tokio::test]
async fn too_many_paths_make_the_record_incomplete_and_the_build_goes_on() {
    let most = ObservedListing::MAX_PATHS;
    let text =
        format!("for n in range({most} + 1000):\n  try: os.open(f'/x{{n}}', os.O_RDONLY)\n  except OSError: pass\n");
    let flooded = python(RecordMode::Files, &text);
    let built = flooded.build().await.unwrap();
    let listing = flooded.listing(&built);
    assert_eq!((built.record.exit, listing.paths.len()), (Exit::Success, most));
    assert_eq!(listing.lost, [Loss::TooMany].into());
    assert!(!built.record.observed.is_complete());
}

/// Addresses that lead nowhere, paths without an end, descriptors that are none: the call fails as it would have, and the
/// watch goes on.
#[tokio::test]
async fn arguments_that_mean_nothing_do_no_harm() {
    let text = "page = ctypes.create_string_buffer(b'x' * 9000)\n\
for number in [2, 4, 6, 21, 59, 82, 89, 257, 262, 263, 264, 267, 322, 332, 437, 42, 44, 46, 307, 41]:\n  \
for argument in [0, 1, 2**64 - 1, 2**63, ctypes.addressof(page), 0x7fffffffe000]:\n    \
for first in [0, 2**64 - 1, 2**31, argument]:\n      \
assert libc.syscall(ctypes.c_long(number), ctypes.c_ulong(first), *[ctypes.c_ulong(argument)] * 5) < 0 or number == 41\n\
print('done')\nopen('after', 'w')\n";
    for mode in [RecordMode::Files, RecordMode::Full] {
        let (listing, log) = python(mode, text).seen().await;
        assert_eq!(log, "done\n");
        assert_eq!((entry(&listing, "/build/source/after").origin, listing.lost.len()), (Origin::Written, 0));
    }
}

#[tokio::test]
async fn a_process_that_closes_itself_is_still_seen() {
    let text = "assert libc.prctl(4, 0, 0, 0, 0) == 0\ntry: open('/closed')\nexcept OSError: pass\n";
    let (listing, _) = python(RecordMode::Files, text).seen().await;
    assert_eq!(entry(&listing, "/closed").origin, Origin::Absent);
    assert!(listing.lost.is_empty());
}

/// What no filter of this kind sees is said, unless something else refuses it.
#[tokio::test]
async fn what_could_not_be_seen_is_refused() {
    let ring = "print(libc.syscall(425, 8, ctypes.byref(ctypes.create_string_buffer(120))) >= 0)\n";
    let (listing, log) = python(RecordMode::Files, ring).seen().await;
    assert_eq!((log.as_str(), listing.lost.len()), ("False\n", 0));

    let script = "mkdir out; unshare -Urm sh -c 'mount -t tmpfs none /tmp && echo mounted' 2>&1 || echo refused";
    let (listing, log) = Watched::new(RecordMode::Files, &C_FILES, script).seen().await;
    assert!(log.contains("refused") && !log.contains("mounted") && listing.lost.is_empty(), "{:?} {log}", listing.lost);
    let (listing, _) =
        Watched::new(RecordMode::Files, &C_FILES, "mkdir out; mount -t tmpfs none /tmp || true").seen().await;
    assert!(listing.lost.is_empty(), "a mount that is refused changes nothing");

    let c = "int main(void) { int pid = 20; __asm__(\"int $0x80\" : \"+a\"(pid)); return pid < 0; }\n";
    let script = "mkdir out; gcc -o out/p p.c; ./out/p && echo called || echo refused";
    let (listing, log) = Watched::new(RecordMode::Files, &[("p.c", c)], script).seen().await;
    assert!(log.contains("refused") && !log.contains("called"), "{:?} {log}", listing.lost);
}

/// Without root nothing is lost: the helper made the namespace that the build is in.
#[test]
fn an_ordinary_users_build_is_seen_as_well() {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        again(AS_ORDINARY_USER, "an_ordinary_users_c_project");
    }
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn an_ordinary_users_c_project() {
    let script = "mkdir out; gcc -Inone -Iinc -o out/p main.c; ./out/p; cat /closed || true";
    let (listing, _) = Watched::new(RecordMode::Full, &C_FILES, script).seen().await;
    assert!(listing.lost.is_empty(), "{:?}", listing.lost);
    assert!(entry(&listing, "/bin/sh").uses.contains(&Use::Execute));
    assert_eq!(entry(&listing, "/build/source/inc/x.h").digest, Some(Digest::of(C_FILES[1].1.as_bytes())));
    assert_eq!(entry(&listing, "/closed").origin, Origin::Absent);
    assert!(listing.paths.keys().any(|path| path.to_string().contains("/ld-linux")));
}
