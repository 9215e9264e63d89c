//! Listening, connections with their limits, and shutdown. The home of tokio and hyper.
//!
//! A connection that makes no progress is closed. The head of its first request has to be there
//! after [`FIRST`], and the head of the next request on a kept connection after [`HEAD`]. No
//! connection lives longer than [`LIFE`], whatever it is waiting for (a reader that takes no data,
//! for example).
//!
//! At most [`CONNECTIONS`] are open, and a further client waits until one of them ends. At most
//! [`OF_ONE_PEER`] come from one address, and the next one from there is closed at once. That
//! address may be an Ingress with all readers behind it. So connections of one address beyond
//! [`KEPT_OF_ONE_PEER`] are not kept after an answer, and the address reaches its limit only with
//! that many requests at the same time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::database::Database;
use super::routes::router;
use super::state::{Client, Shared};
use crate::config::DashboardConfig;
use crate::locked::locked;

/// Open connections, at most.
const CONNECTIONS: usize = 256;

/// Connections from one address, at most. A browser opens six, a proxy as many as it has requests.
const OF_ONE_PEER: usize = 128;

/// Connections from one address that may wait for their next request, at most.
const KEPT_OF_ONE_PEER: usize = 64;

/// Time limit for the head of the first request.
const FIRST: Duration = Duration::from_secs(5);

/// Time limit for a request's head, and for the next request on a kept connection.
const HEAD: Duration = Duration::from_secs(15);

/// Limits of a head: bytes and lines.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

/// Lifetime of a connection. It then ends between two requests, if it can, within [`GRACE`].
const LIFE: Duration = Duration::from_secs(300);

/// Time limit for requests that are under way when the end is asked for.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after a connection could not be accepted (no more descriptors), so that the loop does not
/// spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT asks for the end. A second signal ends the process at once.
///
/// Fails if the runtime or the signal handlers cannot be set up, or if the address cannot be
/// listened on.
pub fn serve(config: DashboardConfig) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(listen(config));
    end(runtime);
    served
}

/// Does not wait for threads that still run: one that asks a database that hangs cannot be ended.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn listen(config: DashboardConfig) -> io::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = bind(config.listen).await?;
    tracing::info!("listening on http://{}, database {}", listener.local_addr()?, config.database);
    let shared = Arc::new(Shared {
        database: Database::new(config.database),
        hosts: config.allowed_hosts,
        totals: Arc::default(),
    });
    let (ending, ended) = watch::channel(());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let serving = accept(&listener, router(shared), &places, &ended);
    tokio::select! {
        never = serving => never,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(listener);
    drop(ending);
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    tokio::select! {
        finished = timeout(GRACE, places.acquire_many(all)) => {
            let is_quiet = finished.is_ok();
            tracing::info!("stopped{}", if is_quiet { "" } else { ", some requests were not answered" });
        }
        _ = terminate.recv() => tracing::info!("stopped at once"),
        _ = interrupt.recv() => tracing::info!("stopped at once"),
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

async fn accept(
    listener: &TcpListener,
    router: Router,
    places: &Arc<Semaphore>,
    ended: &watch::Receiver<()>,
) {
    let peers = Peers::default();
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                let Some(peer) = peers.admit(address.ip()) else { continue };
                drop(tokio::spawn(serve_connection(
                    stream,
                    router.clone(),
                    ended.clone(),
                    Admitted { _place: place, peer },
                )));
            }
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// What an accepted connection holds until it ends: its place among all, and among those of its
/// peer.
struct Admitted {
    _place: OwnedSemaphorePermit,
    peer: Peer,
}

/// Serves one connection, from its beginning to its end.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    mut ended: watch::Receiver<()>,
    Admitted { _place, peer }: Admitted,
) {
    let (has_begun, service) = (AtomicBool::new(false), TowerToHyperService::new(router));
    let answer = service_fn(|mut request: Request<Incoming>| {
        has_begun.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Client(peer.address));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .keep_alive(peer.is_kept)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEAD_LINES)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    tokio::select! {
        // If a connection ends early, for whatever reason, that is the business of the client.
        _ended = connection.as_mut() => return,
        () = silence(&has_begun) => return,
        () = sleep(LIFE) => {}
        // The watched value never changes: this resolves when its sender is dropped.
        _ending = ended.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _in_time = timeout(GRACE, connection).await;
}

/// Resolves when the first request should have come and has not.
async fn silence(has_begun: &AtomicBool) {
    sleep(FIRST).await;
    if has_begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Open connections, counted by the address that they come from.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One counted connection. Dropping it takes it off the count.
struct Peer {
    peers: Peers,
    address: IpAddr,
    /// Whether the connection may wait for a next request.
    is_kept: bool,
}

impl Peers {
    /// Counts a connection. `None` if its address has as many as it may have.
    fn admit(&self, address: IpAddr) -> Option<Peer> {
        let mut counts = locked(&self.0);
        let count = counts.entry(address).or_default();
        if *count == OF_ONE_PEER {
            return None;
        }
        *count += 1;
        Some(Peer { peers: self.clone(), address, is_kept: *count <= KEPT_OF_ONE_PEER })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut counts = locked(&self.peers.0);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_no_more_than_its_share_and_gets_it_back() {
        let (peers, address) = (Peers::default(), IpAddr::from([192, 0, 2, 1]));
        let mut held: Vec<Peer> = (0..OF_ONE_PEER).filter_map(|_| peers.admit(address)).collect();
        assert_eq!(held.len(), OF_ONE_PEER);
        assert_eq!(held.iter().filter(|peer| peer.is_kept).count(), KEPT_OF_ONE_PEER);
        assert!(
            peers.admit(address).is_none() && peers.admit(IpAddr::from([192, 0, 2, 2])).is_some()
        );
        held.pop();
        assert!(peers.admit(address).is_some());
        drop(held);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
