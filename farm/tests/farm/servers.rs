// SPDX-License-Identifier: Apache-2.0
//! NATS servers to test with: one, or a cluster of three, each a process that can be killed, all on this machine's loopback or
//! each on a host of its own.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use reprove_farm::queue::NatsOptions;
use tempfile::TempDir;

use crate::network::Network;

/// Servers, which end when this is dropped, and leave nothing.
pub(crate) struct Servers {
    folder: TempDir,
    program: PathBuf,
    nodes: Vec<Node>,
    /// Where they are, each on the host of its number; none: on loopback.
    network: Option<Arc<Network>>,
}

struct Node {
    address: SocketAddr,
    process: Mutex<Option<Child>>,
}

/// How long a server may take until it can be connected to.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// The program that `scripts/setup` installs.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/nats-server");
    assert!(path.exists(), "there is no {}: run scripts/setup, which installs it", path.display());
    path
}

impl Servers {
    /// One, which all tests of this process share that run at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let servers = Arc::new(Self::new(1));
            *shared = Arc::downgrade(&servers);
            servers
        })
    }

    /// So many, as one cluster.
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, Self::JETSTREAM)
    }

    /// What is in every configuration that JetStream is enabled in. `STORE` stands for a folder.
    pub(crate) const JETSTREAM: &str = "jetstream { store_dir: \"STORE\", sync_interval: always }\n";

    /// So many, with this in their configuration.
    pub(crate) fn with(count: usize, more: &str) -> Self {
        // All are taken before any is given back, so that no two are the same.
        let taken: Vec<_> = (0..2 * count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let addresses: Vec<SocketAddr> = taken.iter().map(|listener| listener.local_addr().unwrap()).collect();
        drop(taken);
        let (addresses, routes) = addresses.split_at(count);
        Self::at(addresses, routes, more, None)
    }

    /// A cluster of three, on the first three hosts of a network.
    pub(crate) fn on(network: Arc<Network>) -> Self {
        let at = |port| [0, 1, 2].map(|host| SocketAddr::from((network.address(host), port)));
        Self::at(&at(4222), &at(6222), Self::JETSTREAM, Some(Arc::clone(&network)))
    }

    fn at(addresses: &[SocketAddr], routes: &[SocketAddr], more: &str, network: Option<Arc<Network>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (index, (address, own)) in addresses.iter().zip(routes).enumerate() {
            let store = folder.path().join(format!("n{index}"));
            let more = more.replace("STORE", store.to_str().unwrap());
            let mut config = format!("server_name: n{index}\nlisten: \"{address}\"\n{more}");
            if routes.len() > 1 {
                let all: Vec<_> = routes.iter().map(|route| format!("\"nats://{route}\"")).collect();
                let all = all.join(", ");
                writeln!(config, "cluster {{ name: c, listen: \"{own}\", routes: [{all}] }}").unwrap();
            }
            std::fs::write(folder.path().join(format!("n{index}.conf")), config).unwrap();
        }
        let nodes = addresses.iter().map(|address| Node { address: *address, process: Mutex::new(None) }).collect();
        let servers = Self { folder, program: program(), nodes, network };
        (0..addresses.len()).for_each(|index| servers.spawn(index));
        (0..addresses.len()).for_each(|index| servers.wait(index));
        servers
    }

    /// How a farm of this name uses them.
    pub(crate) fn options(&self, farm: &str) -> NatsOptions {
        let servers = self.nodes.iter().map(|node| format!("nats://{}", node.address)).collect();
        NatsOptions { replicas: self.nodes.len(), ..NatsOptions::new(servers, farm.parse().unwrap()) }
    }

    /// Starts one that was killed.
    pub(crate) fn start(&self, index: usize) {
        self.spawn(index);
        self.wait(index);
    }

    fn spawn(&self, index: usize) {
        let log = File::create(self.log(index)).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.path().join(format!("n{index}.conf")));
        if let Some(network) = &self.network {
            command = network.on(index, &command);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        *self.nodes[index].process.lock().unwrap() = Some(process);
    }

    fn wait(&self, index: usize) {
        let began = Instant::now();
        let address = self.nodes[index].address;
        let connect = || TcpStream::connect(address).map(drop);
        while self.network.as_ref().map_or_else(connect, |network| network.within(index, connect)).is_err() {
            let ended =
                self.nodes[index].process.lock().unwrap().as_mut().is_none_or(|p| p.try_wait().unwrap().is_some());
            let log = || std::fs::read_to_string(self.log(index)).unwrap();
            assert!(!ended && began.elapsed() < STARTS_WITHIN, "the server n{index} does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("n{index}.log"))
    }

    /// Kills one, as `kill -9` does: it is told nothing.
    pub(crate) fn kill(&self, index: usize) {
        let process = self.nodes[index].process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for index in 0..self.nodes.len() {
            self.kill(index);
        }
    }
}
