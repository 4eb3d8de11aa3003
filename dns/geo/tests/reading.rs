//! Database files of the schemas that are around, and what damaged ones cost: nothing but a sentence.

mod database;

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use database::{Data, map, mmdb};
use meridian_dns_core::geo::{Continent, Country, GeoClasses, GeoDatabase, Place, Subdivision};
use meridian_dns_core::{ClassTable, DnsName, Liveness, Location, Site, SiteName, Sites, Traffic};
use meridian_dns_geo::{GeoFiles, Look, read, read_all};
use tempfile::TempDir;

fn nested_city(latitude: f64, longitude: f64) -> Data {
    let name = || map(&[("en", Data::Text("a name that nobody reads"))]);
    map(&[
        ("city", map(&[("names", name())])),
        ("continent", map(&[("code", Data::Text("AS")), ("names", name())])),
        ("country", map(&[("iso_code", Data::Text("TW")), ("names", name())])),
        (
            "location",
            map(&[
                ("latitude", Data::Double(latitude)),
                ("longitude", Data::Double(longitude)),
            ]),
        ),
        (
            "subdivisions",
            Data::List(vec![map(&[("iso_code", Data::Text("TPE"))])]),
        ),
    ])
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    }
}

fn place(database: &GeoDatabase, address: &str) -> Place {
    *database.lookup(address.parse().expect("an address")).0
}

#[test]
fn nested_and_flat_schemas_say_the_same() {
    let flat = map(&[
        ("latitude", Data::Double(25.03)),
        ("longitude", Data::Double(121.56)),
        ("country_code", Data::Text("TW")),
        ("continent_code", Data::Text("AS")),
        ("city", Data::Text("Taipei")),
        ("state1", Data::Text("a name, not a code")),
    ]);
    let bare = map(&[
        ("country", Data::Text("TW")),
        ("continent", Data::Text("AS")),
        ("lat", Data::Text("25.03")),
        ("lng", Data::Text("121.56")),
        ("asn", Data::Text("AS64500")),
    ]);
    let folder = Folder::new();
    let networks = [
        ("192.0.2.0/24", nested_city(25.03, 121.56)),
        ("198.51.100.0/24", flat),
        ("2001:db8::/32", bare),
    ];
    let database = read(&folder.file("all.mmdb", &mmdb(&networks))).expect("a good file");
    let expected = Place {
        location: Location::new(25.03, 121.56),
        country: Country::new("TW"),
        continent: Some(Continent::Asia),
        ..Place::default()
    };
    assert_eq!(place(&database, "198.51.100.1"), expected);
    let subdivision = Subdivision::new("TPE");
    assert_eq!(
        place(&database, "192.0.2.1"),
        Place {
            subdivision,
            ..expected
        }
    );
    let asn = Some(64500);
    assert_eq!(place(&database, "2001:db8::1"), Place { asn, ..expected });
    assert_eq!(place(&database, "203.0.113.1"), Place::default());
}

#[test]
fn a_field_of_an_odd_type_costs_nothing_beside_it() {
    let odd = map(&[
        ("location", Data::List(vec![Data::Number(1)])),
        ("continent", Data::Number(7)),
        (
            "country",
            map(&[("iso_code", Data::Text("DE")), ("geoname_id", Data::Number(2_921_044))]),
        ),
        ("subdivisions", Data::Text("Bavaria")),
        ("autonomous_system_number", Data::Double(0.5)),
    ]);
    let zeroes = map(&[
        ("country_code", Data::Text("not a code")),
        ("latitude", Data::Double(0.0)),
        ("longitude", Data::Double(0.0)),
    ]);
    let folder = Folder::new();
    let file = mmdb(&[("192.0.2.0/24", odd), ("198.51.100.0/24", zeroes)]);
    let database = read(&folder.file("odd.mmdb", &file)).expect("a good file");
    let germany = Place {
        country: Country::new("DE"),
        ..Place::default()
    };
    assert_eq!(place(&database, "192.0.2.1"), germany);
    assert_eq!(place(&database, "198.51.100.1"), Place::default());
    // A record that is no map at all is not of any schema.
    let file = mmdb(&[("203.0.113.0/24", Data::Text("?"))]);
    assert!(read(&folder.file("text.mmdb", &file)).is_err());
}

