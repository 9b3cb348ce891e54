// SPDX-License-Identifier: Apache-2.0
//! What the runner reads of what a build has made.

use reprove_runner::trace::{self, MAX_HEAD};

/// An interpreter is part of what was read, is a path that the kernel could open, and is the same whatever follows the part
/// that is looked at.
fn interpreter_of(bytes: &[u8]) -> Option<&[u8]> {
    let name = trace::interpreter(bytes).ok()??;
    assert!(!name.is_empty() && name.len() < 4096 && !name.contains(&0));
    assert!(bytes.windows(name.len()).any(|part| part == name));
    Some(name)
}

/// See [`interpreter_of`].
pub(super) fn interpreter(bytes: &[u8]) {
    let Some(name) = interpreter_of(bytes) else { return };
    let longer = [bytes, &vec![b'x'; MAX_HEAD]].concat();
    // A line without an end goes on with what follows.
    if bytes.starts_with(b"#!") && !bytes.contains(&b'\n') {
        assert!(interpreter_of(&longer).is_none_or(|longer| longer.starts_with(name)));
    } else {
        assert_eq!(interpreter_of(&longer), Some(name));
    }
}
