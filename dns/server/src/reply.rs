//! From an answer to the parts of a reply.
//!
//! What must stay true:
//! - an OPT record is returned if and only if the client sent one (RFC 6891 section 7), even in a
//!   reply that is cut short, since the wire library drops an OPT that finds no room;
//! - TC says that *needed* records are missing: answers or authorities. Additional records that do
//!   not fit are left out in silence (RFC 2181 section 9);
//! - RA and AD are never set; RD and CD are copied; AA is what `dns-core` says.
//!
//! Refused: an empty reply whenever something does not fit. Some clients use what is there.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Metadata, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::opt::{ClientSubnet as SubnetOption, EdnsOption};
use hickory_proto::serialize::binary::{BinDecoder, BinEncoder};
use hickory_server::net::xfer::Protocol;
use hickory_server::server::Request;
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder, Queries};
use meridian_dns_core::{Answer, Client, ClientSubnet, Outcome, Snapshot, answer};

use crate::request::{self, Asked};
use crate::{MAX_UDP_PAYLOAD, wire};

/// The parts of a reply, owned; see [`Reply::message`].
pub(crate) struct Reply {
    pub metadata: Metadata,
    edns: Option<Edns>,
    /// `None`: the request's own.
    queries: Option<Queries>,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Reply {
    /// The reply to a request, from this snapshot.
    pub(crate) fn to(request: &Request, snapshot: &Snapshot) -> Self {
        let asked = match request::read(request) {
            Ok(asked) => asked,
            Err(code) => return Self::error(request, code),
        };
        if request::is_transfer(asked.question.record_type) {
            // RFC 5936 section 2.2.1: not our zone, or ours but not given away.
            let ours = snapshot.zone(&asked.question.name).is_some();
            return Self::error(
                request,
                if ours {
                    ResponseCode::Refused
                } else {
                    ResponseCode::NotAuth
                },
            );
        }
        // Trusted resolvers are not configured yet, so nobody's option opens a view.
        let client = Client {
            source: request.src().ip(),
            subnet: asked.subnet.map(|network| ClientSubnet {
                network,
                trusted: false,
            }),
        };
        let answer = answer(snapshot, &asked.question, client);
        Self::answered(request, &asked, &answer).unwrap_or_else(|error| {
            tracing::error!(%error, name = %asked.question.name, "an answer has no wire form");
            Self::error(request, ResponseCode::ServFail)
        })
    }

    fn error(request: &Request, code: ResponseCode) -> Self {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = code;
        // Several questions are not repeated: they could be longer than the reply may be.
        let queries = (request.queries.len() != 1).then(no_queries).flatten();
        let edns = request.edns.as_ref().map(own_edns);
        Self {
            metadata,
            edns,
            queries,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }

    fn answered(request: &Request, asked: &Asked<'_>, answer: &Answer) -> Result<Self, ProtoError> {
        let mut reply = Self::error(request, code(answer.outcome));
        reply.metadata.authoritative = answer.authoritative;
        if let (Some(edns), Some(network)) = (&mut reply.edns, asked.subnet) {
            let option = SubnetOption::new(network.addr(), network.prefix_len(), answer.scope);
            edns.options_mut().insert(EdnsOption::Subnet(option));
        }
        let spelled = asked.query.original().name();
        let section = |sets: &[_]| wire::records(sets, &asked.question.name, spelled);
        reply.answers = section(&answer.answers)?;
        reply.authorities = section(&answer.authorities)?;
        reply.additionals = section(&answer.additionals)?;
        if request.protocol() == Protocol::Udp {
            let sections = [&answer.answers, &answer.authorities, &answer.additionals];
            let bound = sections.map(|sets| wire::size_bound(sets)).iter().sum::<usize>();
            reply.fit(request, bound)?;
        }
        Ok(reply)
    }

    /// Cuts the sections to what a datagram may hold. `bound` is not below their size in octets.
    fn fit(&mut self, request: &Request, bound: usize) -> Result<(), ProtoError> {
        let limit = usize::from(self.edns.as_ref().map_or(512, Edns::max_payload));
        let room = limit.saturating_sub(self.edns.as_ref().map_or(0, edns_size));
        if 12 + request.queries.as_bytes().len() + bound <= room {
            return Ok(());
        }
        // Write once without the OPT record, to see how many records there is room for beside it.
        let mut scratch = Vec::with_capacity(room);
        let mut encoder = BinEncoder::new(&mut scratch);
        encoder.set_max_size(u16::try_from(room).unwrap_or(MAX_UDP_PAYLOAD));
        let counts = self.message(request, None).destructive_emit(&mut encoder)?.counts();
        let (answers, authorities) = (usize::from(counts.answers), usize::from(counts.authorities));
        self.metadata.truncation = answers < self.answers.len() || authorities < self.authorities.len();
        self.answers.truncate(answers);
        self.authorities.truncate(authorities);
        self.additionals.truncate(usize::from(counts.additionals));
        Ok(())
    }

    /// The reply as the wire library sends it.
    pub(crate) fn send_form<'a>(&'a self, request: &'a Request) -> WireReply<'a> {
        self.message(request, self.edns.as_ref())
    }

    fn message<'a>(&'a self, request: &'a Request, edns: Option<&'a Edns>) -> WireReply<'a> {
        let queries = self.queries.as_ref().unwrap_or(&request.queries);
        MessageResponseBuilder::new(queries, edns).build(
            self.metadata,
            &self.answers,
            &self.authorities,
            &[],
            &self.additionals,
        )
    }
}

type Records<'a> = std::slice::Iter<'a, Record>;
/// A reply that borrows its parts.
pub(crate) type WireReply<'a> = MessageResponse<'a, 'a, Records<'a>, Records<'a>, Records<'a>, Records<'a>>;

fn no_queries() -> Option<Queries> {
    Queries::read(&mut BinDecoder::new(&[]), 0).ok()
}

/// Our OPT record for the client's. Its payload size is also the limit of the reply.
fn own_edns(theirs: &Edns) -> Edns {
    let mut ours = Edns::new();
    ours.set_max_payload(theirs.max_payload().min(MAX_UDP_PAYLOAD));
    // RFC 3225 section 3: copied, whether or not there are signatures.
    ours.set_dnssec_ok(theirs.flags().dnssec_ok);
    ours
}

/// Octets of an OPT record: 11, and 4 more than the data for each option.
fn edns_size(edns: &Edns) -> usize {
    11 + edns
        .options()
        .as_ref()
        .iter()
        .map(|(_, option)| 4 + usize::from(option.len()))
        .sum::<usize>()
}

fn code(outcome: Outcome) -> ResponseCode {
    match outcome {
        Outcome::NoError => ResponseCode::NoError,
        Outcome::NxDomain => ResponseCode::NXDomain,
        Outcome::YxDomain => ResponseCode::YXDomain,
        Outcome::ServFail => ResponseCode::ServFail,
        Outcome::Refused => ResponseCode::Refused,
    }
}
