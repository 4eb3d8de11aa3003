//! Asks two servers the same questions and compares what they say.
//!
//! Compared are the code, the AA bit, the answers, the SOA of a negative answer and the delegation of a
//! referral with its glue. Not compared are additional records and what else stands in the authority section, which each
//! server chooses; nor denials, signatures and, where we deny compactly, the code of a denial (RFC 9824).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use tokio::net::UdpSocket;

/// A question: name, type, and whether DNSSEC records are asked for.
pub(super) type Asked = (String, u16, bool);

/// How many questions are under way.
const AT_ONCE: usize = 100;

fn wire(name: &str) -> Name {
    let labels = name.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes)).expect("a name")
}

fn message(id: u16, (name, record_type, dnssec): &Asked) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(wire(name), RecordType::from(*record_type)));
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(*dnssec);
    message.set_edns(edns);
    message.to_vec().expect("a short message")
}

/// Asks all; what is not answered is asked again, but not for ever.
pub(super) async fn ask(server: SocketAddr, questions: &[Asked]) -> Vec<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.connect(server).await.expect("a route");
    let mut replies: Vec<Option<Message>> = vec![None; questions.len()];
    let mut buffer = vec![0; 65_535];
    for (chunk, asked) in questions.chunks(AT_ONCE).enumerate() {
        let start = chunk * AT_ONCE;
        let mut missing: HashMap<u16, usize> = HashMap::new();
        for (place, question) in asked.iter().enumerate() {
            let id = u16::try_from(place).expect("few");
            missing.insert(id, start + place);
            socket.send(&message(id, question)).await.expect("sent");
        }
        let mut attempts = 0;
        while !missing.is_empty() {
            match tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut buffer)).await {
                Ok(received) => {
                    let length = received.expect("a socket that works");
                    let reply = Message::from_vec(&buffer[..length]).expect("a well-formed reply");
                    let belongs = |place: &usize| {
                        let (name, record_type, _) = &questions[*place];
                        let query = reply.queries.first();
                        query.is_some_and(|query| {
                            query.name() == &wire(name) && u16::from(query.query_type()) == *record_type
                        })
                    };
                    let id = reply.metadata.id;
                    if missing.get(&id).is_some_and(belongs) {
                        let place = missing.remove(&id).expect("it is there");
                        replies[place] = Some(reply);
                    }
                }
                Err(_) => {
                    attempts += 1;
                    assert!(attempts < 10, "{server} does not answer {:?}", missing.values().next());
                    for (id, place) in &missing {
                        socket.send(&message(*id, &questions[*place])).await.expect("sent");
                    }
                }
            }
        }
    }
    replies.into_iter().map(|reply| reply.expect("answered")).collect()
}

/// What is compared of a reply, as lines.
pub(super) fn essence(reply: &Message, compact: bool) -> BTreeMap<&'static str, BTreeSet<String>> {
    let meta = &reply.metadata;
    let line = |record: &Record| {
        format!(
            "{} {} {} {}",
            record.name,
            record.ttl,
            record.record_type(),
            record.data
        )
        .to_lowercase()
    };
    let proof = |record: &&Record| {
        let record_type = u16::from(record.record_type());
        ![46, 47, 50].contains(&record_type)
    };
    let answers: BTreeSet<_> = reply.answers.iter().filter(proof).map(line).collect();
    let negative = answers.is_empty();
    let of = |types: &'static [u16]| {
        let authorities = reply.authorities.iter().filter(proof);
        authorities.filter(move |record| types.contains(&u16::from(record.record_type())))
    };
    let mut code = meta.response_code;
    if compact && code == ResponseCode::NXDomain {
        code = ResponseCode::NoError;
    }
    let mut all = BTreeMap::from([
        (
            "head",
            BTreeSet::from([format!("{code} aa={} tc={}", meta.authoritative, meta.truncation)]),
        ),
        ("answers", answers),
    ]);
    if negative {
        all.insert("authorities", of(&[2, 6, 43]).map(line).collect());
        if !meta.authoritative {
            all.insert("glue", reply.additionals.iter().map(line).collect());
        }
    }
    all
}
