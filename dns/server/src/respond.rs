//! The one function that every transport, test and fuzz target shares: octets in, octets out.
//!
//! What must stay true:
//! - no clock, no I/O and no waiting: time is in the [`Arrival`]; the only state that changes is that of
//!   the rate limiter and of the signer, which may be left out;
//! - the order of the checks is that of [`crate::request`], then: the signature of the query, the cookie (RFC 7873 section 5.2),
//!   the limit per client, the class, the type, the zones. Signatures come last, when it is known that
//!   there will be a reply;
//! - DNSSEC records are sent to those who ask for them, by the DO flag or by their type, and to nobody
//!   else (RFC 4035 section 3.1);
//! - a client that has shown a good cookie, or comes over anything but UDP, has an address that is not
//!   forged, and the rate limit does not concern it;
//! - what concerns the transport alone (padding, keepalive) depends on the transport alone, never on
//!   the answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use ipnet::IpNet;
use meridian_dns_core::{
    Answer, Client, DnsName, Outcome, RecordData, RecordSet, RecordType, SiteName, Snapshot, answer,
};

use crate::cookie::{Checked, CookiePolicy};
use crate::edns::{OwnEdns, code};
use crate::extended_error::ExtendedError;
use crate::options::subnet_reply;
use crate::rate::{Decision, RateLimiter, Subject};
use crate::reply::{Body, Reply};
use crate::request::{Asked, Fault, Request, read};
use crate::signed::{self, Signatures, Wanted};
use crate::transfer::{Transfer, Transfers};
use crate::tsig::{Failure, Signing, Verified};
use crate::{Settings, Signer, Transport, chaos, tsig};

/// Without an OPT record a datagram holds no more (RFC 1035 section 4.2.1), and with one no less (RFC
/// 6891 section 6.2.3).
const LEAST_UDP_PAYLOAD: u16 = 512;

/// The circumstances of a message.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Who sent it: the address of the packet, or what a trusted PROXY header says.
    pub client: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// The site that the listener is bound to: all its clients are that site's.
    pub site: Option<&'a SiteName>,
    /// When it came.
    pub now: Now,
    /// How long the connection may be idle, for TCP and TLS.
    pub idle: Option<Duration>,
}

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Seconds since 1970, modulo 2^32.
    pub unix: u32,
    /// Time since some start, never going back.
    pub monotonic: Duration,
}

/// What the reply is made from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Zones, sites and classes.
    pub snapshot: &'a Snapshot,
    /// The settings of this moment.
    pub settings: &'a Settings,
    /// The state of the rate limit; without it there is none.
    pub limiter: Option<&'a RateLimiter>,
    /// Whose queries may be signed, and who may transfer what; without it nobody.
    pub transfers: Option<&'a Transfers>,
    /// Signs the answers of signed zones; without it they are SERVFAIL to those who ask for signatures.
    pub signer: Option<&'a Signer>,
}

/// What kind of reply it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// There are records.
    Positive,
    /// The name or the type is not there.
    Negative,
    /// Anything else.
    Error,
}

/// What is known of a reply besides its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The response code by its number (IANA), with the high bits of the OPT record.
    pub code: u16,
    /// What kind of reply it is.
    pub kind: ReplyKind,
    /// The TC bit.
    pub truncated: bool,
    /// How long the answer may be kept, in seconds; `None` for an error.
    pub lifetime: Option<u32>,
    /// Whether another client may be told something else.
    pub personal: bool,
}

/// Makes the reply to a message. `None` is silence: the message is a reply itself, or has no header,
/// or its sender has had enough. Otherwise `out` holds the reply; what was in it is gone.
pub fn respond(packet: &[u8], arrival: &Arrival<'_>, context: &Context<'_>, out: &mut Vec<u8>) -> Option<Summary> {
    make(packet, arrival, context, false, out).map(|(summary, _)| summary)
}

