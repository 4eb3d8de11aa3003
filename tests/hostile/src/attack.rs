//! The classes of attack. Each is bounded, and says what it did.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian_hostile::{Dice, query};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::serve::Server;

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

async fn connect(server: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address(number), 0).into())?;
    socket.connect(server).await
}

/// Connections that say nothing, and come again when they were closed.
pub(crate) async fn idle(server: &Server, count: usize, time: Duration) -> anyhow::Result<Sent> {
    let (server, end) = (server.plain, Instant::now() + time);
    held(count, end, move |number| async move {
        let mut stream = connect(server, number).await?;
        // Until the server closes it.
        let left = end.saturating_duration_since(Instant::now());
        let _ = timeout(left, stream.read_to_end(&mut Vec::new())).await;
        Ok(())
    })
    .await
}

/// Connections that write one octet of a query, or of a handshake, now and then.
pub(crate) async fn slow(server: &Server, tls: bool, time: Duration) -> anyhow::Result<Sent> {
    let (server, end) = (if tls { server.tls } else { server.plain }, Instant::now() + time);
    held(2000, end, move |number| async move {
        let mut stream = connect(server, number).await?;
        let query = query(1, "web.example.test", 1, Some(&[]));
        let length = (query.len() as u16).to_be_bytes();
        // The start of a TLS record that promises a long handshake.
        let handshake: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
        let octets = if tls {
            handshake.to_vec()
        } else {
            [&length[..], &query].concat()
        };
        for octet in octets.iter().cycle() {
            stream.write_all(&[*octet]).await?;
            let mut read = [0; 1];
            match timeout(Duration::from_millis(500), stream.read(&mut read)).await {
                Ok(Ok(0) | Err(_)) => break,
                _ if Instant::now() >= end => break,
                _ => {}
            }
        }
        Ok(())
    })
    .await
}

/// Connections that ask for large answers and never read them.
pub(crate) async fn deaf(server: &Server, time: Duration) -> anyhow::Result<Sent> {
    let (server, end) = (server.plain, Instant::now() + time);
    let one = query(1, "many.example.test", 1, Some(&[]));
    let framed = [&(one.len() as u16).to_be_bytes()[..], &one].concat();
    let queries: Arc<[u8]> = framed.repeat(500).into();
    held(500, end, move |number| {
        let queries = queries.clone();
        async move {
            let mut stream = connect(server, number).await?;
            let left = end.saturating_duration_since(Instant::now());
            let writing = async { while stream.write_all(&queries).await.is_ok() {} };
            let _ = timeout(left, writing).await;
            Ok(())
        }
    })
    .await
}

/// So many clients at once until the end; each comes again when its connection is over.
async fn held<F>(count: usize, end: Instant, one: impl Fn(usize) -> F + Clone + Send + 'static) -> anyhow::Result<Sent>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for number in 0..count {
        let one = one.clone();
        let client = one(number);
        clients.spawn(async move {
            let mut opened = 0_u64;
            let mut client = Box::pin(client);
            loop {
                opened += u64::from(client.as_mut().await.is_ok());
                if Instant::now() >= end {
                    return opened;
                }
                // Not faster than a client of some persistence.
                tokio::time::sleep(Duration::from_millis(200)).await;
                client = Box::pin(one(number));
            }
        });
    }
    let opened = clients.join_all().await.into_iter().sum();
    Ok(Sent::Connections {
        opened,
        at_once: count as u64,
    })
}
