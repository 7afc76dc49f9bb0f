//! Parties as threads over simulated links. No mask may be drawn twice: in whatever a test runs here, that is checked.

use privity_mpc::rep3::Rep3;
use privity_mpc::{Config, Party};
use privity_net::sim::{self, Frame, SimConfig, SimLink, Tamper};
use privity_prim::Context;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for a frame: a test that would hang fails instead.
const DEADLINE: Duration = Duration::from_secs(60);

/// Three parties of `rep3` in one process.
#[derive(Clone, Copy)]
pub struct World {
    config: Config,
    fixed_keys: Option<u8>,
}

impl World {
    /// Parties with fresh keys.
    pub fn new(config: Config) -> Self {
        World { config, fixed_keys: None }
    }

    /// Parties whose keys are public constants: a run repeats to the byte.
    pub fn with_fixed_keys(config: Config, seed: u8) -> Self {
        World { config, fixed_keys: Some(seed) }
    }

    /// Runs a program at every party; the results in party order.
    pub fn run<T: Send>(&self, program: impl Fn(&mut Rep3) -> T + Sync) -> Vec<T> {
        self.over(SimConfig::default(), program)
    }

    /// The same, every frame passing through a hook that may change, drop or repeat it.
    pub fn tampered<T: Send>(&self, tamper: Tamper, program: impl Fn(&mut Rep3) -> T + Sync) -> Vec<T> {
        self.over(SimConfig { tamper: Some(tamper), ..SimConfig::default() }, program)
    }

    /// The same, with every frame of the program (key exchange left out), in order of sender, receiver and time.
    pub fn record<T: Send>(&self, program: impl Fn(&mut Rep3) -> T + Sync) -> (Vec<T>, Vec<Frame>) {
        let frames = Arc::new(Mutex::new(Vec::new()));
        let seen = frames.clone();
        let hook: Tamper = Arc::new(move |frame: Frame| {
            if frame.tag.step < 1 << 56 {
                seen.lock().expect("no party panicked").push(frame.clone());
            }
            vec![frame]
        });
        let results = self.tampered(hook, program);
        let mut frames = std::mem::take(&mut *frames.lock().expect("no party panicked"));
        frames.sort_by_key(|f| (f.from, f.to, f.index));
        (results, frames)
    }

    fn over<T: Send>(&self, links: SimConfig, program: impl Fn(&mut Rep3) -> T + Sync) -> Vec<T> {
        let program = &program;
        let links = sim::mesh(3, SimConfig { deadline: DEADLINE, ..links });
        std::thread::scope(|scope| {
            let start = |link| scope.spawn(move || program(&mut self.party(link)));
            let parties: Vec<_> = links.into_iter().map(start).collect();
            parties.into_iter().map(|party| party.join().expect("the program panicked")).collect()
        })
    }

    fn party(&self, link: SimLink) -> Rep3 {
        let mut party = match self.fixed_keys {
            Some(seed) => Party::with_fixed_keys_for_tests(Box::new(link), seed),
            None => Party::connect(Box::new(link), &Context::default()).expect("keys are exchanged"),
        };
        party.audit_masks_for_tests();
        Rep3::new(party, self.config).expect("a sound configuration")
    }
}
