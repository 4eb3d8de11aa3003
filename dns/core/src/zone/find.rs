//! From a name to the place in a zone that answers for it (RFC 1034 section 4.3.2 step 3).
//!
//! The walk goes down from the apex, one map look-up for each label, and ends at the first delegation,
//! at the first DNAME, at the name, or where nothing is left: that place is the closest encloser (RFC
//! 4592 section 3.3.1), whose wildcard, if it exists, stands in. Its cost is the number of labels,
//! whatever the size of the zone; a zone without delegations and DNAMEs finds a name that exists in
//! one look-up.

use super::Zone;
use super::node::Node;
use crate::{DnsName, RecordType};

/// What a zone has for a name.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// The name itself, perhaps an empty non-terminal.
    Exact(&'a Node),
    /// No such name, but a wildcard at the closest encloser.
    Wildcard {
        source: DnsName,
        encloser: DnsName,
        node: &'a Node,
    },
    /// A delegation at or above the name.
    Cut { name: DnsName, node: &'a Node },
    /// A DNAME above the name.
    SubtreeAlias { owner: DnsName, node: &'a Node },
    /// No such name.
    Missing { encloser: DnsName },
}

impl Zone {
    /// Finds a name that is at or below the apex. At a delegation the type matters: DS belongs to this
    /// side of it (RFC 4035 section 3.1.4.1).
    pub(crate) fn find(&self, name: &DnsName, record_type: RecordType) -> Found<'_> {
        if self.cuts == 0
            && let Some(node) = self.nodes.get(name)
        {
            return Found::Exact(node);
        }
        let text = name.as_str();
        // The labels before those of the apex, without the dot between.
        let mut rest = text
            .len()
            .saturating_sub(self.apex().as_str().len())
            .saturating_sub(usize::from(*self.apex() != DnsName::root()));
        let mut encloser = self.apex().as_str();
        let Some(mut node) = self.nodes.get(encloser) else {
            return Found::Missing {
                encloser: self.apex().clone(),
            };
        };
        while rest > 0 {
            if node.subtree_alias().is_some() {
                let owner = DnsName::from_suffix(encloser);
                return Found::SubtreeAlias { owner, node };
            }
            let start = text[..rest].rfind('.').map_or(0, |dot| dot + 1);
            let Some(next) = self.nodes.get(&text[start..]) else {
                return self.instead(encloser);
            };
            if next.set(RecordType::Ns).is_some() && !(start == 0 && record_type == RecordType::Ds) {
                return Found::Cut {
                    name: DnsName::from_suffix(&text[start..]),
                    node: next,
                };
            }
            (encloser, node, rest) = (&text[start..], next, start.saturating_sub(1));
        }
        Found::Exact(node)
    }

    /// Whether there is a delegation of exactly this name.
    pub(crate) fn delegates(&self, name: &DnsName) -> bool {
        let exact = self.find(name, RecordType::Ds);
        matches!(exact, Found::Exact(node) if name != self.apex() && node.set(RecordType::Ns).is_some())
    }

    fn instead(&self, encloser: &str) -> Found<'_> {
        let of = |encloser: &str| DnsName::from_suffix(encloser);
        if self.wildcards > 0 {
            let source = if encloser.is_empty() {
                "*".to_owned()
            } else {
                format!("*.{encloser}")
            };
            if let Some(node) = self.nodes.get(source.as_str()) {
                return Found::Wildcard {
                    source: of(&source),
                    encloser: of(encloser),
                    node,
                };
            }
        }
        Found::Missing { encloser: of(encloser) }
    }

    /// What stands at exactly this name.
    pub(crate) fn node(&self, name: &DnsName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The addresses written at a name, also below a delegation, where they are glue.
    pub(crate) fn glue(&self, name: &DnsName) -> impl Iterator<Item = &crate::RecordSet> {
        let node = self.nodes.get(name);
        node.into_iter()
            .flat_map(Node::sets)
            .filter(|set| matches!(set.record_type(), Some(RecordType::A | RecordType::Aaaa)))
    }
}
