//! The classes of attack. Each is bounded, and says what it did.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use meridian_hostile::{Dice, query};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::serve::Server;

/// How long connections may take to end after their time.
const GRACE: Duration = Duration::from_secs(2);

/// What an attack sent.
#[derive(Debug)]
pub(crate) enum Sent {
    Nothing,
    Packets(u64),
    /// Opened in all, and open at the same time at most, as far as the client knows.
    Connections {
        opened: u64,
        at_once: u64,
    },
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("-"),
            Self::Packets(count) => write!(f, "{count} packets"),
            Self::Connections { opened, at_once } => write!(f, "{opened} connections, {at_once} at once"),
        }
    }
}

/// For comparison.
pub(crate) async fn nothing(time: Duration) -> anyhow::Result<Sent> {
    tokio::time::sleep(time).await;
    Ok(Sent::Nothing)
}

/// Random octets, and good queries with something changed.
pub(crate) async fn packets(server: &Server, count: u64) -> anyhow::Result<Sent> {
    flood(server.plain, count, 0x0070_6163_6b65_7473, |dice, _| dice.packet()).await
}

/// Names that are too long, point in circles, or end nowhere.
pub(crate) async fn names(server: &Server, count: u64) -> anyhow::Result<Sent> {
    let label = [&[63][..], &[b'a'; 63]].concat();
    let names: [Vec<u8>; 8] = [
        vec![0xc0, 12],
        vec![0xc0, 0],
        vec![1, b'a', 0xc0, 14],
        vec![1, b'a', 0xc0, 12],
        vec![0xff, 0xff],
        [&label.repeat(4)[..], &[0]].concat(),
        label.repeat(20),
        [1, b'a'].repeat(700),
    ];
    let question = [0, 1, 0, 1];
    flood(server.plain, count, 7, move |dice, _| {
        let name = &names[dice.below(names.len())];
        let header = [0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], name, &question].concat()
    })
    .await
}

/// Good queries for names that nobody asked for before.
pub(crate) async fn made_up(server: &Server, count: u64) -> anyhow::Result<Sent> {
    flood(server.plain, count, 11, |dice, number| {
        let below = [
            "example.test",
            "wild.example.test",
            "old.example.test",
            "elsewhere.test",
        ];
        let name = format!("{:x}-{number}.{}", dice.roll(), below[dice.below(below.len())]);
        query(number as u16, &name, 1, Some(&[]))
    })
    .await
}

/// Sends as fast as one thread can, from many addresses; replies are not read.
async fn flood(
    server: SocketAddr,
    count: u64,
    seed: u64,
    packet: impl Fn(&mut Dice, u64) -> Vec<u8> + Send + 'static,
) -> anyhow::Result<Sent> {
    let sending = move || {
        let mut dice = Dice::new(seed);
        let sockets: Vec<UdpSocket> = (1..=16_u8)
            .map(|host| {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, 66, 0, host), 0))?;
                socket.connect(server)?;
                Ok(socket)
            })
            .collect::<std::io::Result<_>>()?;
        let mut sent = 0;
        for number in 0..count {
            let packet = packet(&mut dice, number);
            // A full queue drops it, as a network would.
            sent += u64::from(sockets[dice.below(sockets.len())].send(&packet).is_ok());
        }
        Ok(Sent::Packets(sent))
    };
    tokio::task::spawn_blocking(sending).await?
}

/// Client number so-and-so: 64 connections come from each address.
fn address(number: usize) -> Ipv4Addr {
    let host = number / 64;
    Ipv4Addr::new(127, 77, (host / 250) as u8, (host % 250) as u8 + 1)
}

/// Connections, counted.
#[derive(Debug, Default)]
struct Counter {
    opened: AtomicU64,
    open: AtomicU64,
    most: AtomicU64,
}

