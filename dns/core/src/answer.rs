//! The answer function: (snapshot, question, client) to an [`Answer`].
//!
//! What must stay true:
//! - a global name is never empty by accident: when no site serves, the zone's policy decides, and
//!   the default answers from the best that is left (active before drained);
//! - NXDOMAIN only for a name that is certainly not there: in a zone that is not complete the answer
//!   is SERVFAIL, which resolvers do not keep;
//! - negative answers carry the SOA (RFC 2308) and are the same for every client, as are the types
//!   said to be present at a name;
//! - the ECS scope (RFC 7871) does not depend on health, so that a resolver's cache does not split
//!   and join as sites come and go; it is 0 where the answer is the same for everybody;
//! - authority and additional sections never depend on the client, because caches do not tie them to
//!   a network (RFC 7871 section 7.3.1);
//! - whoever signs the answer needs no second look-up: [`Answer::findings`] says what was found.
//!
//! [`answer`], [`answer_with`] and [`explain`] are one function. The steps are told to a [`Trace`];
//! that of `answer` ignores them at no cost, because a step is only made for one that listens.

mod additional;
mod alternatives;
mod by_policy;
pub(crate) mod choose;
mod depends;
mod present;
mod trace;
mod walk;

pub(crate) use self::present::types_present;
pub use self::trace::{Explanation, PassedOver, Step, Trace};
use self::trace::{Recorder, Silent};
use self::walk::Walk;
use crate::{Client, DnsName, RecordSet, RecordType, Snapshot};

/// Aliases followed inside our zones before the rest is left to the resolver. The longest chain we
/// make is two: zone to region to global.
const MAX_ALIASES: usize = 8;

/// What is asked. The class is IN; the server refuses others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, folded to lower case.
    pub name: DnsName,
    /// The type. Transfers, OPT and the like are the server's and are answered as a type that no name
    /// has.
    pub record_type: RecordType,
}

/// How a question ended (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, perhaps with nothing (NODATA) or with a referral.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// A DNAME leads to a name that is too long (RFC 6672 section 2.2).
    YxDomain,
    /// We cannot know yet, or aliases lead in a circle.
    ServFail,
    /// Not our zone.
    Refused,
}

/// What one name of the chain turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// It has what was asked for.
    Data,
    /// It is an alias, of its own or by a wildcard.
    Alias,
    /// A DNAME above it made it an alias; the CNAME in the answer is not signed (RFC 6672 section 5.3.1).
    SubtreeAlias,
    /// It exists and has nothing of that type.
    NoData,
    /// It does not exist.
    NameError,
    /// It lies at or below a delegation.
    Referral,
}

/// What a signer has to know about one name of the chain, none of which depends on the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name that was looked up; of a referral, the delegation's.
    pub name: DnsName,
    /// The zone that it lies in.
    pub zone: DnsName,
    /// What it turned out to be.
    pub kind: FindingKind,
    /// Where the name does not exist itself: its closest encloser (RFC 4592 section 3.3.1), which
    /// does. The name one label longer is the "next closer" one of RFC 5155.
    pub closest_encloser: Option<DnsName>,
    /// The wildcard that stood in for the name.
    pub wildcard: Option<DnsName>,
    /// For [`FindingKind::NoData`] and [`FindingKind::Referral`], the types present at the name (or at
    /// the wildcard), sorted, without those that the signer adds; otherwise empty.
    pub types: Vec<RecordType>,
}

/// The sections of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub outcome: Outcome,
    /// The AA bit: that of the first name (RFC 1035 section 4.1.1).
    pub authoritative: bool,
    /// Answer section: aliases first, in the order they were followed.
    pub answers: Vec<RecordSet>,
    /// Authority section: the SOA of a negative answer, or the NS of a referral.
    pub authorities: Vec<RecordSet>,
    /// Additional section: addresses that the client would ask for next.
    pub additionals: Vec<RecordSet>,
    /// ECS scope prefix length in the family of the address that chose the answer.
    pub scope: u8,
    /// One for each name of the chain, in the order they were followed. Empty if the question was
    /// refused or could not be answered.
    pub findings: Vec<Finding>,
    /// Of a referral to a signed zone: its DS, which goes to the authority section when DNSSEC is asked
    /// for (RFC 4035 section 3.1.4).
    pub delegation_signer: Option<RecordSet>,
}

impl Answer {
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            authoritative: !matches!(outcome, Outcome::Refused | Outcome::ServFail),
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            scope: 0,
            findings: Vec::new(),
            delegation_signer: None,
        }
    }
}

/// Answers one question.
pub fn answer(snapshot: &Snapshot, question: &Question, client: Client<'_>) -> Answer {
    answer_with(snapshot, question, client, &mut Silent)
}

/// Answers one question, and tells each step as it is taken.
pub fn answer_with(snapshot: &Snapshot, question: &Question, client: Client<'_>, trace: &mut impl Trace) -> Answer {
    Walk::new(snapshot, question, client, trace).run()
}

/// Answers one question, with the steps that led to the answer.
pub fn explain(snapshot: &Snapshot, question: &Question, client: Client<'_>) -> Explanation {
    let mut recorder = Recorder::default();
    let answer = answer_with(snapshot, question, client, &mut recorder);
    Explanation {
        steps: recorder.steps,
        answer,
    }
}
