// SPDX-License-Identifier: Apache-2.0
//! What a build sees of its user, its session and its machine where that is not as usual.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use reprove_model::{Exit, FileSystem, Surroundings, User, Variation};
use support::{AS_ORDINARY_USER, Bench, all_again};

/// Prints one line for each condition, in the order of [`OTHERS`].
const PROBE: &str = r#"python3 -I - <<'END'
import ctypes, os, pwd, re
class Name(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char * 65) for name in "sysname nodename release version machine domainname".split()]
name = Name()
ctypes.CDLL(None).uname(ctypes.byref(name))
print("home", os.environ["HOME"], pwd.getpwuid(os.getuid()).pw_dir, os.path.isdir(os.environ["HOME"]))
print("user", os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name, os.environ["USER"], os.environ["LOGNAME"])
print("domain", name.domainname.decode(), "second.example" in open("/etc/hosts").read())
mask = os.umask(0)
print("umask", oct(mask))
print("time-zone", os.environ["TZ"])
print("locale", os.environ["LANG"], os.environ["LC_ALL"], os.environ.get("LANGUAGE"))
print("search-path", os.environ["PATH"])
print("temporary-directory", os.environ["TMPDIR"], os.access(os.environ["TMPDIR"], os.W_OK))
print("extra-variable", os.environ.get("REPROVE_EXTRA_VARIABLE"))
print("hash-seed", os.environ.get("PYTHONHASHSEED"), os.environ.get("PERL_HASH_SEED"))
print("addresses", "fixed" if ctypes.CDLL(None).personality(0xffffffff) & 0x40000 else "random")
print("kernel-release", "old" if name.release.decode().startswith("2.6.") else "as it is")
print("process-ids", os.getpid() > 300)
import stat
print("standard-input", stat.S_ISFIFO(os.fstat(0).st_mode))
print("inode-numbers", os.stat(".").st_ino > 3000 and os.stat("/tmp").st_ino > 3000)
print("file-system", *[line.split()[2] for line in open("/proc/self/mounts") if line.split()[1] == "/tmp"][-1:])
print("terminal", os.isatty(1), os.environ["TERM"], os.environ.get("PAGER"))
print("memory", re.search("MemTotal: *([0-9]*)", open("/proc/meminfo").read()).group(1))
print("load", open("/proc/1/stat").read().split()[19])
END"#;

fn other() -> Surroundings {
    Surroundings {
        home: Some("/homes/another".into()),
        user: Some(User { name: "another".into(), id: 4321 }),
        domain: Some("second.example".into()),
        umask: Some(0o002),
        time_zone: Some("GMT-14".into()),
        locale: Some("C".into()),
        search_path: Some("/usr/bin:/bin:/nowhere".into()),
        temporary_directory: Some("/tmp/another".into()),
        extra_variable: Some("there".into()),
        hash_seed: Some(2),
        fixed_addresses: true,
        old_release: true,
        processes_after: Some(300),
        piped_input: true,
        memory_mib: Some(1024),
        neighbours: Some(1),
        entropy: None,
        clock_speed: None,
        old_processor: false,
        inodes_after: Some(3000),
        file_system: Some(FileSystem::Overlay),
        kernel: None,
        terminal: true,
    }
}

/// What the probe says in these surroundings.
async fn probed(surroundings: Surroundings) -> Vec<String> {
    let mut bench = Bench::new();
    bench.root.files.push(("/etc/hosts".into(), "127.0.0.1 localhost\n".into()));
    // Python's own standard input is the probe.
    let mut request = bench.request(&format!("exec 3<&0; {}", PROBE.replace("os.fstat(0)", "os.fstat(3)")));
    request.limits.memory_mib = 2048;
    request.env = surroundings.variables(&request.build_path);
    request.surroundings = surroundings;
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    log.lines().map(str::to_owned).collect()
}

/// Each condition that differs, by the first word of its line.
fn differing(a: &[String], b: &[String]) -> Vec<String> {
    assert_eq!(a.len(), b.len());
    let words = a.iter().zip(b).filter(|(a, b)| a != b).filter_map(|(a, _)| a.split(' ').next());
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn each_condition_is_seen_and_changes_nothing_else() {
    let (usual, other) = (Surroundings::default(), other());
    let before = probed(usual.clone()).await;
    let all = probed(other.clone()).await;
    assert_eq!(differing(&before, &all).len(), 19, "{before:#?}{all:#?}");
    for variation in Variation::ALL {
        let changed = usual.with(variation, &other);
        if changed == usual {
            continue;
        }
        let seen = probed(changed).await;
        let expected: &[&str] = match variation {
            // Where the user's files are is in the same line of `/etc/passwd` as who the user is.
            Variation::Home => &["home"],
            // What copies from it is a thread of the first process, as neighbours are.
            Variation::Terminal => &["terminal", "load"],
            variation => &[variation.word()],
        };
        assert_eq!(differing(&before, &seen), expected, "{seen:#?}");
    }
}

#[tokio::test]
async fn the_home_directory_can_be_written_and_nothing_beside_it() {
    let bench = Bench::new();
    let mut request = bench.request("touch $HOME/a && ! touch /homes/b && ls -d /homes/*");
    request.surroundings.home = Some("/homes/another".into());
    request.env = request.surroundings.variables(&request.build_path);
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!((outcome.exit, log.lines().last()), (Exit::Success, Some("/homes/another")), "{log}");
}

#[tokio::test]
async fn neighbours_take_no_process_of_the_builds() {
    let bench = Bench::new();
    let mut request = bench.request("for n in 1 2 3 4 5 6; do sleep 1 & done; wait");
    request.limits.processes = 8;
    request.surroundings.neighbours = Some(4);
    request.surroundings.terminal = true;
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
}

#[tokio::test]
async fn a_terminal_gives_what_is_written_as_it_is_and_nobody_types() {
    let bench = Bench::new();
    let script = r#"tty; stty size; head -c 3; printf 'a\nb\tc\033[1m'; seq 3000; echo end >&2
                    stty -a < /dev/stdin > /dev/null; echo opened
                    sh -c 'while :; do echo left; sleep 0.01; done' & sleep 0.1; kill $!"#;
    let mut request = bench.request(script);
    request.surroundings.terminal = true;
    request.env = request.surroundings.variables(&request.build_path);
    let (outcome, log) = bench.run_request(request).await;
    assert_eq!(outcome.exit, Exit::Success, "{log}");
    let numbers: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    let all = format!("/dev/pts/0\n24 80\na\nb\tc\u{1b}[1m{numbers}end\nopened\nleft\n");
    assert!(log.starts_with(&all), "{log}");
}

#[tokio::test]
async fn there_is_one_terminal_and_nothing_else_can_be_made_of_it() {
    let bench = Bench::new();
    for script in [
        "python3 -I -c 'import os; os.openpty()'",
        "exec 3<>/dev/pts/ptmx",
        "chmod 0666 /dev/pts/0",
        "touch /dev/pts/x",
        "cat /dev/tty",
        "python3 -I -c 'import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b\"x\")'",
        "python3 -I -c 'import fcntl, struct; fcntl.ioctl(0, 0x5423, struct.pack(\"i\", 27))'",
    ] {
        let mut request = bench.request(script);
        request.surroundings.terminal = true;
        let (outcome, log) = bench.run_request(request).await;
        assert!(matches!(outcome.exit, Exit::Status { .. }), "{script}: {:?}\n{log}", outcome.exit);
    }
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    all_again(AS_ORDINARY_USER, "ordinary");
}