/// A connection that is open until this is dropped.
struct Open(Arc<Counter>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a class's clients connect: each to the same server, from an address by its number.
#[derive(Debug, Clone)]
struct Clients {
    server: SocketAddr,
    end: Instant,
    counter: Arc<Counter>,
}

impl Clients {
    async fn connect(&self, number: usize) -> std::io::Result<(TcpStream, Open)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((address(number), 0).into())?;
        let stream = socket.connect(self.server).await?;
        let counter = &self.counter;
        counter.opened.fetch_add(1, Ordering::Relaxed);
        let open = counter.open.fetch_add(1, Ordering::Relaxed) + 1;
        counter.most.fetch_max(open, Ordering::Relaxed);
        Ok((stream, Open(counter.clone())))
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Connections that say nothing, and come again when they were closed.
pub(crate) async fn idle(server: &Server, count: usize, time: Duration) -> anyhow::Result<Sent> {
    held(server.plain, count, time, |clients, number| async move {
        let (mut stream, _open) = clients.connect(number).await?;
        // Until the server closes it.
        let _ = timeout(clients.left(), stream.read_to_end(&mut Vec::new())).await;
        Ok(())
    })
    .await
}

/// Connections that write one octet of a query, or of a handshake, now and then.
pub(crate) async fn slow(server: &Server, tls: bool, time: Duration) -> anyhow::Result<Sent> {
    let query = query(1, "web.example.test", 1, Some(&[]));
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    // The start of a TLS record that promises a long handshake.
    let handshake = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    let (address, octets) = if tls {
        (server.tls, handshake)
    } else {
        (server.plain, framed)
    };
    let octets: Arc<[u8]> = octets.into();
    held(address, 2000, time, move |clients, number| {
        let octets = octets.clone();
        async move {
            let (mut stream, _open) = clients.connect(number).await?;
            for octet in octets.iter().cycle() {
                stream.write_all(&[*octet]).await?;
                let mut read = [0; 1];
                match timeout(Duration::from_millis(500), stream.read(&mut read)).await {
                    Ok(Ok(0) | Err(_)) => break,
                    _ if clients.left().is_zero() => break,
                    _ => {}
                }
            }
            Ok(())
        }
    })
    .await
}

/// Connections that ask for large answers and never read them.
pub(crate) async fn deaf(server: &Server, time: Duration) -> anyhow::Result<Sent> {
    let one = query(1, "many.example.test", 1, Some(&[]));
    let framed = [&(one.len() as u16).to_be_bytes()[..], &one].concat();
    let queries: Arc<[u8]> = framed.repeat(500).into();
    held(server.plain, 500, time, move |clients, number| {
        let queries = queries.clone();
        async move {
            let (mut stream, _open) = clients.connect(number).await?;
            let writing = async { while stream.write_all(&queries).await.is_ok() {} };
            let _ = timeout(clients.left(), writing).await;
            Ok(())
        }
    })
    .await
}

/// So many clients at once for a time; each comes again when its connection is over.
async fn held<F>(
    server: SocketAddr,
    count: usize,
    time: Duration,
    one: impl Fn(Clients, usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<Sent>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let clients = Clients {
        server,
        end: Instant::now() + time,
        counter: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (one, clients) = (one.clone(), clients.clone());
        let first = one(clients.clone(), number);
        tasks.spawn(async move {
            let mut connection = Box::pin(first);
            loop {
                // One that fails is tried again like one that was closed.
                let _ = connection.await;
                if clients.left().is_zero() {
                    return;
                }
                // Not faster than a client of some persistence.
                tokio::time::sleep(Duration::from_millis(200)).await;
                connection = Box::pin(one(clients.clone(), number));
            }
        });
    }
    // Who is not done by then is cut off.
    let _ = timeout(time + GRACE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;
    let counted = |number: &AtomicU64| number.load(Ordering::Relaxed);
    Ok(Sent::Connections {
        opened: counted(&clients.counter.opened),
        at_once: counted(&clients.counter.most),
    })
}
