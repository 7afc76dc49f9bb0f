//! Payments: honest ones, honest ones that look odd, and frauds.

use super::world::World;
use super::{DAYS, FIRST_TEST_DAY, Truth};
use crate::random::Random;

pub(super) const HOUR: u32 = 3600;
pub(super) const DAY: u32 = 24 * HOUR;

/// How a payment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Card,
    Online,
    Transfer,
    Cash,
}

/// One payment.
#[derive(Clone)]
pub(super) struct Event {
    /// Seconds since the first midnight.
    pub time: u32,
    pub bank: usize,
    pub person: u32,
    pub payee: u32,
    pub device: u32,
    pub channel: Channel,
    pub amount: f64,
    /// Distance from home, kilometres.
    pub km: f64,
    pub truth: Truth,
}

/// Frauds among all rows, and their kinds.
const FRAUD: f64 = 0.018;
const KINDS: [(Truth, f64); 4] =
    [(Truth::Local, 0.36), (Truth::Mule, 0.24), (Truth::Identity, 0.18), (Truth::DeviceRing, 0.22)];
/// Look-alikes among honest rows: collections, bursts, public computers, travellers.
const LOOK_ALIKES: [f64; 4] = [0.09, 0.06, 0.03, 0.02];

/// All payments, unordered; exactly `rows`.
pub(super) fn all(world: &World, rows: usize, random: &mut Random) -> Vec<Event> {
    let mut maker = Maker { world, random, events: Vec::with_capacity(rows + 32), devices: 0 };
    let frauds = rows as f64 * FRAUD;
    let mut goal = 0.0;
    for (kind, share) in KINDS {
        goal += frauds * share;
        while (maker.events.len() as f64) < goal {
            match kind {
                Truth::Local => maker.local(),
                Truth::Mule => maker.mule(),
                Truth::Identity => maker.identity(),
                _ => maker.device_ring(),
            }
        }
    }
    let honest = (rows - maker.events.len().min(rows)) as f64;
    let mut goal = maker.events.len() as f64;
    for (look, share) in LOOK_ALIKES.into_iter().enumerate() {
        goal += honest * share;
        while (maker.events.len() as f64) < goal {
            match look {
                0 => maker.collection(),
                1 => maker.burst(),
                2 => maker.public_computer(),
                _ => maker.traveller(),
            }
        }
    }
    while maker.events.len() < rows {
        maker.honest();
    }
    maker.events.truncate(rows);
    maker.events
}

struct Maker<'a> {
    world: &'a World,
    random: &'a mut Random,
    events: Vec<Event>,
    devices: u32,
}

