// SPDX-License-Identifier: Apache-2.0
//! A way out of a host's network, for what fetches packages there: a proxy (RFC 9110, 9.3.6) on its loopback.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A proxy, which connects from this process's own network. It answers until the value goes.
#[derive(Debug)]
pub struct Doorway {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Doorway {
    /// One that answers whoever connects to `listener`.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        let (address, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&ended);
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    // Whoever breaks off is told nothing.
                    Ok((stream, _)) => drop(std::thread::spawn(move || connect(stream))),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { address, ended }
    }

    /// Has a program go through it to what it fetches.
    pub fn show(&self, command: &mut Command) {
        let url = format!("http://{}", self.address);
        for name in ["PIP_PROXY", "http_proxy", "https_proxy", "HTTPS_PROXY"] {
            command.env(name, &url);
        }
    }
}

impl Drop for Doorway {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Reads whom a client would reach, and has it reach them: through this machine's own proxy, where it has one.
fn connect(client: TcpStream) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let host = |url: &str| url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
    let with_port = |host: String| if host.contains(':') { host } else { format!("{host}:80") };
    let proxy = ["https_proxy", "HTTPS_PROXY"].into_iter().find_map(|name| std::env::var(name).ok());
    let is_tunnel = method == "CONNECT" && proxy.is_none();
    let mut server = TcpStream::connect(with_port(host(proxy.as_deref().unwrap_or(target))))?;
    if is_tunnel {
        (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        server.write_all(head.as_bytes())?;
    }
    let (answers, back) = (server.try_clone()?, client.try_clone()?);
    let answering = std::thread::spawn(move || relay(answers, &back));
    relay(reader, &server);
    let _ = answering.join();
    Ok(())
}

/// Passes on what comes, until there is no more of it.
fn relay(mut from: impl Read, mut to: &TcpStream) {
    // Either end may break off: then so does the other.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}
