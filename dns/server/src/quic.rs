//! DNS over QUIC (RFC 9250): one stream per query, by quinn.
//!
//! What must stay true:
//! - a message has the id 0 and no keepalive option; what breaks these rules, or sends more than one
//!   message on a stream, ends the connection with DOQ_PROTOCOL_ERROR (sections 4.2.1, 4.3.3 and 5.5.2);
//! - a client's address is checked by a Retry once half of the connections are open, so that forged
//!   addresses do not fill the table;
//! - connections count against the same limits as those over TCP, streams at a time are limited per
//!   connection, and a stream must bring its query within the idle time.

use std::net::IpAddr;
use std::sync::Arc;

use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, VarInt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::service::{Place, Stop, stopped};
use crate::settings::StreamLimits;

const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// A length and the longest message.
const LONGEST: usize = 2 + 65_535;

/// Octets that a client may send before its connection is taken up: a TLS hello, perhaps a large one.
pub(crate) const FIRST_FLIGHT: u64 = 16 * 1024;
/// The same of all clients.
pub(crate) const FIRST_FLIGHTS: u64 = 8 * 1024 * 1024;

/// What the connection's parameters are; they stay as they were when the listener began.
pub(crate) fn transport(limits: &StreamLimits) -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(u32::from(limits.streams_per_connection).into())
        // RFC 9250 has no use for them.
        .max_concurrent_uni_streams(0_u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(LONGEST as u32))
        .receive_window(VarInt::from_u32(4 * LONGEST as u32))
        .send_window(4 * LONGEST as u64)
        .max_idle_timeout(limits.idle.try_into().ok());
    transport
}

/// Serves connections until the end, and then those that are open to theirs.
pub(crate) async fn listen(endpoint: Endpoint, place: Arc<Place>, mut stop: Stop) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => admit(incoming, &place, &stop, &mut tasks),
                None => return,
            },
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task failed");
                }
            }
            () = stopped(&mut stop) => break,
        }
    }
    endpoint.set_server_config(None);
    while tasks.join_next().await.is_some() {}
    endpoint.close(NO_ERROR, b"");
    endpoint.wait_idle().await;
}

fn admit(incoming: Incoming, place: &Arc<Place>, stop: &Stop, tasks: &mut JoinSet<()>) {
    let limits = place.service.settings.load().streams.clone();
    let client = incoming.remote_address().ip().to_canonical();
    let connections = &place.service.connections;
    if connections.open() > limits.connections / 2 && !incoming.remote_address_validated() && incoming.may_retry() {
        // Nothing is kept until the client comes back with the token.
        let _ = incoming.retry();
        return;
    }
    let counted = match connections.count(client, &limits) {
        Ok(counted) => counted,
        Err(full) => {
            tracing::debug!(%client, %full, "QUIC connection refused");
            incoming.refuse();
            return;
        }
    };
    let (place, mut stop) = (place.clone(), stop.clone());
    tasks.spawn(async move {
        let _counted = counted;
        let Ok(accepted) = incoming.accept() else {
            return;
        };
        if let Ok(Ok(connection)) = timeout(limits.handshake, accepted).await {
            serve(connection, &place, client, &mut stop).await;
        }
    });
}

async fn serve(connection: Connection, place: &Arc<Place>, client: IpAddr, stop: &mut Stop) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, receive)) => {
                    let (connection, place) = (connection.clone(), place.clone());
                    streams.spawn(async move {
                        if let Err(code) = exchange(send, receive, &place, client).await {
                            connection.close(code, b"");
                        }
                    });
                }
                Err(ended) => {
                    tracing::debug!(%client, %ended, "QUIC connection ended");
                    return;
                }
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
            () = stopped(stop) => break,
        }
    }
    while streams.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

/// One query and its reply; an error is the code to close the connection with.
async fn exchange(mut send: SendStream, mut receive: RecvStream, place: &Place, client: IpAddr) -> Result<(), VarInt> {
    let limits = place.service.settings.load().streams.clone();
    let read = match timeout(limits.idle, receive.read_to_end(LONGEST)).await {
        Ok(Ok(read)) => read,
        Ok(Err(quinn::ReadToEndError::TooLong)) => return Err(PROTOCOL_ERROR),
        // The client took its question back (section 4.3.1), or is gone.
        Ok(Err(quinn::ReadToEndError::Read(_))) => return Ok(()),
        Err(_) => return Err(EXCESSIVE_LOAD),
    };
    let message = message(&read).ok_or(PROTOCOL_ERROR)?;
    let mut reply = vec![];
    place.respond(message, client, None, &mut reply).ok_or(PROTOCOL_ERROR)?;
    let length = u16::try_from(reply.len()).map_err(|_| INTERNAL_ERROR)?;
    let framed = [&length.to_be_bytes(), reply.as_slice()].concat();
    let write = async {
        // A client that is gone takes nothing, and that is all that can go wrong.
        if send.write_all(&framed).await.is_ok() && send.finish().is_ok() {
            let _ = send.stopped().await;
        }
    };
    timeout(limits.write, write).await.map_err(|_| EXCESSIVE_LOAD)
}

/// The one message of a stream.
fn message(read: &[u8]) -> Option<&[u8]> {
    let (length, message) = read.split_first_chunk::<2>()?;
    let whole = message.len() == usize::from(u16::from_be_bytes(*length));
    let good = whole && message.starts_with(&[0, 0]) && !has_keepalive(message);
    good.then_some(message)
}

fn has_keepalive(message: &[u8]) -> bool {
    crate::request::read(message).is_some_and(|request| request.options.keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edns::code;

    #[test]
    fn a_stream_holds_one_message_with_the_id_0_and_no_keepalive() {
        let query = |id: u8, option: u16| {
            let mut query = vec![
                0, id, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4,
            ];
            query.extend(option.to_be_bytes());
            query.extend([0, 0]);
            let length = u16::try_from(query.len()).expect("short");
            [&length.to_be_bytes(), query.as_slice()].concat()
        };
        assert!(message(&query(0, code::PADDING)).is_some());
        assert!(message(&query(0, code::KEEPALIVE)).is_none());
        assert!(message(&query(1, code::PADDING)).is_none());
        assert!(message(&[query(0, 12), vec![0]].concat()).is_none());
        assert!(message(&query(0, 12)[..20]).is_none());
        assert!(message(&[]).is_none());
    }
}
