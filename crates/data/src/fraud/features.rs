//! What a bank can compute of each payment when it comes in, and what all banks together could.

use super::events::{Channel, DAY, Event, HOUR};
use super::world::World;
use super::{Bank, JOINT, OWN, Truth};
use crate::random::Random;
use crate::{Column, DataError, ExtraColumns, Schema, SchemaError, Table};
use std::collections::{HashMap, HashSet, VecDeque};

/// Rolling counts over one bank's payments: names, and the largest logarithm kept of each.
const COUNTS: [(&str, f64); 7] = [
    ("customer_payments_1h", 4.0),
    ("customer_amount_24h", 10.0),
    ("payee_payments_48h", 6.0),
    ("payee_new_senders_48h", 6.0),
    ("payee_amount_48h", 12.0),
    ("device_people_4d", 4.0),
    ("device_payments_4d", 5.0),
];
const CHANNELS: [&str; 4] = ["card", "online", "transfer", "cash"];
const SEEN: [&str; 3] = ["customer_banks_1h", "payee_banks_48h", "device_banks_4d"];

/// Contract of a bank's file: own features, then joint ones, day and label.
///
/// # Errors
/// None: the contract is fixed.
pub fn schema() -> Result<Schema, SchemaError> {
    let mut columns = vec![
        Column::number("log_amount", 0.0, 10.0),
        Column::number("hour_sin", -1.0, 1.0),
        Column::number("hour_cos", -1.0, 1.0),
        Column::number("weekend", 0.0, 1.0),
        Column::category("channel", &CHANNELS),
        Column::number("age", 18.0, 95.0),
        Column::number("tenure_years", 0.0, 30.0),
        Column::number("amount_against_history", -4.0, 4.0),
        Column::number("new_device", 0.0, 1.0),
        Column::number("log_km", 0.0, 10.0),
        Column::number("payee_risk", 0.0, 1.0),
        Column::number("new_pair", 0.0, 1.0),
    ];
    columns.extend(COUNTS.map(|(name, top)| Column::number(name, 0.0, top)));
    columns.extend(COUNTS.map(|(name, top)| Column::number(&format!("all_{name}"), 0.0, top)));
    columns.extend(SEEN.map(|name| Column::number(name, 0.0, 3.0)));
    columns.push(Column::person("customer"));
    columns.push(Column::day("day"));
    columns.push(Column::label("fraud"));
    Schema::new(columns, ExtraColumns::Reject)
}

/// What happened around a key at one bank within a window of time.
#[derive(Default)]
struct Window {
    entries: VecDeque<(u32, u32, f64, bool)>,
    people: HashMap<u32, u32>,
    amount: f64,
    new: usize,
}

impl Window {
    /// Forgets what is older than `seconds` at `now`.
    fn expire(&mut self, now: u32, seconds: u32) {
        while let Some(&(time, person, amount, new)) = self.entries.front().filter(|e| e.0 + seconds < now) {
            debug_assert!(time <= now);
            self.entries.pop_front();
            self.amount -= amount;
            self.new -= usize::from(new);
            if let Some(count) = self.people.get_mut(&person) {
                *count -= 1;
                if *count == 0 {
                    self.people.remove(&person);
                }
            }
        }
        if self.entries.is_empty() {
            self.amount = 0.0;
        }
    }

    fn add(&mut self, event: &Event, new: bool) {
        self.entries.push_back((event.time, event.person, event.amount, new));
        *self.people.entry(event.person).or_default() += 1;
        self.amount += event.amount;
        self.new += usize::from(new);
    }
}

/// A bank's memory.
#[derive(Default)]
struct Memory {
    customers_1h: HashMap<u32, Window>,
    customers_24h: HashMap<u32, Window>,
    payees: HashMap<u32, Window>,
    devices: HashMap<u32, Window>,
    known_devices: HashSet<(u32, u32)>,
    known_pairs: HashSet<(u32, u32)>,
    /// Number of payments and mean logarithm of their amounts.
    history: HashMap<u32, (f64, f64)>,
    features: Vec<f64>,
    labels: Vec<f64>,
    days: Vec<u32>,
    customers: Vec<u64>,
    truth: Vec<Truth>,
}

/// Seven counts before the payment, in the order of [`COUNTS`], and whether customer, payee and device were seen.
struct Counts([f64; 7], [bool; 3]);

