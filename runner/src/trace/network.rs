// SPDX-License-Identifier: Apache-2.0
//! Addresses, as they are listed.

/// The name of a family of addresses, or its number.
pub(super) fn family_name(family: i32) -> String {
    match family {
        libc::AF_UNIX => "unix".into(),
        libc::AF_INET => "inet".into(),
        libc::AF_INET6 => "inet6".into(),
        libc::AF_NETLINK => "netlink".into(),
        libc::AF_PACKET => "packet".into(),
        libc::AF_VSOCK => "vsock".into(),
        other => other.to_string(),
    }
}

/// What a `struct sockaddr` says, as text.
pub(super) fn address_text(bytes: &[u8]) -> String {
    let Some((family, rest)) = bytes.split_first_chunk() else { return String::new() };
    let family = i32::from(u16::from_le_bytes(*family));
    let name = family_name(family);
    let port = |rest: &[u8]| rest.first_chunk().map_or(0, |port| u16::from_be_bytes(*port));
    match family {
        libc::AF_INET => match rest.get(2..).and_then(<[u8]>::first_chunk::<4>) {
            Some(address) => format!("{name} {}:{}", std::net::Ipv4Addr::from(*address), port(rest)),
            None => name,
        },
        libc::AF_INET6 => match rest.get(6..).and_then(<[u8]>::first_chunk::<16>) {
            Some(address) => format!("{name} [{}]:{}", std::net::Ipv6Addr::from(*address), port(rest)),
            None => name,
        },
        libc::AF_UNIX => {
            let end = rest.iter().skip(1).position(|&byte| byte == 0).map_or(rest.len(), |at| at + 1);
            format!("{name} {}", rest.get(..end).unwrap_or_default().escape_ascii())
        }
        _ => name,
    }
}
