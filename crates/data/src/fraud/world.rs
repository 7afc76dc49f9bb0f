//! Who pays whom: people with their habits, families, accounts and devices; merchants, billers.

use super::events::Channel;
use crate::random::Random;

/// A person's habits.
pub(super) struct Person {
    /// Banks with an account, main bank first.
    pub banks: Vec<usize>,
    pub age: f64,
    pub tenure: f64,
    /// Mean and deviation of the logarithm of amounts.
    pub spending: (f64, f64),
    /// Usual hour of payments.
    pub hour: f64,
    pub device: u32,
}

/// Everybody and everything.
pub(super) struct World {
    pub people: Vec<Person>,
    /// People with an account at each bank.
    pub customers: [Vec<u32>; 3],
    /// People with accounts at two banks or more.
    pub spread: Vec<u32>,
    /// Cumulated weights of people's activity.
    activity: Vec<f64>,
    /// Cumulated weights of merchants.
    custom: Vec<f64>,
    billers: usize,
    /// Risk of each merchant, then of each biller.
    risk: Vec<f64>,
    devices: u32,
}

/// Relative sizes of the banks.
const SIZES: [f64; 3] = [0.5, 0.3, 0.2];
/// Risk of a payment to a person.
const PERSON_RISK: f64 = 0.3;

impl World {
    pub fn new(rows: usize, random: &mut Random) -> Self {
        let population = (rows * 12 / 100).max(60);
        let mut devices = 0;
        let mut people = Vec::with_capacity(population);
        while people.len() < population {
            // Three in ten live in a family that shares a device.
            let family = if random.chance(0.15) { random.count(2, 4) } else { 1 };
            devices += 1;
            people.extend((0..family).map(|_| person(devices, random)));
        }
        people.truncate(population);
        let mut customers: [Vec<u32>; 3] = Default::default();
        let mut spread = Vec::new();
        for (i, person) in people.iter().enumerate() {
            person.banks.iter().for_each(|&bank| customers[bank].push(i as u32));
            if person.banks.len() > 1 {
                spread.push(i as u32);
            }
        }
        let (merchants, billers) = ((rows / 150).max(40), (rows / 2500).max(8));
        let activity = cumulate((0..population).map(|_| libm::exp(random.normal(0.0, 0.6))));
        let custom = cumulate((0..merchants).map(|rank| libm::pow(rank as f64 + 1.0, -0.9)));
        let risk = (0..merchants + billers)
            .map(|i| if i < merchants { libm::pow(random.unit(), 3.0) } else { 0.02 })
            .collect();
        World { people, customers, spread, activity, custom, billers, risk, devices }
    }

    /// Somebody, the active more often.
    pub fn payer(&self, random: &mut Random) -> u32 {
        pick(&self.activity, random)
    }
    /// A customer of a bank.
    pub fn customer(&self, bank: usize, random: &mut Random) -> u32 {
        self.customers[bank][random.below(self.customers[bank].len())]
    }
    /// Anybody, as one who is paid.
    pub fn payee_person(&self, random: &mut Random) -> u32 {
        (self.risk.len() + random.below(self.people.len())) as u32
    }
    /// A merchant, the large ones more often.
    pub fn merchant(&self, random: &mut Random) -> u32 {
        pick(&self.custom, random)
    }
    /// A merchant whose risk is high.
    pub fn risky_merchant(&self, random: &mut Random) -> u32 {
        let mut merchant = self.merchant(random);
        for _ in 0..2 {
            let other = self.merchant(random);
            if self.risk(other) > self.risk(merchant) {
                merchant = other;
            }
        }
        merchant
    }
    /// A biller.
    pub fn biller(&self, random: &mut Random) -> u32 {
        (self.custom.len() + random.below(self.billers)) as u32
    }
    /// Risk of a payee, 0 to 1.
    pub fn risk(&self, payee: u32) -> f64 {
        self.risk.get(payee as usize).copied().unwrap_or(PERSON_RISK)
    }
    /// A device that nobody has used, given a number of its own.
    pub fn strange_device(&self, number: u32) -> u32 {
        self.devices + 1 + number
    }
    /// One of the person's banks: mostly the main one.
    pub fn bank_of(&self, person: u32, random: &mut Random) -> usize {
        let banks = &self.people[person as usize].banks;
        if random.chance(0.65) { banks[0] } else { banks[random.below(banks.len())] }
    }
}

fn person(device: u32, random: &mut Random) -> Person {
    let accounts = match random.unit() {
        u if u < 0.70 => 1,
        u if u < 0.92 => 2,
        _ => 3,
    };
    let mut banks = Vec::with_capacity(accounts);
    while banks.len() < accounts {
        let bank = match random.unit() {
            u if u < SIZES[0] => 0,
            u if u < SIZES[0] + SIZES[1] => 1,
            _ => 2,
        };
        if !banks.contains(&bank) {
            banks.push(bank);
        }
    }
    let age = random.normal(45.0, 17.0).abs().clamp(18.0, 95.0);
    Person {
        banks,
        age,
        tenure: random.between(0.0, (age - 17.0).min(30.0)),
        spending: (random.normal(3.4, 0.5), random.between(0.5, 1.0)),
        hour: random.normal(14.0, 3.0),
        device,
    }
}

fn cumulate(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    let add = |sum: &mut f64, weight| {
        *sum += weight;
        Some(*sum)
    };
    weights.scan(0.0, add).collect()
}

fn pick(cumulated: &[f64], random: &mut Random) -> u32 {
    let total = cumulated.last().copied().unwrap_or(0.0);
    let drawn = random.between(0.0, total);
    cumulated.partition_point(|sum| *sum <= drawn).min(cumulated.len() - 1) as u32
}

impl Person {
    /// An amount in the person's way.
    pub fn amount(&self, random: &mut Random) -> f64 {
        libm::exp(random.normal(self.spending.0, self.spending.1))
    }
    /// A usual channel.
    pub fn channel(&self, random: &mut Random) -> Channel {
        match random.unit() {
            u if u < 0.50 => Channel::Card,
            u if u < 0.78 => Channel::Online,
            u if u < 0.92 => Channel::Transfer,
            _ => Channel::Cash,
        }
    }
}