#[test]
fn several_files_complete_each_other() {
    let folder = Folder::new();
    let country = map(&[("country_code", Data::Text("JP"))]);
    let operator = map(&[("autonomous_system_number", Data::Number(64501))]);
    let files = [
        folder.file("city.mmdb", &mmdb(&[("192.0.2.0/24", nested_city(25.03, 121.56))])),
        folder.file(
            "country.mmdb",
            &mmdb(&[("192.0.2.0/23", country.clone()), ("2001:db8::/32", country)]),
        ),
        folder.file("asn.mmdb", &mmdb(&[("192.0.0.0/16", operator)])),
    ];
    let database = read_all(&files).expect("good files");
    let taipei = place(&database, "192.0.2.1");
    assert_eq!((taipei.country, taipei.asn), (Country::new("TW"), Some(64501)));
    let japan = place(&database, "192.0.3.1");
    assert_eq!(
        (japan.country, japan.location, japan.asn),
        (Country::new("JP"), None, Some(64501))
    );
    assert_eq!(place(&database, "192.0.99.1").asn, Some(64501));
    assert_eq!(place(&database, "2001:db8::1").country, Country::new("JP"));
}

#[test]
fn clients_are_led_by_the_distance_that_the_file_says() {
    let at = |location| Site {
        region: String::new(),
        zones: Vec::new(),
        location: Some(location),
        networks: Vec::new(),
        internal_networks: Vec::new(),
        weight: 100,
        liveness: Liveness::Alive,
        traffic: Traffic::Active,
    };
    let sites: Sites = [
        ("taipei", 25.03, 121.56),
        ("tokyo", 35.68, 139.69),
        ("oregon", 45.52, -122.68),
    ]
    .into_iter()
    .map(|(name, latitude, longitude)| {
        let location = Location::new(latitude, longitude).expect("on the globe");
        (SiteName::new(name), at(location))
    })
    .collect();
    let folder = Folder::new();
    let networks = [
        ("192.0.2.0/24", nested_city(34.7, 135.5)),
        ("198.51.100.0/24", nested_city(22.6, 120.3)),
        ("203.0.113.0/24", nested_city(37.8, -122.4)),
        ("2001:db8::/32", map(&[("country_code", Data::Text("CA"))])),
    ];
    let database = read(&folder.file("city.mmdb", &mmdb(&networks))).expect("a good file");
    let geo = Arc::new(GeoClasses::compile(Arc::new(database), &sites, 4));
    let table = ClassTable::compile(&sites, [], geo);
    let zone = DnsName::parse("example.test").expect("a name");
    for (address, order) in [
        ("192.0.2.1", ["tokyo", "taipei", "oregon"]),
        ("198.51.100.1", ["taipei", "tokyo", "oregon"]),
        ("203.0.113.1", ["oregon", "tokyo", "taipei"]),
        ("2001:db8::1", ["oregon", "tokyo", "taipei"]),
    ] {
        let (class, _) = table.lookup(&zone, address.parse().expect("an address"));
        let found: Vec<_> = class.nearest.iter().map(SiteName::as_str).collect();
        assert_eq!(found, order, "{address}");
    }
}

#[test]
fn a_damaged_file_is_an_error_that_names_it_and_never_a_panic() {
    let networks = [
        ("192.0.2.0/24", nested_city(25.03, 121.56)),
        ("2001:db8::/32", nested_city(1.0, 2.0)),
    ];
    let good = mmdb(&networks);
    let folder = Folder::new();
    let error = read(&folder.file("half.mmdb", &good[..good.len() / 2])).expect_err("half a file");
    assert!(
        error.to_string().contains("half.mmdb") && error.source().is_some(),
        "{error}"
    );
    let error = read(&folder.0.path().join("missing.mmdb")).expect_err("no file");
    assert!(error.to_string().contains("missing.mmdb"), "{error}");
    // Any one octet may be wrong: of those in the tree and in the data some are found out, none panics.
    let mut refused = 0;
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0xff;
        refused += usize::from(read(&folder.file("damaged.mmdb", &damaged)).is_err());
    }
    assert!(refused > good.len() / 4, "{refused} of {}", good.len());
}

#[test]
fn files_are_read_again_when_they_change_and_a_bad_one_is_told_once() {
    let folder = Folder::new();
    let country = |code| mmdb(&[("192.0.2.0/24", map(&[("country_code", Data::Text(code))]))]);
    let path = folder.file("country.mmdb", &country("DE"));
    let mut files = GeoFiles::new(vec![path.clone()]);
    let Look::New(first) = files.look() else {
        panic!("not read")
    };
    assert_eq!(place(&first, "192.0.2.1").country, Country::new("DE"));
    assert!(matches!(files.look(), Look::Same));
    folder.file("country.mmdb", b"not a database");
    assert!(matches!(files.look(), Look::Bad(error) if error.path == path));
    assert!(matches!(files.look(), Look::Same), "told once");
    folder.file("country.mmdb", &country("JP"));
    let Look::New(next) = files.look() else {
        panic!("not read again")
    };
    assert_eq!(place(&next, "192.0.2.1").country, Country::new("JP"));
}