/// The same for a stream, over which a reply may have many messages: then nothing is in `out`, and the
/// messages come from the [`Transfer`].
pub fn respond_in_stream(
    packet: &[u8],
    arrival: &Arrival<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Option<(Summary, Option<Transfer>)> {
    make(packet, arrival, context, true, out)
}

fn make(
    packet: &[u8],
    arrival: &Arrival<'_>,
    context: &Context<'_>,
    in_stream: bool,
    out: &mut Vec<u8>,
) -> Option<(Summary, Option<Transfer>)> {
    let mut request = read(packet)?;
    let mut signature = check_signature(packet, &mut request, arrival, context);
    let made = Making {
        request: &request,
        arrival,
        context,
        cookie: check_cookie(&request, arrival, context.settings),
        signing: signature.as_ref().and_then(Signature::good),
        in_stream,
    };
    let mut reply = made.decide()?;
    let unix = arrival.now.unix;
    if matches!(reply.content, Content::Transfer(_))
        && let Content::Transfer(transfer) = std::mem::replace(&mut reply.content, Content::Nothing)
    {
        let mut opt = Vec::new();
        if let Some(edns) = made.own_edns(&reply) {
            edns.write(reply.code, &mut opt);
        }
        let mut transfer = transfer.with_opt(Some(opt).filter(|opt| !opt.is_empty()));
        let summary = Summary {
            code: u16::from(reply.code),
            kind: ReplyKind::Positive,
            truncated: false,
            lifetime: Some(0),
            personal: true,
        };
        if in_stream {
            return Some((summary, Some(transfer)));
        }
        // Over UDP a transfer is one SOA.
        return transfer
            .next(unix, out)
            .is_ok_and(|made| made)
            .then_some((summary, None));
    }
    let reserved = signature.as_ref().map_or(0, Signature::size);
    let limit = made.size_limit().saturating_sub(u16::try_from(reserved).unwrap_or(0));
    let kind = reply.kind();
    let (lifetime, personal) = match (&reply.content, kind) {
        (_, ReplyKind::Error) => (None, false),
        // The scope says how the answer depends on the subnet; it may depend on the packet's source besides.
        (Content::Answer(answer, _), _) => {
            let personal = answer.scope > 0 || reply.subnet.is_some() || arrival.site.is_some();
            (lifetime(answer), personal)
        }
        (Content::Text(_) | Content::Nothing | Content::ComeOverTcp | Content::Transfer(_), _) => (Some(0), false),
    };
    let code = reply.code;
    let written = made.draft(&reply).write(limit, out);
    let truncated = match written {
        Ok(truncated) => truncated,
        Err(error) => {
            tracing::error!(%error, question = ?request.asked.as_ref().map(|asked| &asked.question), "no wire form");
            let failed = Decided::fault(Fault::because(ResponseCode::ServFail, ExtendedError::OTHER));
            made.draft(&failed).write(limit, out).ok()?
        }
    };
    if let Some(signature) = &mut signature {
        signature.append(unix, out);
    }
    let summary = Summary {
        code: u16::from(code),
        kind,
        truncated,
        lifetime,
        personal,
    };
    Some((summary, None))
}

/// What becomes of the signature of a query.
enum Signature<'a> {
    Good(Signing),
    Bad(Failure<'a>),
}

impl Signature<'_> {
    fn good(&self) -> Option<&Signing> {
        match self {
            Self::Good(signing) => Some(signing),
            Self::Bad(_) => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Good(signing) => signing.size(),
            Self::Bad(failure) => failure.size(),
        }
    }

    fn append(&mut self, unix: u32, out: &mut Vec<u8>) {
        match self {
            Self::Good(signing) => signing.sign(u64::from(unix), out),
            Self::Bad(failure) => failure.append(u64::from(unix), out),
        }
    }
}

/// Checks the signature, if there is one; what is wrong with it is the request's fault (RFC 8945 section
/// 5.2). The clock has 32 bits, which are enough until 2106.
fn check_signature<'a>(
    packet: &[u8],
    request: &mut Request<'a>,
    arrival: &Arrival<'_>,
    context: &Context<'_>,
) -> Option<Signature<'a>> {
    let record = request.tsig.as_ref()?;
    let none = BTreeMap::new();
    let keys = context.transfers.map_or(&none, |transfers| &transfers.keys);
    match tsig::verify(packet, record, keys, u64::from(arrival.now.unix)) {
        Verified::Good(signing) => Some(Signature::Good(signing)),
        Verified::Bad(failure) => {
            request.fault = Some(Fault::new(ResponseCode::NotAuth));
            Some(Signature::Bad(failure))
        }
        Verified::Malformed => {
            request.fault = Some(Fault::new(ResponseCode::FormErr));
            None
        }
    }
}

