//! Where clients are, and which sites are near to them.
//!
//! A [`GeoDatabase`] has the place of every network, whatever file it came from. [`GeoClasses`] are compiled
//! from it and from the places of the sites, once per change of either; a query reads those alone. Places of
//! countries and of clouds' regions are built in.

mod atlas;
mod blocks;
mod classes;
mod database;
mod place;

pub use atlas::{CloudRegion, cloud_region};
pub(crate) use classes::Globe;
pub use classes::{GeoClasses, NEAREST_SITES};
pub use database::{GeoDatabase, GeoDatabaseBuilder, OutOfOrder, PlaceId};
pub use place::{Continent, Country, Place, PositionSource, Subdivision};
