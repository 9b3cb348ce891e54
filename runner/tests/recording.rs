// SPDX-License-Identifier: Apache-2.0
//! What a build asks for is seen.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

#[path = "support/project.rs"]
mod project;
mod support;

use std::collections::BTreeSet;
use std::fs;

use project::{Watched, entry};
use reprove_model::{Digest, Origin, RecordMode, Use};
use reprove_runner::trace::unused;

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