impl Memory {
    fn counts(&mut self, event: &Event) -> Counts {
        let now = event.time;
        let mut get = |windows: fn(&mut Self) -> &mut HashMap<u32, Window>, key: u32, seconds: u32| {
            let Some(window) = windows(self).get_mut(&key) else { return [0.0; 4] };
            window.expire(now, seconds);
            [window.entries.len() as f64, window.amount.max(0.0), window.new as f64, window.people.len() as f64]
        };
        let hour = get(|m| &mut m.customers_1h, event.person, HOUR);
        let day = get(|m| &mut m.customers_24h, event.person, DAY);
        let payee = get(|m| &mut m.payees, event.payee, 2 * DAY);
        let device = get(|m| &mut m.devices, event.device, 4 * DAY);
        Counts(
            [hour[0], day[1], payee[0], payee[2], payee[1], device[3], device[0]],
            [hour[0] > 0.0, payee[0] > 0.0, device[0] > 0.0],
        )
    }

    /// Notes the payment; whether device and payee were new to this customer, and the amount against its history.
    fn note(&mut self, event: &Event) -> (bool, bool, f64) {
        let new_device = self.known_devices.insert((event.person, event.device));
        let new_pair = self.known_pairs.insert((event.person, event.payee));
        for windows in [&mut self.customers_1h, &mut self.customers_24h] {
            windows.entry(event.person).or_default().add(event, new_pair);
        }
        self.payees.entry(event.payee).or_default().add(event, new_pair);
        self.devices.entry(event.device).or_default().add(event, new_pair);
        let log = libm::log1p(event.amount);
        let (count, mean) = self.history.entry(event.person).or_insert((0.0, 3.4));
        let against = (log - *mean) / 0.8;
        *count += 1.0;
        *mean += (log - *mean) / (*count + 1.0);
        (new_device, new_pair, against)
    }
}

/// The banks' tables from events in order of time.
pub(super) fn tables(world: &World, events: &[Event]) -> Result<[Bank; 3], DataError> {
    let mut memories: [Memory; 3] = Default::default();
    // Whether a fraud is reported is drawn apart, so that it disturbs nothing else.
    let mut reports = Random::new(events.len() as u64, "privity fraud reports v1");
    for event in events {
        let row = row(world, &mut memories, event);
        let memory = &mut memories[event.bank];
        memory.features.extend(row);
        let reported = event.truth.is_fraud() && !reports.chance(0.03);
        memory.labels.push(f64::from(u8::from(reported)));
        memory.days.push(event.time / DAY);
        memory.customers.push(u64::from(event.person));
        memory.truth.push(event.truth);
    }
    let names = schema()?.feature_names();
    let bank = |m: Memory| {
        let table = Table::new(names.clone(), m.features, m.labels, m.days)?.with_persons(m.customers)?;
        Ok::<_, DataError>(Bank { table, truth: m.truth })
    };
    let [a, b, c] = memories;
    Ok([bank(a)?, bank(b)?, bank(c)?])
}

fn row(world: &World, memories: &mut [Memory; 3], event: &Event) -> [f64; OWN + JOINT] {
    let person = &world.people[event.person as usize];
    let mut counts = [[0.0; 7]; 3];
    let mut seen = [0.0; 3];
    for (bank, memory) in memories.iter_mut().enumerate() {
        let Counts(values, marks) = memory.counts(event);
        counts[bank] = values;
        seen.iter_mut().zip(marks).for_each(|(sum, mark)| *sum += f64::from(u8::from(mark)));
    }
    let (new_device, new_pair, against) = memories[event.bank].note(event);
    let angle = std::f64::consts::TAU * f64::from(event.time % DAY) / f64::from(DAY);
    let bit = |b: bool| f64::from(u8::from(b));
    let channel = |c: Channel| bit(event.channel == c);
    let mut row = [0.0; OWN + JOINT];
    let plain = [
        libm::log1p(event.amount).min(10.0),
        libm::sin(angle),
        libm::cos(angle),
        bit(event.time / DAY % 7 >= 5),
        channel(Channel::Card),
        channel(Channel::Online),
        channel(Channel::Transfer),
        channel(Channel::Cash),
        person.age,
        person.tenure,
        against.clamp(-4.0, 4.0),
        bit(new_device),
        libm::log1p(event.km).min(10.0),
        world.risk(event.payee),
        bit(new_pair),
    ];
    row[..plain.len()].copy_from_slice(&plain);
    for (i, (_, top)) in COUNTS.iter().enumerate() {
        let logged = |v: f64| libm::log1p(v).min(*top);
        row[plain.len() + i] = logged(counts[event.bank][i]);
        row[OWN + i] = logged(counts.iter().map(|c| c[i]).sum());
    }
    row[OWN + COUNTS.len()..].copy_from_slice(&seen);
    // Four digits are what a file of a bank would hold.
    row.map(|v| libm::round(v * 1e4) / 1e4)
}
