//! Listening, connections and their limits, and the end. The home of tokio and hyper.
//!
//! A connection that does not come to the point is closed: its first request's head has to be there after [`FIRST`],
//! the next one of a connection that is kept after [`HEAD`], and no connection lives longer than [`LIFE`], whatever it
//! is waiting for (a reader that takes nothing, for one). There are no more than [`CONNECTIONS`]; who comes then waits
//! for one to end. From one address there are no more than [`OF_ONE_PEER`], the next is closed at once. That address may
//! be an Ingress, with all readers behind it: of one that has many connections those beyond [`KEPT_OF_ONE_PEER`] are not
//! kept after an answer, so that it gets to the limit only with so many requests at once.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
use super::gate::Client;
use super::routes::router;
use crate::config::DashboardConfig;
use crate::ledger::Totals;

/// What all requests share.
pub(super) struct Shared {
    pub(super) database: Database,
    /// Names of this host under which it answers; none: all.
    pub(super) hosts: Vec<String>,
    pub(super) totals: Arc<Mutex<Totals>>,
}

const CONNECTIONS: usize = 256;

/// A browser opens six, a proxy as many as there are requests.
const OF_ONE_PEER: usize = 128;

/// So many of one address may wait for their next request.
const KEPT_OF_ONE_PEER: usize = 64;

/// Until the first request's head is there.
const FIRST: Duration = Duration::from_secs(5);

/// Until a request's head is there, and until the next request of a connection that is kept.
const HEAD: Duration = Duration::from_secs(15);

/// Of a head: bytes and lines.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

/// Of a connection. It ends between two requests, if it can, within the grace.
const LIFE: Duration = Duration::from_secs(300);

/// What is under way when the end is asked for gets so long.
const GRACE: Duration = Duration::from_secs(5);

/// After a connection could not be taken (no more descriptors), so that there is no busy waiting.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT asks for the end; a second one ends the process at once.
pub fn serve(config: DashboardConfig) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(listen(config));
    end(runtime);
    served
}

/// What is still under way is left to itself: a thread at a database that hangs cannot be ended.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

async fn listen(config: DashboardConfig) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
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
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
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
                drop(tokio::spawn(converse(stream, router.clone(), ended.clone(), (place, peer))));
            }
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// One connection from its beginning to its end.
async fn converse(
    stream: TcpStream,
    router: Router,
    mut ended: watch::Receiver<()>,
    (_place, peer): (OwnedSemaphorePermit, Peer),
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
        // Whatever ends a conversation early is the other side's business.
        _ended = connection.as_mut() => return,
        () = silence(&has_begun) => return,
        () = sleep(LIFE) => {}
        // Only its end can change what is watched.
        _ending = ended.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _in_time = timeout(GRACE, connection).await;
}

/// Ends when the first request should have come and has not.
async fn silence(has_begun: &AtomicBool) {
    sleep(FIRST).await;
    if has_begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Connections by the address that they come from.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One connection among them.
struct Peer {
    peers: Peers,
    address: IpAddr,
    /// Its connection may wait for a next request.
    is_kept: bool,
}

impl Peers {
    /// Nothing: there are enough from there.
    fn admit(&self, address: IpAddr) -> Option<Peer> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        assert!(peers.admit(address).is_none() && peers.admit(IpAddr::from([192, 0, 2, 2])).is_some());
        held.pop();
        assert!(peers.admit(address).is_some());
        drop(held);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
