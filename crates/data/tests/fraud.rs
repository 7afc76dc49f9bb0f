//! The fraud generator: the same everywhere, within its contract, and not given away by any single column.

use privity_data::fraud::{self, Bank, Truth};
use privity_data::{Limits, Table, csv, metrics};

fn all(banks: &[Bank; 3]) -> (Table, Vec<Truth>) {
    let table = Table::concat(&banks.iter().map(|b| b.table.clone()).collect::<Vec<_>>()).unwrap();
    (table, banks.iter().flat_map(|b| b.truth.clone()).collect())
}

#[test]
fn a_seed_means_the_same_payments_everywhere() {
    let mut text = Vec::new();
    for bank in fraud::generate(2_000, 7).unwrap() {
        csv::write_csv(&mut text, "memory", &fraud::schema().unwrap(), &bank.table).unwrap();
    }
    assert_eq!(
        blake3::hash(&text).to_hex().as_str(),
        "af27e0206be45cb29f12711a08cec35b0efd38bddbc61452cce454d6fd24a6ac"
    );
    assert_ne!(fraud::generate(2_000, 8).unwrap()[0].table, fraud::generate(2_000, 7).unwrap()[0].table);
    assert!(fraud::generate(999, 7).is_err());
}

#[test]
fn banks_differ_in_size_and_rate_and_every_kind_occurs() {
    let banks = fraud::generate(40_000, 1).unwrap();
    let (table, truth) = all(&banks);
    assert_eq!(table.rows(), 40_000);
    assert!(banks[0].table.rows() > banks[1].table.rows() && banks[1].table.rows() > banks[2].table.rows());
    let share = |kind: fn(Truth) -> bool, truth: &[Truth]| {
        truth.iter().filter(|t| kind(**t)).count() as f64 / truth.len() as f64
    };
    assert!((share(Truth::is_fraud, &truth) - 0.018).abs() < 0.001);
    assert!((share(|t| t == Truth::LookAlike, &truth) - 0.2).abs() < 0.01);
    assert!(share(Truth::is_fraud, &banks[2].truth) > 1.2 * share(Truth::is_fraud, &banks[0].truth));
    for kind in [Truth::Local, Truth::Mule, Truth::Identity, Truth::DeviceRing] {
        assert!(banks.iter().all(|b| b.truth.contains(&kind)), "{kind:?}");
    }
    let reported = table.labels().iter().sum::<f64>() / truth.iter().filter(|t| t.is_fraud()).count() as f64;
    assert!((0.94..1.0).contains(&reported), "{reported} of the frauds are reported");
    assert!(banks.iter().all(|b| b.table.days().is_sorted() && b.table.days().last() < Some(&fraud::DAYS)));
}

#[test]
fn rows_keep_the_contract_and_survive_a_file() {
    let schema = fraud::schema().unwrap();
    assert_eq!(schema.feature_names().len(), fraud::OWN + fraud::JOINT);
    for bank in fraud::generate(5_000, 3).unwrap() {
        let mut text = Vec::new();
        csv::write_csv(&mut text, "memory", &schema, &bank.table).unwrap();
        // Reading checks every range.
        assert_eq!(csv::read_csv(&text[..], "memory", &schema, &Limits::default()).unwrap(), bank.table);
    }
}

#[test]
fn joint_counts_contain_a_banks_own() {
    let names = fraud::schema().unwrap().feature_names();
    let (table, _) = all(&fraud::generate(20_000, 2).unwrap());
    let pairs: Vec<(usize, usize)> = names
        .iter()
        .enumerate()
        .filter_map(|(i, name)| Some((names.iter().position(|n| Some(n.as_str()) == name.strip_prefix("all_"))?, i)))
        .collect();
    assert_eq!(pairs.len(), 7);
    let mut more = 0;
    for row in 0..table.rows() {
        for (own, joint) in &pairs {
            assert!(table.row(row)[*joint] >= table.row(row)[*own]);
            more += usize::from(table.row(row)[*joint] > table.row(row)[*own]);
        }
    }
    assert!(more > table.rows() / 2, "other banks' payments count too");
}

#[test]
fn no_single_column_gives_fraud_away_and_two_joint_ones_say_more_than_own_ones() {
    let names = fraud::schema().unwrap().feature_names();
    let (table, truth) = all(&fraud::generate(60_000, 5).unwrap());
    let column = |name: &str| {
        let i = names.iter().position(|n| n == name).unwrap();
        (0..table.rows()).map(|r| table.row(r)[i]).collect::<Vec<f64>>()
    };
    for name in &names {
        let auc = metrics::auc(table.labels(), &column(name)).unwrap();
        assert!((0.3..0.7).contains(&auc), "{name}: {auc}");
    }
    // Mules against collections, which look alike at any one bank.
    let among = |kind: Truth, values: &[f64]| {
        let of = |t: &Truth| *t == kind || *t == Truth::LookAlike;
        let picked = truth.iter().zip(values).filter(|(t, _)| of(t));
        let (labels, values): (Vec<f64>, Vec<f64>) = picked.map(|(t, v)| (f64::from(u8::from(*t == kind)), *v)).unzip();
        metrics::auc(&labels, &values).unwrap()
    };
    let (own, joint) = (column("payee_new_senders_48h"), column("all_payee_new_senders_48h"));
    assert!(among(Truth::Mule, &joint) > among(Truth::Mule, &own) + 0.05);
    let (own, joint) = (column("device_people_4d"), column("all_device_people_4d"));
    assert!(among(Truth::DeviceRing, &joint) > among(Truth::DeviceRing, &own) + 0.03);
}