impl Maker<'_> {
    /// A time of day around the person's hour, on any day; nights are rare.
    fn time(&mut self, person: u32) -> u32 {
        let day = self.random.below(DAYS as usize) as u32;
        let hour = self.random.normal(self.world.people[person as usize].hour, 3.5);
        let second = (hour * f64::from(HOUR)).rem_euclid(f64::from(DAY)) as u32;
        day * DAY + second
    }

    /// A start from which `seconds` fit into the ninety days, in daytime.
    fn start(&mut self, seconds: u32) -> u32 {
        let latest = DAYS * DAY - seconds;
        let day = self.random.below(DAYS as usize) as u32;
        let second = (self.random.normal(14.0, 3.5) * f64::from(HOUR)).clamp(0.0, f64::from(DAY - 1)) as u32;
        (day * DAY + second).min(latest)
    }

    fn within(&mut self, start: u32, seconds: u32) -> u32 {
        start + self.random.below(seconds as usize) as u32
    }

    fn new_device(&mut self) -> u32 {
        self.devices += 1;
        self.world.strange_device(self.devices)
    }

    /// An ordinary payment of a person at one of its banks.
    fn ordinary(&mut self, person: u32, bank: usize, time: u32) -> Event {
        let who = &self.world.people[person as usize];
        let channel = who.channel(self.random);
        let payee = match channel {
            Channel::Transfer if self.random.chance(0.55) => self.world.payee_person(self.random),
            Channel::Transfer => self.world.biller(self.random),
            _ => self.world.merchant(self.random),
        };
        let device = if self.random.chance(0.02) { self.new_device() } else { who.device };
        let amount = who.amount(self.random);
        let km = -10.0 * libm::log(1.0 - self.random.unit());
        Event { time, bank, person, payee, device, channel, amount, km, truth: Truth::Honest }
    }

    fn honest(&mut self) {
        let person = self.world.payer(self.random);
        let (bank, time) = (self.world.bank_of(person, self.random), self.time(person));
        let event = self.ordinary(person, bank, time);
        self.events.push(event);
    }

    /// Friends pay one person for a gift or the rent: two to seven, nearly all of one bank.
    fn collection(&mut self) {
        let (senders, home) = (self.random.count(2, 7), self.random.below(3));
        self.collect(
            senders,
            |maker, _| if maker.random.chance(0.9) { home } else { maker.random.below(3) },
            Truth::LookAlike,
        );
    }

    /// Seven to fourteen victims, spread evenly over the banks, pay one mule.
    fn mule(&mut self) {
        let senders = self.random.count(7, 14);
        self.collect(senders, |_, i| i % 3, Truth::Mule);
    }

    fn collect(&mut self, senders: usize, bank: impl Fn(&mut Self, usize) -> usize, truth: Truth) {
        let payee = self.world.payee_person(self.random);
        let start = self.start(36 * HOUR);
        let usual = self.random.normal(4.3, 0.5);
        for i in 0..senders {
            let bank = bank(self, i);
            let person = self.world.customer(bank, self.random);
            let time = self.within(start, 36 * HOUR);
            let mut event = self.ordinary(person, bank, time);
            event.payee = payee;
            event.channel = Channel::Transfer;
            event.amount = libm::exp(self.random.normal(usual, 0.4));
            event.truth = truth;
            self.events.push(event);
        }
    }

    /// A shopping spree: two to five payments of one person within an hour at one bank.
    fn burst(&mut self) {
        let person = self.world.payer(self.random);
        let payments = self.random.count(2, 5);
        let bank = self.world.bank_of(person, self.random);
        self.spend(person, payments, |_| bank, Truth::LookAlike);
    }

    /// A stolen identity: five to nine payments within an hour, over all banks where the person has accounts.
    fn identity(&mut self) {
        let person = self.world.spread[self.random.below(self.world.spread.len())];
        let payments = self.random.count(5, 9);
        let banks = &self.world.people[person as usize].banks;
        self.spend(person, payments, |i| banks[i % banks.len()], Truth::Identity);
    }

    fn spend(&mut self, person: u32, payments: usize, bank: impl Fn(usize) -> usize, truth: Truth) {
        let start = self.start(HOUR);
        let device =
            if self.random.chance(0.3) { self.new_device() } else { self.world.people[person as usize].device };
        for i in 0..payments {
            let time = self.within(start, HOUR);
            let mut event = self.ordinary(person, bank(i), time);
            event.payee = self.world.merchant(self.random);
            event.channel = if self.random.chance(0.6) { Channel::Online } else { Channel::Card };
            event.amount = libm::exp(self.random.normal(3.9, 0.8));
            event.device = device;
            event.truth = truth;
            self.events.push(event);
        }
    }

    /// A computer in a library: two to seven people within four days, nearly all customers of one bank.
    fn public_computer(&mut self) {
        let (people, home) = (self.random.count(2, 7), self.random.below(3));
        self.share_device(
            people,
            |maker, _| if maker.random.chance(0.9) { home } else { maker.random.below(3) },
            Truth::LookAlike,
        );
    }

    /// A ring: eight to seventeen identities of all banks behind one device within four days.
    fn device_ring(&mut self) {
        let people = self.random.count(8, 17);
        self.share_device(people, |_, i| i % 3, Truth::DeviceRing);
    }

    fn share_device(&mut self, people: usize, bank: impl Fn(&mut Self, usize) -> usize, truth: Truth) {
        let (device, start) = (self.new_device(), self.start(4 * DAY));
        for i in 0..people {
            let bank = bank(self, i);
            let person = self.world.customer(bank, self.random);
            let time = self.within(start, 4 * DAY);
            let mut event = self.ordinary(person, bank, time);
            event.payee = self.world.merchant(self.random);
            event.channel = Channel::Online;
            event.amount = libm::exp(self.random.normal(4.0, 0.8));
            event.device = device;
            event.truth = truth;
            self.events.push(event);
        }
    }

    /// A few payments far from home, some at risky shops or with another telephone.
    fn traveller(&mut self) {
        let person = self.world.payer(self.random);
        let (bank, start) = (self.world.bank_of(person, self.random), self.start(3 * DAY));
        let device =
            if self.random.chance(0.15) { self.new_device() } else { self.world.people[person as usize].device };
        for _ in 0..self.random.count(1, 3) {
            let time = self.within(start, 3 * DAY);
            let mut event = self.ordinary(person, bank, time);
            event.km = libm::exp(self.random.between(5.0, 9.0));
            event.device = device;
            event.truth = Truth::LookAlike;
            self.events.push(event);
        }
    }

    /// A fraud that one row shows. Each kind strikes at one bank until it is known there, then everywhere.
    fn local(&mut self) {
        let kind = self.random.below(3);
        let start = self.start(HOUR);
        let early = start < FIRST_TEST_DAY * DAY;
        let bank = if early && self.random.chance(0.92) { kind } else { self.random.below(3) };
        let mut person = self.world.customer(bank, self.random);
        if kind == 2 {
            // Scams seek the old.
            for _ in 0..6 {
                let other = self.world.customer(bank, self.random);
                if self.world.people[other as usize].age > self.world.people[person as usize].age {
                    person = other;
                }
            }
        }
        let mut event = self.ordinary(person, bank, start);
        event.truth = Truth::Local;
        let usual = self.world.people[person as usize].spending.0;
        match kind {
            0 => {
                event.km = libm::exp(self.random.between(5.0, 9.0));
                event.channel = if self.random.chance(0.7) { Channel::Online } else { Channel::Card };
                event.device = if self.random.chance(0.5) { self.new_device() } else { event.device };
                event.payee = self.world.merchant(self.random);
                event.amount = libm::exp(self.random.normal(usual + 1.0, 0.8));
            }
            1 => {
                event.channel = if self.random.chance(0.8) { Channel::Online } else { Channel::Card };
                event.payee = self.world.risky_merchant(self.random);
                event.amount = libm::exp(self.random.normal(1.6, 0.8));
            }
            _ => {
                event.channel = Channel::Transfer;
                event.payee = self.world.payee_person(self.random);
                event.amount = libm::exp(self.random.normal(usual + 1.6, 0.7));
            }
        }
        self.events.push(event);
    }
}