/// What to reply, before it has octets.
struct Decided<'a> {
    code: ResponseCode,
    why: Option<ExtendedError>,
    content: Content<'a>,
    /// The network of the query and the scope of the answer (RFC 7871).
    subnet: Option<(IpNet, u8)>,
}

enum Content<'a> {
    Nothing,
    ComeOverTcp,
    Text(&'a [u8]),
    Answer(Answer, Signatures),
    Transfer(Box<Transfer>),
}

impl Decided<'_> {
    fn fault(fault: Fault) -> Self {
        Self {
            code: fault.code,
            why: fault.why,
            content: Content::Nothing,
            subnet: None,
        }
    }

    fn kind(&self) -> ReplyKind {
        match (&self.content, self.code) {
            (Content::Answer(answer, _), ResponseCode::NoError | ResponseCode::NXDomain) => {
                if answer.answers.is_empty() {
                    ReplyKind::Negative
                } else {
                    ReplyKind::Positive
                }
            }
            (Content::Text(_) | Content::Transfer(_), _) => ReplyKind::Positive,
            _ => ReplyKind::Error,
        }
    }
}

/// A request, and what is needed to reply to it.
struct Making<'a> {
    request: &'a Request<'a>,
    arrival: &'a Arrival<'a>,
    context: &'a Context<'a>,
    cookie: Option<Checked>,
    /// The key of a good signature, and what replies are signed with.
    signing: Option<&'a Signing>,
    /// The reply may have many messages.
    in_stream: bool,
}

