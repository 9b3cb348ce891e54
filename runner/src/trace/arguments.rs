// SPDX-License-Identifier: Apache-2.0
//! What the arguments of system calls say.

use reprove_model::Use;

/// What a call makes of what is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makes {
    Nothing,
    /// Something, where there is nothing.
    New,
    /// Something, whatever is there.
    Anew,
}

/// What opening with these flags does, whether it follows a link, and whether it makes what it opens.
pub(super) fn opening(flags: u64) -> (&'static [Use], bool, Makes) {
    let has = |flag: libc::c_int| has(flags, flag);
    let follow = !has(libc::O_NOFOLLOW);
    let makes = match (has(libc::O_CREAT), has(libc::O_TRUNC)) {
        (_, true) => Makes::Anew,
        (true, false) => Makes::New,
        (false, false) => Makes::Nothing,
    };
    let access = flags & 3;
    let uses = match access {
        _ if has(libc::O_PATH) => &[Use::Look][..],
        // Whatever was in it is gone before it can be read.
        _ if has(libc::O_TRUNC) || access == 1 => &[Use::Write],
        0 => &[Use::Open],
        _ => &[Use::Open, Use::Write],
    };
    (uses, follow, makes)
}

/// Whether `flags` has all of `flag`.
pub(super) fn has(flags: u64, flag: libc::c_int) -> bool {
    flags & u64::from(flag.cast_unsigned()) == u64::from(flag.cast_unsigned())
}

/// Flags and ways of resolving, by a `struct open_how`.
pub(super) fn open_how(bytes: [u8; 24]) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let (flags, rest) = bytes.split_at(8);
    (number(flags), number(rest.get(8..).unwrap_or_default()))
}

/// Of `openat2(2)`, which `libc` has as another type.
pub(super) const RESOLVE_IN_ROOT: libc::c_int = 0x10;

/// An argument that is an `int`.
pub(super) fn descriptor(argument: u64) -> i32 {
    low(argument).cast_signed()
}

/// An argument that has 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the kernel looks at the lower half alone")]
pub(crate) fn low(argument: u64) -> u32 {
    argument as u32
}

/// Where the address of a message is and how long it is, by the start of its `struct msghdr`.
pub(super) fn two_numbers(start: [u8; 16]) -> [u64; 2] {
    let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let (at, length) = start.split_at(8);
    [number(at), number(length)]
}
