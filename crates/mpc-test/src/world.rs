//! Parties as threads over simulated links. No mask may be drawn twice: in whatever a test runs here, that is checked.

use privity_mpc::additive_mac::AdditiveMac;
use privity_mpc::beaver::mac::BeaverMac;
use privity_mpc::beaver::{Beaver, Number};
use privity_mpc::gmw::Gmw;
use privity_mpc::rep3::Rep3;
use privity_mpc::rep4::Rep4;
use privity_mpc::shamir::{Route, Routing, Shamir};
use privity_mpc::shamir_active::ShamirActive;
use privity_mpc::{Config, Party, Protocol, Result};
use privity_net::sim::{self, Frame, SimConfig, SimLink, Tamper};
use privity_prim::Context;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for a frame: a test that would hang fails instead.
const DEADLINE: Duration = Duration::from_secs(60);

/// A protocol between parties, as tests start it.
pub trait Shared: Protocol + Sized {
    /// Number of parties.
    const PARTIES: usize;
    /// One party's side, over as many sessions as it has lanes; `dealt`: with a dealer, or verified, where that is a choice.
    fn start(sessions: Vec<Party>, config: Config, dealt: bool) -> Result<Self>;
    /// The same of a protocol that so many corrupt parties do not harm, where that is a choice.
    fn start_at(sessions: Vec<Party>, config: Config, dealt: bool, _threshold: usize) -> Result<Self> {
        Self::start(sessions, config, dealt)
    }
    /// The same where degrees are always reduced in one way, where that is a choice.
    fn by(self, _route: Route) -> Result<Self> {
        Ok(self)
    }
    /// Its session.
    fn session(&mut self) -> &mut Party;
}

