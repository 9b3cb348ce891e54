// SPDX-License-Identifier: Apache-2.0
//! Hosts with a network between them that can be cut: namespaces of Linux, a bridge, and a pair of virtual interfaces each.
//! Nothing of it reaches the machine's own network, and it takes root.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Hosts on one network, numbered from 0. They go with the value, and those of a process that has ended with the next one.
#[derive(Debug)]
pub struct Network {
    name: String,
    hosts: usize,
}

/// How a host is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its interface is down, which it sees.
    Down,
    /// Its cable leads nowhere: nobody is told anything.
    Silent,
}

/// Where `ip` has names of namespaces.
const NAMES: &str = "/run/netns";

impl Network {
    /// Whether there can be one: it takes root.
    #[must_use]
    pub fn can_be() -> bool {
        nix::unistd::geteuid().is_root()
    }

    /// So many hosts.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let _turn = turn();
        sweep();
        let name = format!("reprove-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let network = Self { name, hosts };
        let switch = network.switch();
        ip(&["netns", "add", &switch]);
        for bridge in ["one", "other"] {
            ip(&["-n", &switch, "link", "add", bridge, "type", "bridge"]);
            ip(&["-n", &switch, "link", "set", bridge, "up"]);
        }
        for host in 0..hosts {
            let (inside, port) = (network.host(host), port(host));
            let address = format!("{}/24", network.address(host));
            ip(&["netns", "add", &inside]);
            let pair = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &inside];
            ip(&[&["-n", &switch][..], &pair].concat());
            ip(&["-n", &switch, "link", "set", &port, "master", "one", "up"]);
            ip(&["-n", &inside, "address", "add", &address, "dev", "eth0"]);
            ip(&["-n", &inside, "link", "set", "lo", "up"]);
            ip(&["-n", &inside, "link", "set", "eth0", "up"]);
        }
        network
    }

    /// A host's address, which means something to its hosts alone.
    #[must_use]
    pub fn address(&self, host: usize) -> Ipv4Addr {
        assert!(host < self.hosts, "there are {} hosts", self.hosts);
        Ipv4Addr::new(10, 77, 0, u8::try_from(host + 1).unwrap())
    }

    /// `command`, on a host.
    #[must_use]
    pub fn on(&self, host: usize, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net={}", self.path(host).display()));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    /// Has a thread of its own do something on a host: what it opens is of that host's network.
    pub fn within<T: Send>(&self, host: usize, work: impl FnOnce() -> T + Send) -> T {
        let place = self.path(host);
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(File::open(&place).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A listener on a host's loopback, for anybody to answer.
    #[must_use]
    pub fn listener(&self, host: usize) -> TcpListener {
        self.within(host, || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// Cuts a host off from all others.
    pub fn cut(&self, host: usize, cut: Cut) {
        match cut {
            Cut::Down => ip(&["-n", &self.host(host), "link", "set", "eth0", "down"]),
            Cut::Silent => ip(&["-n", &self.switch(), "link", "set", &port(host), "nomaster"]),
        }
    }

    /// Leaves these hosts to each other: they reach no others, and are not reached.
    pub fn part(&self, hosts: &[usize]) {
        for host in hosts {
            ip(&["-n", &self.switch(), "link", "set", &port(*host), "master", "other"]);
        }
    }

    /// Nothing that the one sends reaches the other any more; what the other sends still comes.
    pub fn mute(&self, from: usize, to: usize) {
        let to = format!("{}/32", self.address(to));
        ip(&["-n", &self.host(from), "route", "add", "blackhole", &to]);
    }

    /// Has it all be as it was.
    pub fn heal(&self) {
        for host in 0..self.hosts {
            ip(&["-n", &self.switch(), "link", "set", &port(host), "master", "one"]);
            ip(&["-n", &self.host(host), "link", "set", "eth0", "up"]);
            ip(&["-n", &self.host(host), "route", "flush", "type", "blackhole"]);
        }
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    fn host(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    fn path(&self, host: usize) -> PathBuf {
        Path::new(NAMES).join(self.host(host))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.host(host));
        for name in hosts.chain([self.switch()]) {
            // It may not be there, where making it has failed.
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

fn port(host: usize) -> String {
    format!("port{host}")
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap_or_else(|e| panic!("ip, of iproute2: {e}"));
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whoever has this makes namespaces: the first one that does has `ip` mount their place.
fn turn() -> File {
    let path = std::env::temp_dir().join("reprove-network.lock");
    let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

/// Removes what processes have left that were killed, and ends what still runs there.
#[expect(clippy::disallowed_methods, reason = "the order in which they are removed shows nowhere")]
fn sweep() {
    let Ok(entries) = fs::read_dir(NAMES) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix("reprove-").and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.filter(|owner| owner.parse::<u32>().is_ok()) else { continue };
        if Path::new("/proc").join(owner).exists() {
            continue;
        }
        let left = Command::new("ip").args(["netns", "pids", &name]).output().unwrap();
        for id in String::from_utf8_lossy(&left.stdout).lines() {
            // It may have ended since.
            let _ = kill(Pid::from_raw(id.parse().unwrap()), Signal::SIGKILL);
        }
        let _ = Command::new("ip").args(["netns", "delete", &name]).output();
    }
}
