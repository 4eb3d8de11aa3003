//! DNS messages written by hand, so that they can be wrong in any way, and bare exchanges of octets.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Long enough for a busy machine, short enough for a test that fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// A packet written by hand, so that it can be wrong in any way.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) flags: u16,
    /// Name as spelled, type, class.
    pub(crate) questions: Vec<(&'static str, u16, u16)>,
    /// EDNS version, payload size, options.
    pub(crate) opt: Option<(u8, u16, Vec<u8>)>,
    /// The flags of the OPT record: 0x8000 is DO, 0x4000 CO.
    pub(crate) edns_flags: u16,
}

impl Packet {
    /// A query for the A records of a name, with an OPT record.
    pub(crate) fn ask(name: &'static str) -> Self {
        Self {
            flags: 0x0100,
            questions: vec![(name, 1, 1)],
            opt: Some((0, 1232, Vec::new())),
            edns_flags: 0,
        }
    }

    /// A query for signed records of a type.
    pub(crate) fn ask_signed(name: &'static str, record_type: u16) -> Self {
        Self {
            questions: vec![(name, record_type, 1)],
            edns_flags: 0x8000,
            ..Self::ask(name)
        }
    }

    pub(crate) fn bytes(&self, id: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let questions = u16::try_from(self.questions.len()).expect("few questions");
        for number in [id, self.flags, questions, 0, 0, u16::from(self.opt.is_some())] {
            bytes.extend(number.to_be_bytes());
        }
        for (name, record_type, class) in &self.questions {
            for label in name.split('.').filter(|label| !label.is_empty()) {
                bytes.push(u8::try_from(label.len()).expect("a short label"));
                bytes.extend(label.bytes());
            }
            bytes.push(0);
            bytes.extend(record_type.to_be_bytes());
            bytes.extend(class.to_be_bytes());
        }
        if let Some((version, size, options)) = &self.opt {
            bytes.extend([0, 0, 41]);
            bytes.extend(size.to_be_bytes());
            bytes.extend([0, *version]);
            bytes.extend(self.edns_flags.to_be_bytes());
            bytes.extend(u16::try_from(options.len()).expect("short options").to_be_bytes());
            bytes.extend(options);
        }
        bytes
    }

    /// Sends the packet over UDP and returns the reply as received and as read.
    pub(crate) async fn over_udp(&self, server: SocketAddr) -> (Vec<u8>, Message) {
        let id = 0x4d45;
        let reply = exchange_udp(server, &self.bytes(id)).await.expect("a reply");
        let message = Message::from_vec(&reply).expect("a well-formed reply");
        assert_eq!(message.metadata.id, id);
        assert_eq!(reply[2] & 0x80, 0x80, "QR");
        assert_eq!(reply[3] & 0x80, 0, "RA");
        (reply, message)
    }
}

/// Sends octets over UDP; `None` if nothing comes back.
pub(crate) async fn exchange_udp(server: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("a route");
    socket.send(bytes).await.expect("sent");
    let mut buffer = vec![0; 65_535];
    let length = tokio::time::timeout(LIMIT, socket.recv(&mut buffer)).await.ok()?.ok()?;
    buffer.truncate(length);
    Some(buffer)
}

/// Writes several messages at once over one TCP connection and reads as many replies.
pub(crate) async fn exchange_tcp(server: SocketAddr, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.expect("a connection");
    let mut all = Vec::new();
    for message in messages {
        all.extend(u16::try_from(message.len()).expect("a short message").to_be_bytes());
        all.extend(message);
    }
    stream.write_all(&all).await.expect("written");
    let mut replies = Vec::new();
    for _ in messages {
        let read = async {
            let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
            stream.read_exact(&mut reply).await.expect("a message");
            reply
        };
        replies.push(tokio::time::timeout(LIMIT, read).await.expect("a reply in time"));
    }
    replies
}

/// A message with its length before it, as in a stream.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("short");
    [&length.to_be_bytes(), message].concat()
}

/// The next message of a stream.
pub(crate) async fn read<S: AsyncReadExt + Unpin>(stream: &mut S) -> Vec<u8> {
    let read = async {
        let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut reply).await.expect("a message");
        reply
    };
    tokio::time::timeout(LIMIT, read).await.expect("a reply in time")
}
