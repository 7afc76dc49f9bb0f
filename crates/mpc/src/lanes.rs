//! Lanes: sessions of the same parties side by side, each with links, keys and steps of its own. A share is the same in all of
//! them, as every component is a sum of masks whichever session drew them.

use crate::{Error, Party, Result};
use privity_net::NetError;

/// A protocol that can have lanes.
pub(crate) trait Laned: Send + Sized {
    /// The session.
    fn session(&mut self) -> &mut Party;
    /// The other lanes.
    fn others(&mut self) -> &mut Vec<Self>;
}

/// Runs item `k` in lane `k`, lane 0 on this thread. Clocks go along: a lane starts where the first one stands, which goes on where the
/// last one ends.
pub(crate) fn run<P: Laned, T: Send, O: Send>(
    p: &mut P,
    items: Vec<T>,
    f: impl Fn(&mut P, T) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let mut others = std::mem::take(p.others());
    let results = match items.len() <= others.len() + 1 {
        true => {
            // With a single item, too: other lanes may owe a verification. A lane has no lanes, and leaves the mark as it is.
            let beside = !others.is_empty();
            if beside {
                p.session().among_lanes(true);
            }
            let results = side_by_side(p, &mut others, items, f);
            if beside {
                p.session().among_lanes(false);
            }
            results
        }
        false => {
            let problem = format!("{} parts for {} sessions", items.len(), others.len() + 1);
            Err(Error::Parameter { operation: "lanes", problem })
        }
    };
    *p.others() = others;
    results
}

fn side_by_side<P: Laned, T: Send, O: Send>(
    p: &mut P,
    others: &mut [P],
    items: Vec<T>,
    f: impl Fn(&mut P, T) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let used = items.len().saturating_sub(1);
    others[..used].iter_mut().for_each(|lane| p.session().fork(lane.session()));
    let mut items = items.into_iter();
    let Some(first) = items.next() else { return Ok(Vec::new()) };
    let results: Vec<Result<O>> = std::thread::scope(|scope| {
        let start = |(lane, item)| scope.spawn(|| f(lane, item));
        let running: Vec<_> = others.iter_mut().zip(items).map(start).collect();
        let mut results = vec![f(p, first)];
        for lane in running {
            results.push(lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    others[..used].iter_mut().for_each(|lane| p.session().join(lane.session()));
    // One trouble fails lanes in different ways: the gravest says most, then what a peer reports.
    let failed = results.iter().filter_map(|result| result.as_ref().err().map(gravity)).max();
    let mut values = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) if Some(gravity(&error)) == failed => return Err(error),
            Err(_) => {}
        }
    }
    Ok(values)
}

fn gravity(error: &Error) -> u8 {
    match error {
        Error::Cheating { .. } => 3,
        Error::Net(NetError::Reported { .. }) => 2,
        Error::Net(NetError::Closed { .. }) => 0,
        _ => 1,
    }
}
