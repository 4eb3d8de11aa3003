//! The good client, and what it saw.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use meridian_hostile::query;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::attack::Sent;
use crate::serve::Server;

/// Where no attacker is.
const GOOD: Ipv4Addr = Ipv4Addr::new(127, 200, 0, 1);

/// A resolver's patience with one try.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two queries over UDP, and over TCP.
const EVERY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// What was seen during one class of attack.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) class: &'static str,
    sent: Sent,
    took: Duration,
    /// Queries over UDP.
    asked: u64,
    /// Those answered within three tries.
    answered: u64,
    /// Those answered at the first try.
    at_once: u64,
    /// The 99th of a hundred times to the answer.
    slow: Duration,
    over_tcp: (u64, u64),
    /// The server's, in MiB.
    pub(crate) memory: u64,
}

impl Figures {
    pub(crate) const HEAD: &str = "class                       | sent                                 | time   | good client over UDP: at once, within 3 tries | p99 ms | over TCP   | MiB";
}

impl Figures {
    /// Of a thousand queries over UDP, how many were answered within three tries.
    pub(crate) fn answered_in_a_thousand(&self) -> u64 {
        self.answered * 1000 / self.asked.max(1)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
        write!(
            f,
            "{:<27} | {:<36} | {:>4.1} s | {:>6} queries: {:>6.2} %, {:>6.2} %          | {:>6.1} | {:>4}/{:<4}  | {:>3}",
            self.class,
            self.sent.to_string(),
            self.took.as_secs_f64(),
            self.asked,
            share(self.at_once, self.asked),
            share(self.answered, self.asked),
            self.slow.as_secs_f64() * 1000.0,
            self.over_tcp.1,
            self.over_tcp.0,
            self.memory,
        )
    }
}

/// Asks all the time while an attack runs, and prints what came of it.
pub(crate) async fn during(
    server: &Server,
    class: &'static str,
    attack: impl Future<Output = anyhow::Result<Sent>>,
) -> anyhow::Result<Figures> {
    server.forget_memory();
    let begun = Instant::now();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let udp = tokio::spawn(ask_over_udp(server.plain, stopped.clone()));
    let tcp = tokio::spawn(ask_over_tcp(server.plain, stopped));
    let sent = attack.await?;
    let took = begun.elapsed();
    stop.send_replace(true);
    let (asked, at_once, mut times) = udp.await??;
    times.sort();
    let figures = Figures {
        class,
        sent,
        took,
        asked,
        answered: times.len() as u64,
        at_once,
        slow: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
        over_tcp: tcp.await?,
        memory: server.memory()?,
    };
    println!("{figures}");
    server.is_alive()?;
    Ok(figures)
}

type Stopped = tokio::sync::watch::Receiver<bool>;

/// Asks at a fixed pace, whatever becomes of the queries before: else one that waits would hide others
/// that would have waited too.
async fn ask_over_udp(server: SocketAddr, mut stopped: Stopped) -> anyhow::Result<(u64, u64, Vec<Duration>)> {
    let (mut queries, mut pace) = (JoinSet::new(), tokio::time::interval(EVERY[0]));
    while !*stopped.borrow_and_update() {
        pace.tick().await;
        queries.spawn(one_over_udp(server));
    }
    let (mut asked, mut at_once, mut times) = (0, 0, Vec::new());
    while let Some(query) = queries.join_next().await {
        let tried = query??;
        asked += 1;
        at_once += u64::from(tried.is_some_and(|(attempt, _)| attempt == 0));
        times.extend(tried.map(|(_, time)| time));
    }
    Ok((asked, at_once, times))
}

/// At which try a query was answered, and after what time; `None` if it was not.
async fn one_over_udp(server: SocketAddr) -> anyhow::Result<Option<(u16, Duration)>> {
    let socket = UdpSocket::bind((GOOD, 0)).await?;
    socket.connect(server).await?;
    let begun = Instant::now();
    for attempt in 0..3_u16 {
        socket.send(&query(attempt, "web.example.test", 1, Some(&[]))).await?;
        if timeout(PATIENCE, reply(&socket)).await.is_ok() {
            return Ok(Some((attempt, begun.elapsed())));
        }
    }
    Ok(None)
}

/// Waits for a reply with an answer.
async fn reply(socket: &UdpSocket) {
    let mut buffer = [0; 1500];
    loop {
        if let Ok(length @ 12..) = socket.recv(&mut buffer).await
            && buffer[..length][7] == 1
        {
            return;
        }
    }
}

/// How many were asked and answered, each over a connection of its own.
async fn ask_over_tcp(server: SocketAddr, stopped: Stopped) -> (u64, u64) {
    let (mut asked, mut answered) = (0, 0);
    while !*stopped.borrow() {
        asked += 1;
        let exchange = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((GOOD, 0).into())?;
            let mut stream = socket.connect(server).await?;
            let query = query(1, "web.example.test", 1, Some(&[]));
            stream.write_u16(query.len() as u16).await?;
            stream.write_all(&query).await?;
            let mut reply = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut reply).await?;
            std::io::Result::Ok(reply.get(7) == Some(&1))
        };
        if matches!(timeout(3 * PATIENCE, exchange).await, Ok(Ok(true))) {
            answered += 1;
        }
        tokio::time::sleep(EVERY[1]).await;
    }
    (asked, answered)
}
