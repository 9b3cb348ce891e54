// SPDX-License-Identifier: Apache-2.0
//! NATS servers to test with: one, or a cluster of three, each a process that can be killed.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use reprove_farm::queue::NatsOptions;
use tempfile::TempDir;

/// Servers, which end when this is dropped, and leave nothing.
pub(crate) struct Servers {
    folder: TempDir,
    program: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
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
        let folder = tempfile::tempdir().unwrap();
        // All are taken before any is given back, so that no two are the same.
        let taken: Vec<_> = (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(taken);
        let (ports, routes) = ports.split_at(count);
        for index in 0..count {
            let store = folder.path().join(format!("n{index}"));
            let more = more.replace("STORE", store.to_str().unwrap());
            let mut config = format!("server_name: n{index}\nlisten: \"127.0.0.1:{}\"\n{more}", ports[index]);
            if count > 1 {
                let all: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
                let (own, all) = (routes[index], all.join(", "));
                writeln!(config, "cluster {{ name: c, listen: \"127.0.0.1:{own}\", routes: [{all}] }}").unwrap();
            }
            std::fs::write(folder.path().join(format!("n{index}.conf")), config).unwrap();
        }
        let nodes = ports.iter().map(|port| Node { port: *port, process: Mutex::new(None) }).collect();
        let servers = Self { folder, program: program(), nodes };
        for index in 0..count {
            servers.spawn(index);
        }
        for index in 0..count {
            servers.wait(index);
        }
        servers
    }

    /// How a farm of this name uses them.
    pub(crate) fn options(&self, farm: &str) -> NatsOptions {
        let servers = self.nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.port)).collect();
        NatsOptions { replicas: self.nodes.len(), ..NatsOptions::new(servers, farm.parse().unwrap()) }
    }

    /// Starts one that was killed.
    pub(crate) fn start(&self, index: usize) {
        self.spawn(index);
        self.wait(index);
    }

    fn spawn(&self, index: usize) {
        let log = File::create(self.log(index)).unwrap();
        let process = Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.path().join(format!("n{index}.conf")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.nodes[index].process.lock().unwrap() = Some(process);
    }

    fn wait(&self, index: usize) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.nodes[index].port)).is_err() {
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
