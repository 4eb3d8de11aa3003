//! Messages with a length before each, over TCP and inside TLS (RFC 7766, RFC 7858).
//!
//! What must stay true:
//! - a client may write as many queries as it likes without waiting. All that have come whole are
//!   answered, and their replies leave in few writes (RFC 7766 section 6.2.1.1 and section 8);
//! - nothing that has come is read on while replies wait to be taken, so a connection holds at most one
//!   message and some replies, and a client that does not read is cut off by the write limit;
//! - a connection ends when no *whole* query has come for the idle time: one octet now and then does
//!   not keep it open;
//! - a transfer sends one message, and makes the next when that is taken; queries behind it wait;
//! - a message that deserves no reply ends the connection: its sender does not speak DNS.
//!
//! Replies leave in the order of their queries. RFC 7766 section 7 wants other orders to be possible so
//! that a slow answer delays no quick one; here every answer takes microseconds and none waits for
//! anything, so there is nothing to overtake. Refused therefore: a task per query, which would be a
//! way to make the server hold as many as a client can write.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::service::{LINGER, Place, Stop, Transferring, stopped};
use crate::transfer::{Transfer, TransferError};

/// Octets asked of the stream at a time.
const READ: usize = 4096;

/// Replies are written when there are so many octets of them, or no more queries.
const WRITE: usize = 16 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the client closed it")]
    ByClient,
    #[error("no whole query came in time")]
    Idle,
    #[error("the client did not take its replies in time")]
    NotTaken,
    #[error("a message deserved no reply")]
    NotDns,
    #[error("the server ends")]
    Stopped,
    #[error("a transfer cannot be ended")]
    Transfer(#[from] TransferError),
    #[error("the connection failed")]
    Failed(#[from] io::Error),
}

/// Serves one connection to its end.
pub(crate) async fn serve<S>(stream: &mut S, place: &Place, client: IpAddr, stop: &mut Stop) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session = Session {
        stream,
        place,
        client,
        input: Vec::new(),
        reply: Vec::new(),
        output: Vec::new(),
        transfer: None,
        whole: Instant::now(),
    };
    let ended = session.run(stop).await.unwrap_or_else(|ended| ended);
    // Says goodbye where the protocol has a word for it.
    let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
    ended
}

struct Session<'a, S> {
    stream: &'a mut S,
    place: &'a Place,
    client: IpAddr,
    /// What has come and is not answered yet.
    input: Vec<u8>,
    reply: Vec<u8>,
    /// Replies with their lengths.
    output: Vec<u8>,
    /// What follows the replies in `output`.
    transfer: Option<Transfer>,
    /// When the last whole query came.
    whole: Instant,
}

impl<S> Session<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(&mut self, stop: &mut Stop) -> Result<Ended, Ended> {
        let mut end = None;
        loop {
            let stopping = *stop.borrow();
            let idle = self.idle();
            while self.answer(if stopping { Duration::ZERO } else { idle })? {
                self.write().await?;
                if let Some(transfer) = self.transfer.take() {
                    self.send(transfer).await?;
                }
            }
            self.input.reserve(READ);
            let deadline = self.whole + idle;
            if stopping {
                // What has arrived is still answered.
                let end = *end.get_or_insert_with(|| Instant::now() + LINGER);
                let read = timeout_at(end, self.stream.read_buf(&mut self.input)).await;
                if read.is_ok_and(|read| read.is_ok_and(|octets| octets > 0)) {
                    continue;
                }
                return Ok(Ended::Stopped);
            }
            let read = tokio::select! {
                read = timeout_at(deadline, self.stream.read_buf(&mut self.input)) => read,
                () = stopped(stop) => continue,
            };
            if read.map_err(|_| Ended::Idle)?? == 0 {
                return Ok(Ended::ByClient);
            }
        }
    }

    fn idle(&self) -> Duration {
        let service = &self.place.service;
        service.settings.peek().streams.idle_with(service.connections.open())
    }

    /// Answers whole queries until enough is to be written; false if there was none.
    fn answer(&mut self, idle: Duration) -> Result<bool, Ended> {
        let mut done = 0;
        while let Some(message) = message(self.input.get(done..).unwrap_or_default()) {
            done += 2 + message.len();
            let answered = self
                .place
                .respond_in_stream(message, self.client, idle, &mut self.reply);
            let Some(transfer) = answered else {
                return Err(Ended::NotDns);
            };
            if transfer.is_some() {
                self.transfer = transfer;
                break;
            }
            push(&self.reply, &mut self.output)?;
            if self.output.len() >= WRITE {
                break;
            }
        }
        if done > 0 {
            self.input.drain(..done);
            self.whole = Instant::now();
        }
        // A connection that was busy once does not keep its memory.
        if self.input.is_empty() && self.input.capacity() > 2 * READ {
            self.input = Vec::new();
        }
        Ok(done > 0)
    }

    /// Sends the messages of a transfer, each when the one before is taken.
    async fn send(&mut self, mut transfer: Transfer) -> Result<(), Ended> {
        let service = &self.place.service;
        let Some(_counted) = Transferring::begin(service) else {
            tracing::info!(client = %self.client, "a transfer was refused: there are as many as there may be");
            transfer.refuse(service.clock.now().unix, &mut self.reply);
            push(&self.reply, &mut self.output)?;
            return self.write().await;
        };
        while transfer.next(self.place.service.clock.now().unix, &mut self.reply)? {
            push(&self.reply, &mut self.output)?;
            self.write().await?;
        }
        self.whole = Instant::now();
        self.reply = Vec::new();
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Ended> {
        let limit = self.place.service.settings.peek().streams.write;
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        timeout(limit, write).await.map_err(|_| Ended::NotTaken)??;
        self.output.clear();
        self.output.shrink_to(2 * WRITE);
        Ok(())
    }
}

/// Adds a message with its length.
fn push(message: &[u8], output: &mut Vec<u8>) -> Result<(), Ended> {
    let length = u16::try_from(message.len()).map_err(|_| Ended::NotDns)?;
    output.extend(length.to_be_bytes());
    output.extend(message);
    Ok(())
}

/// The first whole message; `None` if it has not come yet.
fn message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
