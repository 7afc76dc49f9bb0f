//! Made-up card and account fraud at three banks: as much as asked for, the same for a seed on every machine.
//!
//! Ninety days of payments. Some kinds of fraud show in one row, but each strikes mostly at one bank until day 60; others
//! show only in counts over all banks: mules collecting from victims everywhere, identities used at every bank within an
//! hour, devices behind a dozen names. Two honest rows in ten look like one of these. Nobody's data went into it.
//!
//! The joint counts ([`JOINT`]) are computed here, in the clear, over all banks' payments. Real banks would need a private
//! join for that; what the secure training shows is what such counts are worth once they exist.

mod events;
mod features;
mod world;

pub use features::schema;

use crate::random::Random;
use crate::{DataError, Table};

/// Features that a bank has by itself come first: so many.
pub const OWN: usize = 22;
/// Features that take all banks' payments follow: so many.
pub const JOINT: usize = 10;
/// Days of payments.
pub const DAYS: u32 = 90;
/// First day to test on: local kinds of fraud have moved to all banks by then.
pub const FIRST_TEST_DAY: u32 = 60;
/// Fewest rows worth making: below, some kinds of fraud do not occur.
pub const MIN_ROWS: usize = 1_000;
/// Most rows.
pub const MAX_ROWS: usize = 50_000_000;

/// What a payment truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Truth {
    /// Nothing special.
    Honest,
    /// Honest, with the look of a fraud.
    LookAlike,
    /// Take-over, card testing or a scam: one row shows it.
    Local,
    /// Victims of several banks pay one mule.
    Mule,
    /// One person's accounts at several banks used within an hour.
    Identity,
    /// Many identities of several banks behind one device.
    DeviceRing,
}

impl Truth {
    /// Whether it is a fraud.
    pub fn is_fraud(self) -> bool {
        self > Truth::LookAlike
    }
}

/// The payments of one bank in order of time.
#[derive(Clone, Debug)]
pub struct Bank {
    /// Features of [`schema`], days, and labels as reported: of the frauds, three in a hundred are never found out.
    pub table: Table,
    /// What each row truly is; no bank knows this.
    pub truth: Vec<Truth>,
}

/// So many payments over all three banks.
///
/// # Errors
/// Rows outside [`MIN_ROWS`] to [`MAX_ROWS`].
pub fn generate(rows: usize, seed: u64) -> Result<[Bank; 3], DataError> {
    if !(MIN_ROWS..=MAX_ROWS).contains(&rows) {
        return Err(DataError::Split { rows, what: "the fraud generator makes 1,000 to 50,000,000 rows" });
    }
    let mut random = Random::new(seed, "privity fraud generator v1");
    let world = world::World::new(rows, &mut random);
    let mut events = events::all(&world, rows, &mut random);
    // Ties keep the order of generation.
    events.sort_by_key(|e| e.time);
    features::tables(&world, &events)
}
