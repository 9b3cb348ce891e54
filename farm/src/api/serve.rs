// SPDX-License-Identifier: Apache-2.0
//! Connections: how many, for how long, and with whose certificates.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::caller::Peer;
use super::spiffe::TrustDomain;

/// How connections are taken.
#[derive(Clone, Default)]
pub struct Security {
    /// TLS, where it is used.
    pub tls: Option<TlsAcceptor>,
    /// Whose SPIFFE ids are believed, where any are.
    pub spiffe: Option<TrustDomain>,
}

/// So many connections are open at once; others wait.
const MOST_CONNECTIONS: usize = 2048;
/// The longest that somebody may take to say who it is, or what it wants.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection breaks whose other end has said nothing for so long, not even that it is there.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// How long what was begun may take once the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// Answers whoever connects, until `stop`; then what was begun is finished, for ten seconds at most.
///
/// # Errors
/// Where nothing more can be accepted.
pub async fn serve(
    listener: TcpListener,
    security: Security,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (ending, end) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            biased;
            () = &mut stop => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            // Too many open files, or a connection that was gone at once: others may still come.
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (security, router, end) = (security.clone(), router.clone(), end.clone());
        tokio::spawn(async move {
            connection(stream, address, security, router, end).await;
            drop(place);
        });
    }
    // Nobody listens where there is no connection.
    let _ = ending.send(true);
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(GRACE, places.acquire_many(all)).await;
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    let too_many = matches!(error.raw_os_error(), Some(code) if code == 23 || code == 24 || code == 12);
    too_many || matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    security: Security,
    router: Router,
    end: watch::Receiver<bool>,
) {
    // Small answers are not held back, and who is gone holds no place. Where that can't be set, it is later.
    let _ = stream.set_nodelay(true);
    let _ = breaks_in_silence(&stream);
    let Some(acceptor) = security.tls else {
        let peer = Peer { spiffe: None, address: address.ip() };
        return answer(stream, peer, router, end).await;
    };
    // Who can't agree on TLS is told so by TLS.
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let spiffe = match (certificate, &security.spiffe) {
        (Some(certificate), Some(domain)) => domain.id_of(certificate),
        _ => None,
    };
    answer(stream, Peer { spiffe, address: address.ip() }, router, end).await;
}

/// Has a connection break where its other end can't be reached any more. A network that is cut tells nobody, and a job would be
/// handed to a worker that was gone before.
fn breaks_in_silence(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE / 3)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE / 3)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX))
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut end: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(peer.clone());
        async move {
            let response: Result<Response<Body>, Infallible> = router.oneshot(request.map(Body::new)).await;
            response
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 << 10);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = end.wait_for(|ending| *ending) => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        // A connection that breaks off is whoever's was at its other end.
        let _ = connection.await;
    }
}
