//! Classes by place: files read again when they change, and compiled when they or the sites' places do.
//!
//! What must stay true: nothing waits for this. Reading and compiling happen on a blocking thread; the loop is
//! given the result as a message, and answers from what it had until then. A file that cannot be used, at the
//! start too, is told and tried again: a server that knows no places still answers, by networks and weights.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use meridian_controller_apply::describe;
use meridian_dns_core::Sites;
use meridian_dns_core::geo::{GeoClasses, GeoDatabase, NEAREST_SITES};
use meridian_dns_geo::{GeoFiles, Look, read_all};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, spawn_blocking};

use crate::message::Message;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// From what clients' places are known.
#[derive(Debug, Clone, Args)]
pub(crate) struct GeoArgs {
    /// A database in MaxMind's format (.mmdb) that says where clients are; read again when it changes. May be
    /// given several times: what one leaves open of a network is taken from the next.
    #[arg(long = "geo-db", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many of the nearest clusters a client is tried on, before all others follow by weight.
    #[arg(long = "nearest-clusters", value_name = "NUMBER", default_value_t = NEAREST_SITES,
          value_parser = nearest)]
    nearest: usize,
    /// How often the files are looked at.
    #[arg(skip = EVERY)]
    every: Duration,
}

fn nearest(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number from 1 to 100"))
}

impl Default for GeoArgs {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            nearest: NEAREST_SITES,
            every: EVERY,
        }
    }
}

impl GeoArgs {
    /// The classes before anything is known of anybody's place.
    pub(crate) fn nothing_known(&self) -> Arc<GeoClasses> {
        Arc::new(GeoClasses::compile(Arc::default(), &Sites::default(), self.nearest))
    }

    /// The classes of these sites, for a command that needs them once.
    ///
    /// # Errors
    ///
    /// If a file cannot be used.
    pub(crate) async fn read(self, sites: Sites) -> anyhow::Result<Arc<GeoClasses>> {
        let read = spawn_blocking(move || {
            let database = read_all(&self.files)?;
            anyhow::Ok(GeoClasses::compile(Arc::new(database), &sites, self.nearest))
        });
        Ok(Arc::new(read.await??))
    }

    /// Whether there is anything to compile.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

/// Sends classes whenever they differ, for as long as somebody takes them. Ends early only by a bug.
pub(crate) async fn compile_classes(
    args: GeoArgs,
    mut sites: watch::Receiver<Arc<Sites>>,
    messages: mpsc::Sender<Message>,
) -> Result<(), JoinError> {
    let mut files = GeoFiles::new(args.files);
    let mut database: Arc<GeoDatabase> = Arc::default();
    let mut compiled: Option<Arc<GeoClasses>> = None;
    loop {
        let (looked, look) = spawn_blocking(move || {
            let look = files.look();
            (files, look)
        })
        .await?;
        files = looked;
        match look {
            Look::Same => {}
            Look::New(new) => {
                tracing::info!(
                    networks = new.len(),
                    places = new.places().len(),
                    "geographic data is in use"
                );
                database = new;
            }
            Look::Bad(error) => {
                let reason = describe(&error);
                tracing::warn!(reason, "the geographic data before stays in use; replace the file");
            }
        }
        let now = sites.borrow_and_update().clone();
        if !compiled.as_ref().is_some_and(|classes| classes.fits(&database, &now)) {
            let (from, nearest) = (database.clone(), args.nearest);
            let classes = spawn_blocking(move || GeoClasses::compile(from, &now, nearest)).await?;
            let classes = Arc::new(classes);
            tracing::debug!(classes = classes.len(), octets = classes.octets(), "classes compiled");
            compiled = Some(classes.clone());
            if messages.send(Message::Classes(classes)).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(args.every) => {}
            changed = sites.changed() => if changed.is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "the reader's own tests need more kinds of data")]
#[path = "../../../dns/geo/tests/database/mod.rs"]
mod database;

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;
    use meridian_dns_core::{ClassTable, DnsName, Liveness, Location, Site, SiteName, Traffic};

    use super::database::{Data, map, mmdb};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        geo: GeoArgs,
    }

    fn parse(arguments: &str) -> Result<GeoArgs, clap::Error> {
        let words = ["meridian"].into_iter().chain(arguments.split_whitespace());
        Line::try_parse_from(words).map(|line| line.geo)
    }

    #[test]
    fn files_may_be_many_and_the_nearest_few_are_a_small_number() {
        let args = parse("--geo-db city.mmdb --geo-db asn.mmdb --nearest-clusters 2").expect("arguments");
        assert_eq!((args.files.len(), args.nearest, args.every), (2, 2, EVERY));
        assert!(!parse("").expect("no arguments").has_files());
        assert!(parse("--nearest-clusters 0").is_err());
        assert_eq!(args.nothing_known().nearest(), 2);
    }

    fn file(country: &'static str) -> Vec<u8> {
        mmdb(&[("192.0.2.0/24", map(&[("country_code", Data::Text(country))]))])
    }

    fn sites(places: &[(&str, f64, f64)]) -> Arc<Sites> {
        let site = |location| Site {
            region: String::new(),
            zones: Vec::new(),
            location,
            networks: Vec::new(),
            internal_networks: Vec::new(),
            weight: 100,
            liveness: Liveness::Alive,
            traffic: Traffic::Active,
        };
        let places = places.iter();
        let sites = places.map(|(name, north, east)| (SiteName::new(*name), site(Location::new(*north, *east))));
        Arc::new(sites.collect())
    }

    /// The nearest site of 192.0.2.1.
    async fn nearest(queue: &mut mpsc::Receiver<Message>) -> Option<String> {
        let message = tokio::time::timeout(Duration::from_secs(60), queue.recv()).await;
        let Ok(Some(Message::Classes(classes))) = message else {
            panic!("no classes: {message:?}");
        };
        let zone = DnsName::parse("example.test").expect("a name");
        let table = ClassTable::compile(&Sites::default(), [], classes);
        let (class, _) = table.lookup(&zone, "192.0.2.1".parse().expect("an address"));
        class.nearest.first().map(ToString::to_string)
    }

    #[tokio::test]
    async fn classes_follow_the_file_and_the_places_of_sites_and_outlive_a_bad_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("country.mmdb");
        fs::write(&path, file("JP")).expect("written");
        let args = GeoArgs {
            files: vec![path.clone()],
            every: Duration::from_millis(20),
            ..GeoArgs::default()
        };
        let (places, latest) = watch::channel(sites(&[("tokyo", 35.7, 139.7), ("berlin", 52.5, 13.4)]));
        let (messages, mut queue) = mpsc::channel(1);
        let task = tokio::spawn(compile_classes(args, latest, messages));
        assert_eq!(nearest(&mut queue).await.as_deref(), Some("tokyo"));
        // Another size, so that it is another file whatever the clock of the file system.
        fs::write(&path, b"damaged").expect("written");
        places.send_replace(sites(&[("berlin", 52.5, 13.4), ("osaka", 34.7, 135.5)]));
        assert_eq!(
            nearest(&mut queue).await.as_deref(),
            Some("osaka"),
            "the last good data"
        );
        places.send_replace(sites(&[("london", 51.5, -0.1), ("osaka", 34.7, 135.5)]));
        assert_eq!(nearest(&mut queue).await.as_deref(), Some("osaka"));
        fs::write(&path, file("DE")).expect("written");
        assert_eq!(nearest(&mut queue).await.as_deref(), Some("london"));
        drop(places);
        task.await.expect("no panic").expect("no panic inside");
    }
}
