//! How often somebody may ask: buckets that fill again with time.

use crate::NodeError;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// Most buckets that are remembered; full ones are forgotten first.
const MOST: usize = 4096;

/// A bucket for each name.
pub struct Limits {
    /// What a full bucket holds.
    burst: f64,
    /// What comes back in a second.
    rate: f64,
    buckets: Mutex<BTreeMap<String, (f64, Instant)>>,
}

impl Limits {
    /// Buckets of so many requests, that come back at so many a second.
    pub fn new(burst: u32, rate: f64) -> Limits {
        Limits { burst: f64::from(burst), rate, buckets: Mutex::default() }
    }

    /// Takes a request from a bucket.
    ///
    /// # Errors
    /// It is empty; for how long.
    pub fn take(&self, name: &str) -> Result<(), NodeError> {
        self.take_at(name, crate::node::instant())
    }

    fn take_at(&self, name: &str, now: Instant) -> Result<(), NodeError> {
        let mut buckets = crate::lock(&self.buckets);
        let filled = |(left, at): (f64, Instant)| {
            (left + self.rate * now.saturating_duration_since(at).as_secs_f64()).min(self.burst)
        };
        if buckets.len() >= MOST {
            buckets.retain(|_, bucket| filled(*bucket) < self.burst);
        }
        let left = match buckets.get(name) {
            Some(bucket) => filled(*bucket),
            // So many names at once are an attack: newcomers wait.
            None if buckets.len() >= MOST => 0.0,
            None => self.burst,
        };
        if left < 1.0 {
            return Err(NodeError::TooMany { seconds: ((1.0 - left) / self.rate).ceil() as u64 });
        }
        buckets.insert(name.to_owned(), (left - 1.0, now));
        Ok(())
    }

    /// All buckets are full again.
    pub fn forget_all(&self) {
        crate::lock(&self.buckets).clear();
    }

    /// A bucket is full again.
    pub fn forget(&self, name: &str) {
        crate::lock(&self.buckets).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn buckets_empty_and_fill() {
        let (limits, start) = (Limits::new(3, 0.5), Instant::now());
        (0..3).for_each(|_| limits.take_at("a", start).expect("three at once"));
        assert!(matches!(limits.take_at("a", start), Err(NodeError::TooMany { seconds: 2 })));
        limits.take_at("b", start).expect("another's bucket");
        limits.take_at("a", start + Duration::from_secs(2)).expect("one came back");
        assert!(limits.take_at("a", start + Duration::from_secs(2)).is_err());
        limits.forget("a");
        limits.take_at("a", start + Duration::from_secs(2)).expect("full again");
    }

    #[test]
    fn many_names_take_no_more_memory() {
        let (limits, start) = (Limits::new(1, 1.0), Instant::now());
        (0..MOST).for_each(|i| limits.take_at(&i.to_string(), start).expect("a new name"));
        assert!(limits.take_at("one more", start).is_err());
        limits.take_at("one more", start + Duration::from_secs(2)).expect("the others are full and forgotten");
        assert_eq!(limits.buckets.lock().expect("no panic").len(), 1);
    }
}
