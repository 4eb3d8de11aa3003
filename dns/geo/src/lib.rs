//! Database files in MaxMind's format (version 2.0), read into the geographic data of dns-core.
//!
//! What must stay true:
//! - a file is read whole or not at all: one that is damaged anywhere is an error that names it, and never
//!   half a database;
//! - memory is bounded by the size of the file: networks go straight into the compact form, every record is
//!   decoded once, and a search tree that has more leaves than it can have is refused;
//! - nothing is decided here. What a place means, how several files complete each other, and who is near is
//!   dns-core's.
//!
//! Refused: asking the file per query. It is slower, its records would be decoded again each time, and how far
//! around an address the same sites are nearest would not be known.

mod files;
mod record;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use meridian_dns_core::geo::{GeoDatabase, GeoDatabaseBuilder, OutOfOrder, PlaceId};

pub use files::{GeoFiles, Look};

use crate::record::Record;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the geographic database {path}", path = path.display())]
pub struct GeoFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub reason: Damage,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read, is not in MaxMind's format, or is damaged.
    #[error("it cannot be read, or is not a whole file in MaxMind's DB format (.mmdb)")]
    Format(#[from] MaxMindDbError),
    /// Its networks are not in order, which the format forbids.
    #[error("its search tree is damaged")]
    Order(#[from] OutOfOrder),
    /// A network has a length that its family does not have, or there are more networks than nodes allow.
    #[error("its search tree is damaged: {0}")]
    Tree(String),
}

/// Reads one file.
///
/// # Errors
///
/// If the file cannot be read or is damaged.
pub fn read(path: &Path) -> Result<GeoDatabase, GeoFileError> {
    read_whole(path).map_err(|reason| GeoFileError {
        path: path.to_owned(),
        reason,
    })
}

/// Reads several files. What a file leaves open of a network is taken from those after it, so that a city, a
/// country and a network operator's file, or one of each family, complete each other.
///
/// # Errors
///
/// If any of the files cannot be read or is damaged.
pub fn read_all<P: AsRef<Path>>(paths: &[P]) -> Result<GeoDatabase, GeoFileError> {
    let mut whole: Option<GeoDatabase> = None;
    for path in paths {
        let next = read(path.as_ref())?;
        whole = Some(whole.map_or_else(|| next.clone(), |before| before.or(&next)));
    }
    Ok(whole.unwrap_or_default())
}

fn read_whole(path: &Path) -> Result<GeoDatabase, Damage> {
    let reader = Reader::open_readfile(path)?;
    // A tree has one leaf more than it has nodes. One whose nodes point to each other would go on for ever.
    let most = u64::from(reader.metadata().node_count) + 1;
    let mut builder = GeoDatabaseBuilder::default();
    let mut decoded: HashMap<usize, PlaceId> = HashMap::new();
    let leaves = WithinOptions::default().include_networks_without_data();
    for (count, leaf) in (0_u64..).zip(reader.networks(leaves)?) {
        let leaf = leaf?;
        if count > most {
            return Err(Damage::Tree(format!("it has more leaves than the {most} of its nodes")));
        }
        let Some(offset) = leaf.offset() else { continue };
        let network = leaf.network()?;
        let network = network_of(network.ip(), network.prefix())?;
        let place = match decoded.get(&offset) {
            Some(place) => *place,
            None => {
                let record: Option<Record> = leaf.decode()?;
                let place = builder.place(record.map(Record::place).unwrap_or_default());
                decoded.insert(offset, place);
                place
            }
        };
        builder.network(network, place)?;
    }
    Ok(builder.build())
}

fn network_of(address: IpAddr, len: u8) -> Result<IpNet, Damage> {
    IpNet::new(address, len).map_err(|_| Damage::Tree(format!("{address}/{len} is not a network")))
}
