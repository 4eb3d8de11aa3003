//! DNS over datagrams.
//!
//! What must stay true: a socket has a fixed number of readers, each with two buffers for ever, so a
//! flood costs time but no memory; a reply that the network does not take at once is dropped, and the
//! client asks again; errors that the network reports about somebody who is gone end nothing; and
//! connections, however many and however busy, take no turn away from datagrams. So each reader has a
//! thread of its own, and the system's scheduler shares the processors. Refused: tasks beside those of the
//! connections. Five hundred clients that ask for large answers and never read them keep all workers
//! busy, and datagrams waited seconds for their turn.
//!
//! At the end what has already arrived is still answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::proxy::{Proxied, looks_proxied, proxy_header};
use crate::service::{LINGER, Place, Stop, stopped};

/// A datagram cannot be longer.
const LONGEST: usize = 65_535;

/// After an error, so that one that stays does not take a processor.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Answers what comes until the end, on a thread of its own. Dropping the future ends nothing; that is what
/// `stop` is for, and a server that is gone has stopped.
pub(crate) async fn listen(socket: std::net::UdpSocket, place: Arc<Place>, stop: Stop) -> io::Result<()> {
    let (ended, end) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name("dns-udp".to_owned()).spawn(move || {
        let _ended = ended;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            answer(UdpSocket::from_std(socket)?, place, stop).await;
            Ok(())
        })
    })?;
    // Nothing is sent: the sender goes when the thread ends.
    let _ = end.await;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn answer(socket: UdpSocket, place: Arc<Place>, mut stop: Stop) {
    let mut worker = Worker {
        socket,
        place,
        packet: vec![0; LONGEST],
        reply: Vec::with_capacity(LONGEST),
    };
    loop {
        let received = tokio::select! {
            received = worker.socket.recv_from(&mut worker.packet) => received,
            () = stopped(&mut stop) => break,
        };
        match received {
            Ok((length, sender)) => worker.answer(length, sender),
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                if error.kind() != io::ErrorKind::ConnectionReset {
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }
    if stop.has_changed().is_err() {
        // Nobody waits for the end.
        return;
    }
    let end = Instant::now() + LINGER;
    while let Ok(Ok((length, sender))) = timeout_at(end, worker.socket.recv_from(&mut worker.packet)).await {
        worker.answer(length, sender);
    }
}

struct Worker {
    socket: UdpSocket,
    place: Arc<Place>,
    packet: Vec<u8>,
    reply: Vec<u8>,
}

impl Worker {
    fn answer(&mut self, length: usize, sender: SocketAddr) {
        let Some(mut packet) = self.packet.get(..length) else {
            return;
        };
        let mut client = sender.ip();
        if self.place.is_proxy(sender) {
            match proxy_header(packet, Proxied::Datagram) {
                Ok(header) => {
                    client = header.client.unwrap_or(client);
                    packet = packet.get(header.length..).unwrap_or_default();
                }
                Err(error) => {
                    tracing::debug!(%sender, %error, "a datagram was dropped");
                    return;
                }
            }
        } else if looks_proxied(packet) {
            tracing::debug!(%sender, "a PROXY header from somebody who may not send one");
            return;
        }
        if self.place.respond(packet, client, None, &mut self.reply).is_some()
            && let Err(error) = self.socket.try_send_to(&self.reply, sender)
        {
            tracing::debug!(%sender, %error, "a reply was dropped");
        }
    }
}
