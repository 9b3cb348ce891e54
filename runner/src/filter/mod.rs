// SPDX-License-Identifier: Apache-2.0
//! The filter of system calls that a build runs under.

mod calls;
pub(crate) mod program;

pub(crate) use self::calls::SYS_FCHMODAT2;

use std::io;

use crate::sys::seccomp;

/// Puts this process, which has one thread, and all that it starts under the filter. It needs `no_new_privs`, and can't be
/// taken off again. Where a system is installed, giving files away and taking on another identity does nothing, and is said
/// to have succeeded: there is one user, who owns all.
///
/// # Errors
/// What `seccomp(2)` says, also where the kernel has no filters.
pub(crate) fn enter(installs: bool) -> io::Result<()> {
    seccomp::install(&calls::program(installs), 0).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::program::AUDIT_ARCH;
    use super::program::tests::run;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NO: u32 = libc::SECCOMP_RET_ERRNO;

    fn asked(call: libc::c_long, arguments: [u64; 6]) -> u32 {
        answered(false, call, arguments)
    }

    fn answered(installs: bool, call: libc::c_long, arguments: [u64; 6]) -> u32 {
        let code = calls::program(installs);
        run(&code, AUDIT_ARCH, u32::try_from(call).unwrap(), arguments).0
    }

    #[test]
    fn no_call_has_two_rules() {
        let rules = calls::rules();
        assert!(rules.is_sorted_by(|a, b| a.0 < b.0), "{rules:?}");
    }

    #[test]
    fn what_has_no_rule_is_as_if_the_kernel_had_it_not() {
        let mut unknown = vec![
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_clone3,
            libc::SYS_kexec_file_load,
            libc::SYS_memfd_secret,
            libc::SYS_quotactl_fd,
            // It tells what others do with files of /usr, and others what a build does.
            libc::SYS_inotify_init1,
        ];
        // What no kernel has yet.
        unknown.extend(500..1000);
        for call in unknown {
            assert_eq!(asked(call, [0; 6]), NO | 38, "{call}");
        }
    }

    #[test]
    fn every_call_of_a_rule_gets_what_the_rule_says() {
        let code = calls::program(false);
        let mut most = 0;
        for (number, rule) in calls::rules() {
            let (result, steps) = run(&code, AUDIT_ARCH, number, [0; 6]);
            most = most.max(steps);
            if let program::Rule::Always(action) = rule {
                assert_eq!(result == ALLOW, action == program::Action::Allow, "{number}");
            }
        }
        assert!(most < 20, "{most} steps");
    }

    /// Said to be done, and not done; only where a system is installed. All else is as in every build.
    #[test]
    fn giving_files_away_is_said_to_be_done_where_a_system_is_installed() {
        let giving = [libc::SYS_fchownat, libc::SYS_setresuid, libc::SYS_setgroups, libc::SYS_capset];
        for call in giving {
            assert_eq!((answered(true, call, [0; 6]), answered(false, call, [0; 6])), (NO, ALLOW), "{call}");
        }
        let (usual, installing) = (calls::program(false), calls::program(true));
        let differ = |number: &u32| {
            run(&usual, AUDIT_ARCH, *number, [0; 6]).0 != run(&installing, AUDIT_ARCH, *number, [0; 6]).0
        };
        let count = (0..1000).filter(differ).count();
        assert_eq!(count, if cfg!(target_arch = "x86_64") { 14 } else { 12 });
    }

    #[test]
    fn no_namespace_can_be_made() {
        for flag in [0x0002_0000_u64, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            assert_eq!(asked(libc::SYS_clone, [flag | 17, 0, 0, 0, 0, 0]), NO | 1);
            assert_eq!(asked(libc::SYS_unshare, [flag, 0, 0, 0, 0, 0]), NO | 1);
        }
        assert_eq!(asked(libc::SYS_unshare, [0x80, 0, 0, 0, 0, 0]), NO | 1);
        assert_eq!(asked(libc::SYS_setns, [0; 6]), NO | 1);
        // A thread, a fork, and a table of descriptors of one's own.
        assert_eq!(asked(libc::SYS_clone, [0x003d_0f00, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(asked(libc::SYS_clone, [0x0120_0011, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(asked(libc::SYS_unshare, [0x400, 0, 0, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn nothing_is_typed_into_a_terminal_whatever_the_high_bits_are() {
        for request in [0x5412, 0x541c, 0x5423, 0xffff_ffff_0000_5412, 0x1_0000_541c, 0x1_0000_5423] {
            assert_eq!(asked(libc::SYS_ioctl, [0, request, 0, 0, 0, 0]), NO | 1, "{request:#x}");
        }
        assert_eq!(asked(libc::SYS_ioctl, [0, 0x5413, 0, 0, 0, 0]), ALLOW, "TIOCGWINSZ");
    }

    #[test]
    fn sockets_are_of_the_families_that_a_network_namespace_holds() {
        let socket = |family, protocol| asked(libc::SYS_socket, [family, 1, protocol, 0, 0, 0]);
        for family in 0..64 {
            let expected = if [1, 2, 10, 16].contains(&family) { ALLOW } else { NO | 97 };
            assert_eq!(socket(family, 0), expected, "{family}");
        }
        assert_eq!(socket(16, 9), NO | 97, "NETLINK_AUDIT");
        assert_eq!(socket(1 << 32 | 40, 0), NO | 97, "AF_VSOCK");
    }

    #[test]
    fn only_linux_can_be_the_personality() {
        let personality = |p| asked(libc::SYS_personality, [p, 0, 0, 0, 0, 0]);
        assert_eq!([0, 8, 0x4_0000, 0xffff_ffff].map(personality), [ALLOW; 4]);
        // `READ_IMPLIES_EXEC`, and another system's.
        assert_eq!([0x40_0000, 3].map(personality), [NO | 1; 2]);
    }
}
