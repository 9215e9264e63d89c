//! A TCP proxy that loses what it is told to lose.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Ends with the process.
pub struct Proxy {
    pub port: u16,
    lost: Arc<AtomicU32>,
}

impl Proxy {
    /// Passes everything on, but of the answers to the commits with these numbers (from 1, over all
    /// connections) not a byte: the connection breaks once the server has given the answer.
    pub fn losing_the_answers_to_commits(server: u16, numbers: &'static [u32]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (commits, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&lost);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (commits, lost) = (Arc::clone(&commits), Arc::clone(&lost));
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                thread::spawn(move || pass_on(client.unwrap(), server, &commits, &lost, numbers));
            }
        });
        Self { port, lost: counted }
    }

    /// Answers that were lost.
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }
}

/// The protocol is a dialogue: each side speaks in turn, and the client speaks second.
fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    commits: &AtomicU32,
    lost: &AtomicU32,
    numbers: &[u32],
) {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let swallow = Arc::new(AtomicU32::new(0));
    let swallows = Arc::clone(&swallow);
    let back = thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = answers.read(&mut buffer) {
            if swallows.load(Ordering::SeqCst) == 1 {
                break;
            }
            if to_client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // Whoever is at the other end may have closed it already.
        let _closed = to_client.shutdown(Shutdown::Both);
        let _closed = answers.shutdown(Shutdown::Both);
        swallows.load(Ordering::SeqCst) == 1
    });
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let is_commit = buffer[..length].ends_with(b"\x03COMMIT");
        if is_commit && numbers.contains(&(commits.fetch_add(1, Ordering::SeqCst) + 1)) {
            swallow.store(1, Ordering::SeqCst);
        }
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _closed = server.shutdown(Shutdown::Write);
    if back.join().unwrap() {
        lost.fetch_add(1, Ordering::SeqCst);
    }
}
