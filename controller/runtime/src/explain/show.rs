//! An explanation as text and as JSON. It decides nothing: steps say themselves what they mean.

use std::fmt::Write as _;

use meridian_dns_core::{Answer, Client, Explanation, Outcome, Question, RecordSet, SiteName, Step};
use serde_json::{Value, json};

use super::collect::Found;

/// What is shown.
pub(super) struct Shown<'a> {
    pub(super) question: &'a Question,
    pub(super) client: Client<'a>,
    pub(super) explanation: &'a Explanation,
    pub(super) found: &'a Found,
}

impl Shown<'_> {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let answer = &self.explanation.answer;
        for warning in &self.found.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        let _ = writeln!(
            out,
            "{} {} for {}",
            self.question.name,
            self.question.record_type,
            self.asker()
        );
        for step in &self.explanation.steps {
            let _ = writeln!(out, "  {step}");
            for cause in passed_over(step).into_iter().flat_map(|site| self.causes(site)) {
                let _ = writeln!(out, "      {cause}");
            }
        }
        let _ = writeln!(out, "Answer: {}, scope /{}", outcome(answer), answer.scope);
        for (section, sets) in sections(answer) {
            for line in sets.iter().flat_map(lines) {
                let mark = if section == "answers" { "" } else { section };
                let blank = if mark.is_empty() { "" } else { ": " };
                let _ = writeln!(out, "  {mark}{blank}{line}");
            }
        }
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let answer = &self.explanation.answer;
        let mut value = json!({
            "name": self.question.name.to_string(),
            "type": self.question.record_type.to_string(),
            "client": {
                "source": self.client.source.to_string(),
                "subnet": self.client.subnet.map(|subnet| subnet.network.to_string()),
                "listener": self.client.site.map(SiteName::as_str),
            },
            "steps": self.explanation.steps.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "candidates": self.candidates(),
            "outcome": outcome(answer),
            "ttl": answer.answers.iter().map(|set| set.ttl).min(),
            "scope": answer.scope,
            "warnings": self.found.warnings,
        });
        for (section, sets) in sections(answer) {
            value[section] = sets.iter().flat_map(lines).collect();
        }
        value
    }

    fn asker(&self) -> String {
        let mut text = format!("a query from {}", self.client.source);
        if let Some(subnet) = self.client.subnet {
            let _ = write!(text, " that tells of {}", subnet.network);
        }
        if let Some(site) = self.client.site {
            let _ = write!(text, " at the listener of {site}");
        }
        text
    }

    /// The sites of each routed name of the chain, in the order that this client has them.
    fn candidates(&self) -> Vec<Value> {
        let mut of = String::new();
        let mut all = Vec::new();
        for step in &self.explanation.steps {
            let (site, distance_km, state, why) = match step {
                Step::Zone { name, .. } => {
                    of = name.to_string();
                    continue;
                }
                Step::PassedOver { site, distance_km, why } => (site, distance_km, "passedOver", Some(why)),
                Step::Chosen { site, distance_km, .. } => (site, distance_km, "chosen", None),
                Step::InReserve { site, distance_km, why } => (site, distance_km, "inReserve", why.as_ref()),
                _ => continue,
            };
            all.push(json!({
                "name": of, "site": site.as_str(), "distanceKm": distance_km, "state": state,
                "reason": why.map(ToString::to_string), "causes": self.causes(site).collect::<Vec<_>>(),
            }));
        }
        all
    }

    fn causes(&self, site: &SiteName) -> impl Iterator<Item = &String> {
        self.found.causes.get(site).into_iter().flatten()
    }
}

fn passed_over(step: &Step) -> Option<&SiteName> {
    match step {
        Step::PassedOver { site, .. } | Step::InReserve { site, why: Some(_), .. } => Some(site),
        _ => None,
    }
}

fn outcome(answer: &Answer) -> &'static str {
    match answer.outcome {
        Outcome::NoError => "NOERROR",
        Outcome::NxDomain => "NXDOMAIN",
        Outcome::YxDomain => "YXDOMAIN",
        Outcome::ServFail => "SERVFAIL",
        Outcome::Refused => "REFUSED",
    }
}

fn sections(answer: &Answer) -> [(&'static str, &Vec<RecordSet>); 3] {
    [
        ("answers", &answer.answers),
        ("authorities", &answer.authorities),
        ("additionals", &answer.additionals),
    ]
}

/// Zone file lines, one per record.
fn lines(set: &RecordSet) -> Vec<String> {
    set.to_string().lines().map(str::to_owned).collect()
}