impl<'a> Making<'a> {
    fn decide(&self) -> Option<Decided<'a>> {
        let limited = self.arrival.transport == Transport::Udp && !self.cookie.is_some_and(|cookie| cookie.valid);
        let limiter = self.context.limiter.filter(|_| limited);
        let rate = |subject: Subject<'_>| match (limiter, &self.context.settings.rate) {
            (Some(limiter), Some(limits)) => {
                limiter.decide(limits, self.arrival.client, subject, self.arrival.now.monotonic)
            }
            _ => Decision::Send,
        };
        // Before any work is done.
        match rate(Subject::Client) {
            Decision::Send => {}
            Decision::Slip => return Some(self.come_over_tcp()),
            Decision::Drop => return None,
        }
        let decided = self.content();
        let decision = rate(match (&decided.content, &self.request.asked) {
            (Content::Answer(answer, _), _) => Subject::of(answer),
            (Content::Text(_), Some(asked)) => Subject::Name(&asked.question.name),
            _ => Subject::Errors,
        });
        match decision {
            Decision::Send => Some(self.secured(decided)),
            Decision::Slip => Some(self.come_over_tcp()),
            Decision::Drop => None,
        }
    }

    fn come_over_tcp(&self) -> Decided<'a> {
        Decided {
            code: ResponseCode::NoError,
            why: None,
            content: Content::ComeOverTcp,
            subnet: None,
        }
    }

    fn content(&self) -> Decided<'a> {
        if let Some(fault) = self.request.fault {
            return Decided::fault(fault);
        }
        if self.cookie.is_some_and(|cookie| !cookie.valid) && self.cookies_required() {
            return Decided::fault(Fault::new(ResponseCode::BADCOOKIE));
        }
        let Some(asked) = &self.request.asked else {
            // A query for a cookie alone (RFC 7873 section 5.4).
            return Decided::fault(Fault::new(ResponseCode::NoError));
        };
        match asked.class {
            1 => self.answer(asked),
            chaos::CLASS => {
                let question = &asked.question;
                let identity = &self.context.settings.identity;
                chaos::text(&question.name, question.record_type, identity).map_or_else(
                    || Decided::fault(Fault::because(ResponseCode::Refused, ExtendedError::PROHIBITED)),
                    |text| Decided {
                        code: ResponseCode::NoError,
                        why: None,
                        content: Content::Text(text),
                        subnet: None,
                    },
                )
            }
            _ => Decided::fault(Fault::because(ResponseCode::Refused, ExtendedError::NOT_SUPPORTED)),
        }
    }

    fn cookies_required(&self) -> bool {
        let cookies = self.context.settings.cookies.as_ref();
        self.arrival.transport == Transport::Udp
            && cookies.is_some_and(|cookies| cookies.policy == CookiePolicy::Require)
    }

    fn answer(&self, asked: &Asked<'_>) -> Decided<'a> {
        let snapshot = self.context.snapshot;
        let source = self.arrival.client;
        let name = &asked.question.name;
        let transfers = self.context.transfers;
        // IXFR and AXFR.
        if matches!(asked.question.record_type.number(), 251 | 252) {
            let from = (source, self.arrival.transport, self.in_stream);
            let known = snapshot.zone(name).is_some();
            return Transfer::decide(self.request, asked, transfers, (from, self.signing), known).map_or_else(
                Decided::fault,
                |transfer| Decided {
                    code: ResponseCode::NoError,
                    why: None,
                    content: Content::Transfer(Box::new(transfer)),
                    subnet: None,
                },
            );
        }
        if let Some(fault) = meta_type(asked) {
            return Decided::fault(fault);
        }
        let key = self.signing.map(Signing::key);
        let hidden = |zone: &DnsName| transfers.is_some_and(|transfers| !transfers.shows(zone, source, key));
        if snapshot.zone_of(name).is_some_and(|zone| hidden(zone.apex())) {
            return Decided::fault(Fault::because(ResponseCode::Refused, ExtendedError::PROHIBITED));
        }
        let subnets = &self.context.settings.subnets;
        let subnet = self.request.options.subnet;
        let subnet = subnet.and_then(|network| subnets.heed(source, network));
        let client = Client {
            source,
            subnet,
            site: self.arrival.site,
            rotation: self.rotation(),
        };
        let answer = answer(snapshot, &asked.question, client);
        let why = match answer.outcome {
            Outcome::NoError | Outcome::NxDomain | Outcome::YxDomain => None,
            Outcome::Refused => Some(ExtendedError::NOT_AUTHORITATIVE),
            Outcome::ServFail => {
                let complete = snapshot
                    .zone_of(&asked.question.name)
                    .is_some_and(|zone| zone.complete());
                Some(if complete {
                    ExtendedError::OTHER
                } else {
                    ExtendedError::NOT_READY
                })
            }
        };
        Decided {
            code: code_of(answer.outcome),
            why,
            subnet: subnet.map(|subnet| (subnet.network, answer.scope)),
            content: Content::Answer(answer, Signatures::default()),
        }
    }

    /// With denials and signatures, if they are asked for.
    fn secured(&self, mut decided: Decided<'a>) -> Decided<'a> {
        let Some(asked) = &self.request.asked else {
            return decided;
        };
        let content = std::mem::replace(&mut decided.content, Content::Nothing);
        let Content::Answer(answer, _) = content else {
            return Decided { content, ..decided };
        };
        let wanted = Wanted::by(self.request.edns.as_ref(), asked.question.record_type);
        match signed::secure(
            (self.request.id, &asked.question),
            answer,
            wanted,
            self.arrival,
            self.context,
        ) {
            Ok((answer, signatures)) => Decided {
                code: code_of(answer.outcome),
                content: Content::Answer(answer, signatures),
                ..decided
            },
            Err(why) => Decided::fault(Fault::because(ResponseCode::ServFail, why)),
        }
    }

    /// Another number for each query. The id is as good as chance over UDP (RFC 5452 section 4.3) and 0 over
    /// HTTPS and QUIC, where the moment of arrival is what is left.
    fn rotation(&self) -> u32 {
        u32::from(self.request.id).wrapping_add(self.arrival.now.monotonic.subsec_micros())
    }

    /// Octets that the reply may have.
    fn size_limit(&self) -> u16 {
        if self.arrival.transport != Transport::Udp {
            return u16::MAX;
        }
        let theirs = self.request.edns.map_or(0, |edns| edns.payload);
        theirs.min(self.udp_payload()).max(LEAST_UDP_PAYLOAD)
    }

    fn udp_payload(&self) -> u16 {
        self.context.settings.udp_payload.max(LEAST_UDP_PAYLOAD)
    }

    fn draft<'r>(&'r self, decided: &'r Decided<'_>) -> Reply<'r> {
        let (body, authoritative) = match &decided.content {
            Content::Nothing | Content::Transfer(_) => (Body::Empty, false),
            Content::ComeOverTcp => (Body::ComeOverTcp, false),
            Content::Text(text) => (Body::Text(text), true),
            Content::Answer(answer, signatures) => (Body::Answer(answer, signatures), answer.authoritative),
        };
        let padded = self.request.options.padding && self.arrival.transport.is_encrypted();
        Reply {
            request: self.request,
            code: decided.code,
            authoritative,
            edns: self.own_edns(decided),
            body,
            padded,
        }
    }

    fn own_edns(&self, decided: &Decided<'_>) -> Option<OwnEdns> {
        let theirs = self.request.edns?;
        let options = &self.request.options;
        let mut ours = OwnEdns::new(self.udp_payload(), theirs.flags);
        if let (Some(cookie), Some(asked)) = (self.cookie, options.cookie) {
            ours.option(code::COOKIE, &[&asked.client, &cookie.server]);
        }
        if let Some((network, scope)) = decided.subnet {
            ours.option(code::CLIENT_SUBNET, &[&subnet_reply(network, scope)]);
        }
        if let (true, Some(identifier)) = (options.nsid, &self.context.settings.identity.server) {
            // A cut identifier is better than no room for the answer.
            ours.option(code::NSID, &[&identifier[..identifier.len().min(128)]]);
        }
        if let (true, Some(idle)) = (options.keepalive, self.arrival.idle) {
            // RFC 7828 section 3.1: tenths of a second.
            let tenths = u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX);
            ours.option(code::KEEPALIVE, &[&tenths.to_be_bytes()]);
        }
        if let Some(ExtendedError(why)) = decided.why {
            ours.option(code::EXTENDED_ERROR, &[&why.to_be_bytes()]);
        }
        Some(ours)
    }
}