impl Shared for Shamir {
    const PARTIES: usize = 3;
    fn start(sessions: Vec<Party>, config: Config, dealt: bool) -> Result<Self> {
        Self::start_at(sessions, config, dealt, 1)
    }
    fn start_at(mut sessions: Vec<Party>, config: Config, verified: bool, threshold: usize) -> Result<Self> {
        let first = sessions.remove(0);
        let p = if verified { Shamir::verified } else { Shamir::new }(first, config, threshold);
        p?.with_lanes(sessions)
    }
    fn by(self, route: Route) -> Result<Self> {
        let keyed = if route == Route::KingOfSets { self.with_set_keys()? } else { self };
        keyed.routed(Routing { always: Some(route), ..Routing::default() })
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for ShamirActive {
    const PARTIES: usize = 3;
    fn start(sessions: Vec<Party>, config: Config, dealt: bool) -> Result<Self> {
        Self::start_at(sessions, config, dealt, 1)
    }
    fn start_at(mut sessions: Vec<Party>, config: Config, _: bool, threshold: usize) -> Result<Self> {
        let first = sessions.remove(0);
        ShamirActive::new(first, config, threshold)?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for Rep3 {
    const PARTIES: usize = 3;
    fn start(mut sessions: Vec<Party>, config: Config, dealt: bool) -> Result<Self> {
        let first = sessions.remove(0);
        let p = if dealt { Rep3::additive(first, config) } else { Rep3::new(first, config) };
        p?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for Rep4 {
    const PARTIES: usize = 4;
    fn start(mut sessions: Vec<Party>, config: Config, _: bool) -> Result<Self> {
        let first = sessions.remove(0);
        Rep4::new(first, config)?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for Gmw {
    const PARTIES: usize = 2;
    fn start(mut sessions: Vec<Party>, config: Config, _: bool) -> Result<Self> {
        let first = sessions.remove(0);
        Gmw::new(first, config)?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for AdditiveMac {
    const PARTIES: usize = 3;
    fn start(mut sessions: Vec<Party>, config: Config, _: bool) -> Result<Self> {
        let first = sessions.remove(0);
        AdditiveMac::new(first, config)?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl<R: Number> Shared for Beaver<R> {
    const PARTIES: usize = 2;
    fn start(mut sessions: Vec<Party>, config: Config, dealt: bool) -> Result<Self> {
        let first = sessions.remove(0);
        let p = if dealt { Beaver::dealt(first, config) } else { Beaver::transferred(first, config) };
        p?.with_lanes(sessions)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

impl Shared for BeaverMac {
    const PARTIES: usize = 3;
    fn start(mut sessions: Vec<Party>, config: Config, _: bool) -> Result<Self> {
        BeaverMac::new(sessions.remove(0), config)
    }
    fn session(&mut self) -> &mut Party {
        self.party()
    }
}

/// The parties of a protocol in one process.
pub struct World<P> {
    config: Config,
    fixed_keys: Option<u8>,
    deadline: Duration,
    lanes: usize,
    parties: usize,
    dealt: bool,
    threshold: usize,
    route: Option<Route>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Clone for World<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for World<P> {}

impl World<Rep3> {
    /// A dealer, party 0, and so many others.
    pub fn additive(config: Config, others: usize) -> Self {
        World { parties: others + 1, dealt: true, ..World::new(config) }
    }
}

impl World<Shamir> {
    /// So many parties, so many of them corrupt, with no more room than a field has.
    pub fn shamir(config: Config, parties: usize, threshold: usize) -> Self {
        World { parties, threshold, ..World::new(config.in_a_field()) }
    }
    /// The same, which always reduce degrees in one way.
    pub fn by(self, route: Route) -> Self {
        World { route: Some(route), ..self }
    }
    /// Parties that verify what they multiply.
    pub fn verified(config: Config, threshold: usize) -> Self {
        World { dealt: true, ..Self::shamir(config, 2 * threshold + 1, threshold) }
    }
}

impl World<ShamirActive> {
    /// `2 threshold + 1` parties, with no more room than a field has.
    pub fn shamir_active(config: Config, threshold: usize) -> Self {
        World { parties: 2 * threshold + 1, threshold, ..World::new(config.in_a_field()) }
    }
}

impl World<AdditiveMac> {
    /// A dealer, party 0, and so many others.
    pub fn additive_mac(config: Config, others: usize) -> Self {
        World { parties: others + 1, ..World::new(config) }
    }
}

impl<R: Number> World<Beaver<R>> {
    /// A dealer, party 0, and so many others, with no more room than their numbers have.
    pub fn beaver_dealt(config: Config, others: usize) -> Self {
        World { parties: others + 1, dealt: true, ..Self::beaver(config, others) }
    }
    /// So many parties and nobody else, with no more room than their numbers have.
    pub fn beaver(config: Config, parties: usize) -> Self {
        World { parties, ..World::new(if R::BINARY { config } else { config.in_a_field() }) }
    }
}

impl World<BeaverMac> {
    /// A dealer, party 0, and so many others.
    pub fn beaver_mac(config: Config, others: usize) -> Self {
        World { parties: others + 1, ..World::new(config.in_a_field()) }
    }
}

impl<P: Shared> World<P> {
    /// Parties with fresh keys.
    pub fn new(config: Config) -> Self {
        let (parties, dealt, threshold) = (P::PARTIES, false, 1);
        World {
            config,
            fixed_keys: None,
            deadline: DEADLINE,
            lanes: 1,
            parties,
            dealt,
            threshold,
            route: None,
            protocol: PhantomData,
        }
    }

    /// How many parties there are, a dealer included.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Parties whose keys are public constants: a run repeats to the byte.
    pub fn with_fixed_keys(config: Config, seed: u8) -> Self {
        World::new(config).fixed(seed)
    }

    /// The same, of parties that are already so many.
    pub fn fixed(self, seed: u8) -> Self {
        World { fixed_keys: Some(seed), ..self }
    }

    /// Parties that wait for a frame no longer than this.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        World { deadline, ..self }
    }

    /// Parties with so many sessions side by side.
    pub fn with_lanes(self, lanes: usize) -> Self {
        World { lanes, ..self }
    }

    /// Runs a program at every party; the results in party order.
    pub fn run<T: Send>(&self, program: impl Fn(&mut P) -> T + Sync) -> Vec<T> {
        self.over(SimConfig::default(), program)
    }

    /// The same, every frame of the last lane passing through a hook that may change, drop or repeat it.
    pub fn tampered<T: Send>(&self, tamper: Tamper, program: impl Fn(&mut P) -> T + Sync) -> Vec<T> {
        self.over(SimConfig { tamper: Some(tamper), ..SimConfig::default() }, program)
    }

    /// The same, with every frame of the last lane's program (key exchange left out), in order of sender, receiver and time.
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
        let mut parties: Vec<Vec<SimLink>> = Vec::new();
        parties.resize_with(self.parties, Vec::new);
        for lane in 0..self.lanes {
            let tamper = links.tamper.clone().filter(|_| lane + 1 == self.lanes);
            let mesh = sim::mesh(self.parties, SimConfig { deadline: self.deadline, tamper, ..links.clone() });
            parties.iter_mut().zip(mesh).for_each(|(party, link)| party.push(link));
        }
        std::thread::scope(|scope| {
            let start = |links| scope.spawn(move || program(&mut self.party(links)));
            let parties: Vec<_> = parties.into_iter().map(start).collect();
            parties.into_iter().map(|party| party.join().expect("the program panicked")).collect()
        })
    }

    fn party(&self, links: Vec<SimLink>) -> P {
        let session = |(link, lane): (SimLink, u32)| {
            let context = Context { lane, ..Context::default() };
            let mut party = match self.fixed_keys {
                Some(seed) => Party::with_fixed_keys_for_tests(Box::new(link), seed.wrapping_add(100 * lane as u8)),
                None => Party::connect(Box::new(link), &context).expect("keys are exchanged"),
            };
            party.audit_masks_for_tests();
            party
        };
        let sessions = links.into_iter().zip(0..).map(session).collect();
        let p = P::start_at(sessions, self.config, self.dealt, self.threshold);
        let p = if let Some(route) = self.route { p.and_then(|p| p.by(route)) } else { p };
        p.expect("a sound configuration")
    }
}
