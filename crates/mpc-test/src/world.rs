//! Parties as threads over simulated links. No mask may be drawn twice: in whatever a test runs here, that is checked.

use privity_mpc::cost::Costs;
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::rep4::{Rep4, cost::Rep4Costs};
use privity_mpc::{Config, Party, Protocol, Result};
use privity_net::sim::{self, Frame, SimConfig, SimLink, Tamper};
use privity_prim::Context;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for a frame: a test that would hang fails instead.
const DEADLINE: Duration = Duration::from_secs(60);

/// A protocol between parties, as tests start and price it.
pub trait Shared: Protocol<R = u64> + Sized {
    /// Its price list.
    type Costs: Costs;
    /// Number of parties.
    const PARTIES: usize;
    /// One party's side.
    fn start(party: Party, config: Config) -> Result<Self>;
    /// Its session.
    fn session(&mut self) -> &mut Party;
    /// Its prices.
    fn costs(config: Config) -> Self::Costs;
}

impl Shared for Rep3 {
    type Costs = Rep3Costs;
    const PARTIES: usize = 3;
    fn start(party: Party, config: Config) -> Result<Self> {
        Rep3::new(party, config)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
    fn costs(config: Config) -> Rep3Costs {
        Rep3Costs { radix: config.radix }
    }
}

impl Shared for Rep4 {
    type Costs = Rep4Costs;
    const PARTIES: usize = 4;
    fn start(party: Party, config: Config) -> Result<Self> {
        Rep4::new(party, config)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
    fn costs(config: Config) -> Rep4Costs {
        Rep4Costs { radix: config.radix }
    }
}

/// The parties of a protocol in one process.
pub struct World<P> {
    config: Config,
    fixed_keys: Option<u8>,
    deadline: Duration,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Clone for World<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for World<P> {}

impl<P: Shared> World<P> {
    /// Parties with fresh keys.
    pub fn new(config: Config) -> Self {
        World { config, fixed_keys: None, deadline: DEADLINE, protocol: PhantomData }
    }

    /// Parties whose keys are public constants: a run repeats to the byte.
    pub fn with_fixed_keys(config: Config, seed: u8) -> Self {
        World { fixed_keys: Some(seed), ..World::new(config) }
    }

    /// Parties that wait for a frame no longer than this.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        World { deadline, ..self }
    }

    /// Runs a program at every party; the results in party order.
    pub fn run<T: Send>(&self, program: impl Fn(&mut P) -> T + Sync) -> Vec<T> {
        self.over(SimConfig::default(), program)
    }

    /// The same, every frame passing through a hook that may change, drop or repeat it.
    pub fn tampered<T: Send>(&self, tamper: Tamper, program: impl Fn(&mut P) -> T + Sync) -> Vec<T> {
        self.over(SimConfig { tamper: Some(tamper), ..SimConfig::default() }, program)
    }

    /// The same, with every frame of the program (key exchange left out), in order of sender, receiver and time.
    pub fn record<T: Send>(&self, program: impl Fn(&mut P) -> T + Sync) -> (Vec<T>, Vec<Frame>) {
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

    fn over<T: Send>(&self, links: SimConfig, program: impl Fn(&mut P) -> T + Sync) -> Vec<T> {
        let program = &program;
        let links = sim::mesh(P::PARTIES, SimConfig { deadline: self.deadline, ..links });
        std::thread::scope(|scope| {
            let start = |link| scope.spawn(move || program(&mut self.party(link)));
            let parties: Vec<_> = links.into_iter().map(start).collect();
            parties.into_iter().map(|party| party.join().expect("the program panicked")).collect()
        })
    }

    fn party(&self, link: SimLink) -> P {
        let mut party = match self.fixed_keys {
            Some(seed) => Party::with_fixed_keys_for_tests(Box::new(link), seed),
            None => Party::connect(Box::new(link), &Context::default()).expect("keys are exchanged"),
        };
        party.audit_masks_for_tests();
        P::start(party, self.config).expect("a sound configuration")
    }
}
