// SPDX-License-Identifier: Apache-2.0
//! The loopback device of a network namespace, brought up (rtnetlink(7)).

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

/// Brings the namespace's loopback device up. It takes power over the namespace.
pub(super) fn bring_up() -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    sendto(socket.as_raw_fd(), &request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 256];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answered(answer.get(..length).unwrap_or_default())
}

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;
/// A namespace's loopback device is its first, always.
const LOOPBACK: i32 = 1;

/// `struct nlmsghdr`, and `struct ifinfomsg` that has the device up.
fn request() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        for byte in field {
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
            at += 1;
        }
    };
    put(&32_u32.to_ne_bytes());
    put(&RTM_NEWLINK.to_ne_bytes());
    put(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // Its number, whom it is from; family, padding and type.
    put(&[0; 8]);
    put(&[0; 4]);
    put(&LOOPBACK.to_ne_bytes());
    put(&IFF_UP.to_ne_bytes());
    put(&IFF_UP.to_ne_bytes());
    bytes
}

/// Whether the kernel's answer is that it was done: `struct nlmsghdr`, and an error's number, which is 0 then.
fn answered(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    let error = answer.get(16..20).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(io::Error::from_raw_os_error(error.saturating_neg())),
        _ => Err(io::Error::other("the kernel's answer is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_without_an_error_is_a_yes() {
        let answer = |kind: u16, error: i32| {
            [&36_u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &error.to_ne_bytes(), &[0; 16]].concat()
        };
        assert!(answered(&answer(NLMSG_ERROR, 0)).is_ok());
        assert_eq!(answered(&answer(NLMSG_ERROR, -1)).unwrap_err().raw_os_error(), Some(1));
        assert!(answered(&answer(3, 0)).is_err());
        assert!(answered(&answer(NLMSG_ERROR, 0)[..19]).is_err());
        assert!(answered(&[]).is_err());
    }
}
