//! The latency matrix, compiled: every address to the sites that were measured from there.

use std::sync::Arc;

use ipnet::IpNet;

use super::compile::PolicyProblem;
use super::tree::LatencyRow;
use crate::SiteName;
use crate::ranges::AddressRanges;

/// What was measured from one network, fastest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) network: IpNet,
    pub(super) order: Vec<(u32, SiteName)>,
}

/// Every address to its row.
pub(super) type Matrix = AddressRanges<Option<Arc<Row>>>;

/// Compiles the matrix; narrow networks are laid over wide ones.
pub(super) fn compile(rows: &[LatencyRow]) -> Result<Matrix, PolicyProblem> {
    if rows.iter().all(|row| row.milliseconds.is_empty()) {
        return Err(PolicyProblem::Empty);
    }
    let mut sorted: Vec<_> = rows.iter().map(|row| (row.network.trunc(), row)).collect();
    sorted.sort_by_key(|(network, _)| (network.prefix_len(), *network));
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(PolicyProblem::TwiceMeasured(twice[0].0));
    }
    let mut matrix = AddressRanges::all(None);
    for (network, row) in sorted {
        let mut order: Vec<_> = row
            .milliseconds
            .iter()
            .map(|(site, milliseconds)| (*milliseconds, site.clone()))
            .collect();
        order.sort();
        matrix.overlay(&network, Some(Arc::new(Row { network, order })));
    }
    Ok(matrix)
}
