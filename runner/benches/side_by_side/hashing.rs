// SPDX-License-Identifier: Apache-2.0
//! Hashing one large file, and many small ones. All contestants are programs, also reprove: this one, started again.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::Options;
use crate::contestant::Contestant;
use crate::files;
use crate::report::Table;
use crate::rounds::{Bound, race};

/// The first argument that has this program hash what the third one names, on as many threads as the second one says (0:
/// as many as there are processors), and end.
pub(crate) const ALONE: &str = "__hash";

/// Hashes once, as [`ALONE`] says.
pub(crate) fn alone(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let threads = arguments.next().and_then(|threads| threads.to_str()?.parse().ok()).unwrap_or(0);
    let path = std::path::PathBuf::from(arguments.next().unwrap_or_default());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(io::Error::other)?;
    if path.is_dir() {
        reprove_store::hash_tree(&[("tree", &path)], &|_, _| false).map(drop).map_err(io::Error::other)
    } else {
        reprove_store::digest_file(&path).map(drop)
    }
}

/// Holds `digest_file` against `b3sum` and `sha256sum`.
pub(crate) async fn file(options: &Options, directory: &Path) -> io::Result<Table> {
    let path = directory.join("large");
    let mib = if options.quick { 256 } else { 2048 };
    crate::note(&format!("making a file of {mib} MiB"));
    files::large(&path, mib).await?;
    let text = path.to_string_lossy().into_owned();
    let contestants = vec![
        reprove("reprove", 0, &path)?,
        Contestant::program("b3sum", ["b3sum", &text]),
        reprove("reprove, one thread", 1, &path)?,
        Contestant::program("b3sum, one thread", ["b3sum", "--num-threads", "1", &text]),
        Contestant::program("sha256sum", ["sha256sum", &text]),
    ];
    let bound = Bound { rounds: if options.quick { 8 } else { 25 }, time: Duration::from_secs(70) };
    let table = race(&format!("one file of {mib} MiB"), "b3sum", contestants, bound).await;
    std::fs::remove_file(path)?;
    table
}

/// Holds `hash_tree` against `b3sum` and `sha256sum` over a sorted list of the same files.
pub(crate) async fn tree(options: &Options, directory: &Path) -> io::Result<Table> {
    let path = directory.join("tree");
    let count = if options.quick { 5_000 } else { 50_000 };
    crate::note(&format!("making {count} files"));
    files::tree(&path, count).await?;
    let listed = |name: &str, program: &str| {
        let script = format!("find \"$1\" -type f -print0 | sort -z | xargs -0 {program}");
        let arguments = ["-c".into(), script.into(), "sh".into(), path.clone().into_os_string()];
        Contestant::program(name, [OsString::from("sh")].into_iter().chain(arguments))
    };
    let contestants = vec![
        reprove("reprove", 0, &path)?,
        listed("b3sum", "b3sum"),
        reprove("reprove, one thread", 1, &path)?,
        listed("b3sum, one thread", "b3sum --num-threads 1"),
        listed("sha256sum", "sha256sum"),
    ];
    let bound = Bound { rounds: if options.quick { 8 } else { 25 }, time: Duration::from_secs(50) };
    race(&format!("{count} files of 1 to 8 KiB"), "b3sum", contestants, bound).await
}

fn reprove(name: &str, threads: u32, path: &Path) -> io::Result<Contestant> {
    let this = std::env::current_exe()?;
    let arguments = [ALONE.into(), threads.to_string().into(), path.as_os_str().to_owned()];
    Ok(Contestant::program(name, [this.into_os_string()].into_iter().chain(arguments)))
}
