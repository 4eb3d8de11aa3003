//! A small DNS client: one question, one reply.
//!
//! For the demo, its story and the tests, which want to see what a resolver would see without having
//! one installed. It is a stub on purpose: no retries, no cache, no following of aliases, no switch to
//! TCP by itself. What must stay true: a reply counts only if its id and its question are those that
//! were sent; anything else that arrives is ignored until the time is up.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use ipnet::IpNet;
use meridian_dns_core::{DnsName, Outcome, RecordSet, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::{MAX_UDP_PAYLOAD, wire};

/// How to ask. The encrypted transports are other people's clients' business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// One connection.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The name.
    pub name: DnsName,
    /// The type.
    pub record_type: RecordType,
    /// Ask on behalf of this network (RFC 7871); without it no such option is sent.
    pub subnet: Option<IpNet>,
    /// Ask for recursion (RD): for resolvers.
    pub recursion: bool,
}

impl Query {
    /// A question for the client's own address.
    pub fn new(name: DnsName, record_type: RecordType) -> Self {
        Self {
            name,
            record_type,
            subnet: None,
            recursion: false,
        }
    }

    /// The same question to a resolver.
    #[must_use]
    pub fn with_recursion(mut self) -> Self {
        self.recursion = true;
        self
    }

    /// The same question on behalf of a network.
    #[must_use]
    pub fn for_subnet(mut self, subnet: IpNet) -> Self {
        self.subnet = Some(subnet);
        self
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The response code.
    pub outcome: Outcome,
    /// The AA bit.
    pub authoritative: bool,
    /// The TC bit: ask again over TCP.
    pub truncated: bool,
    /// Answer section, records grouped into sets; malformed ones are left out.
    pub answers: Vec<RecordSet>,
    /// Authority section.
    pub authorities: Vec<RecordSet>,
    /// Additional section, without the OPT record.
    pub additionals: Vec<RecordSet>,
    /// Scope prefix length of the Client Subnet option, if one came back.
    pub scope: Option<u8>,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing that fits came in time.
    #[error("no reply from {server} over {transport} within {limit:?}")]
    TimedOut {
        /// Who was asked.
        server: SocketAddr,
        /// How.
        transport: Transport,
        /// The time that was given.
        limit: Duration,
    },
    /// The network refused.
    #[error("cannot reach {server} over {transport}")]
    Network {
        /// Who was asked.
        server: SocketAddr,
        /// How.
        transport: Transport,
        /// What the operating system said.
        source: io::Error,
    },
    /// The reply cannot be read.
    #[error("the reply of {server} is malformed: {reason}")]
    Malformed {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// A response code that is not an outcome of `dns-core`, such as FORMERR.
    #[error("{server} replied with response code {code} ({meaning})")]
    Code {
        /// Who was asked.
        server: SocketAddr,
        /// The number.
        code: u16,
        /// Its meaning.
        meaning: &'static str,
    },
    /// The question cannot be written.
    #[error("the question cannot be written: {0}")]
    Question(String),
}

/// Asks one question and waits for its reply, at most for the limit.
pub async fn query(
    server: SocketAddr,
    transport: Transport,
    query: &Query,
    limit: Duration,
) -> Result<Reply, ClientError> {
    let question = message(query).map_err(|error| ClientError::Question(error.to_string()))?;
    let packet = question
        .to_vec()
        .map_err(|error| ClientError::Question(error.to_string()))?;
    let exchange = async {
        match transport {
            Transport::Udp => over_udp(server, &packet, &question).await,
            Transport::Tcp => over_tcp(server, &packet).await,
        }
    };
    let received = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| ClientError::TimedOut {
            server,
            transport,
            limit,
        })?
        .map_err(|source| ClientError::Network {
            server,
            transport,
            source,
        })?;
    let malformed = |reason: String| ClientError::Malformed { server, reason };
    let reply = Message::from_vec(&received).map_err(|error| malformed(error.to_string()))?;
    if !belongs(&reply, &question) {
        return Err(malformed("its id or its question is not the one asked".to_owned()));
    }
    read(server, &reply)
}

fn message(query: &Query) -> Result<Message, hickory_proto::ProtoError> {
    // The id is random.
    let mut message = Message::query();
    message.metadata.recursion_desired = query.recursion;
    let name = wire::to_wire(&query.name)?;
    message.add_query(hickory_proto::op::Query::query(
        name,
        wire::type_to_wire(query.record_type),
    ));
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP_PAYLOAD);
    if let Some(subnet) = query.subnet {
        // Bits beyond the prefix are nobody's business, and RFC 7871 forbids them.
        edns.options_mut()
            .insert(EdnsOption::Subnet(ClientSubnet::from(subnet.trunc())));
    }
    message.set_edns(edns);
    Ok(message)
}

fn belongs(reply: &Message, question: &Message) -> bool {
    let meta = &reply.metadata;
    // A server that could not read the question does not repeat it.
    let unread = reply.queries.is_empty() && meta.response_code == ResponseCode::FormErr;
    meta.message_type == MessageType::Response
        && meta.id == question.metadata.id
        && (unread || reply.queries == question.queries)
}

async fn over_udp(server: SocketAddr, packet: &[u8], question: &Message) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // A connected socket hears of a closed port, and from nobody else.
    socket.connect(server).await?;
    socket.send(packet).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let received = &buffer[..length];
        // Forged replies guess ids. The right one may still come.
        if Message::from_vec(received).is_ok_and(|reply| belongs(&reply, question)) {
            return Ok(received.to_vec());
        }
    }
}

async fn over_tcp(server: SocketAddr, packet: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // One write, one segment (RFC 7766 section 8).
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let mut reply = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

fn read(server: SocketAddr, reply: &Message) -> Result<Reply, ClientError> {
    let code = reply.metadata.response_code;
    let outcome = match code {
        ResponseCode::NoError => Outcome::NoError,
        ResponseCode::NXDomain => Outcome::NxDomain,
        ResponseCode::YXDomain => Outcome::YxDomain,
        ResponseCode::ServFail => Outcome::ServFail,
        ResponseCode::Refused => Outcome::Refused,
        // 16 has two meanings; the other one is for signed messages, which are never sent here.
        ResponseCode::BADSIG => {
            return Err(ClientError::Code {
                server,
                code: 16,
                meaning: "Bad OPT version",
            });
        }
        other => {
            return Err(ClientError::Code {
                server,
                code: other.into(),
                meaning: other.to_str(),
            });
        }
    };
    let section = |records: &[_]| {
        wire::record_sets(records).map_err(|error| ClientError::Malformed {
            server,
            reason: error.to_string(),
        })
    };
    let option = reply.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet));
    let scope = match option {
        Some(EdnsOption::Subnet(subnet)) => Some(subnet.scope_prefix()),
        _ => None,
    };
    Ok(Reply {
        outcome,
        authoritative: reply.metadata.authoritative,
        truncated: reply.metadata.truncation,
        answers: section(&reply.answers)?,
        authorities: section(&reply.authorities)?,
        additionals: section(&reply.additionals)?,
        scope,
    })
}