fn check_cookie(request: &Request<'_>, arrival: &Arrival<'_>, settings: &Settings) -> Option<Checked> {
    let cookies = settings.cookies.as_ref()?;
    let cookie = request.options.cookie.as_ref()?;
    Some(cookies.check(cookie, arrival.client, arrival.now.unix))
}

fn code_of(outcome: Outcome) -> ResponseCode {
    match outcome {
        Outcome::NoError => ResponseCode::NoError,
        Outcome::NxDomain => ResponseCode::NXDomain,
        Outcome::YxDomain => ResponseCode::YXDomain,
        Outcome::Refused => ResponseCode::Refused,
        Outcome::ServFail => ResponseCode::ServFail,
    }
}

/// What becomes of types that are not data (RFC 6895 section 3.1); `None` for those that are, and for
/// ANY, which is answered.
fn meta_type(asked: &Asked<'_>) -> Option<Fault> {
    let record_type = asked.question.record_type;
    if record_type == RecordType::Any {
        return None;
    }
    match record_type.number() {
        // Nothing, OPT, NXNAME (RFC 9824 section 3.5), TKEY, TSIG: never asked for.
        0 | 41 | 128 | 249 | 250 => Some(Fault::because(ResponseCode::FormErr, ExtendedError::INVALID_QUERY_TYPE)),
        // MAILB and MAILA (obsolete), and what is not assigned yet.
        129..=255 => Some(Fault::because(ResponseCode::NotImp, ExtendedError::NOT_SUPPORTED)),
        _ => None,
    }
}

/// The smallest TTL of the answer (RFC 8484 section 5.1), or what its SOA says of a negative one (RFC
/// 2308 section 5).
fn lifetime(answer: &Answer) -> Option<u32> {
    let ttl = |set: &RecordSet| match set.data.first() {
        Some(RecordData::Soa(soa)) if answer.answers.is_empty() => set.ttl.min(soa.minimum),
        _ => set.ttl,
    };
    let sets = answer.answers.iter().chain(&answer.authorities);
    sets.map(ttl).min()
}
