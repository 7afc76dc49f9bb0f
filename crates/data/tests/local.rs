//! Tables, splits, fixed point, metrics and the shipped table.

use privity_data::quantise::{quantise, quantise_labels};
use privity_data::{DataError, Limits, Table, breast_cancer, csv, load, metrics, parquet, split};
use privity_ring::{Fixed, Tensor};
use proptest::prelude::*;

fn small() -> Table {
    let names = vec!["a".into(), "b".into()];
    Table::new(names, vec![1.0, -2.5, 0.0, 1e6, 3.0, 4.0], vec![0.0, 1.0, 1.0], vec![0, 5, 9]).unwrap()
}

#[test]
fn tables_check_their_parts_and_hide_their_content() {
    let names = || vec!["a".to_string(), "b".to_string()];
    assert!(Table::new(names(), vec![1.0; 3], vec![], vec![]).is_err());
    assert!(Table::new(names(), vec![1.0; 4], vec![1.0], vec![]).is_err());
    assert!(Table::new(names(), vec![1.0; 4], vec![], vec![1]).is_err());
    assert!(Table::new(names(), vec![1.0, f64::NAN], vec![], vec![]).is_err());
    assert!(Table::new(names(), vec![1.0; 2], vec![0.5], vec![]).is_err());
    assert_eq!(format!("{:?}", small()), "Table(3 rows x 2 features, labelled: true)");
    let picked = small().select(&[2, 0]);
    assert_eq!(
        (picked.features(), picked.labels(), picked.days()),
        (&[3.0, 4.0, 1.0, -2.5][..], &[1.0, 0.0][..], &[9, 0][..])
    );
    let joined = Table::concat(&[small().select(&[0]), small().select(&[]), small().select(&[1, 2])]).unwrap();
    assert_eq!(joined, small());
    let unlabelled = Table::new(names(), vec![1.0; 2], vec![], vec![1]).unwrap();
    assert!(Table::concat(&[small(), unlabelled]).is_err());
    assert!(Table::concat(&[]).is_err());
}

#[test]
fn quantising_rounds_ties_away_and_names_row_and_column() {
    let format = Fixed { frac: 1 };
    let table = Table::new(vec!["a".into()], vec![0.25, -0.25, 0.24, 3.0], vec![1.0, 0.0, 0.0, 1.0], vec![]).unwrap();
    let numbers: Tensor<u64> = quantise(&table, format, 3.0).unwrap();
    assert_eq!((numbers.rows(), numbers.cols()), (4, 1));
    assert_eq!(numbers.data(), [1, u64::MAX, 0, 6]);
    let labels: Tensor<u64> = quantise_labels(&table, format).unwrap();
    assert_eq!(labels.data(), [2, 0, 0, 2]);
    let fault = quantise::<u64>(&small(), Fixed { frac: 16 }, 100.0).unwrap_err().to_string();
    assert!(fault.contains("row 2, column `b`") && !fault.contains("1000000"), "{fault}");
    let wide = quantise::<u64>(&small(), Fixed { frac: 40 }, f64::INFINITY).unwrap_err().to_string();
    assert!(wide.contains("row 2, column `b`"), "{wide}");
    let unlabelled = Table::new(vec!["a".into()], vec![1.0], vec![], vec![]).unwrap();
    assert!(quantise_labels::<u64>(&unlabelled, format).is_err());
}

#[test]
fn splits_refuse_what_cannot_be_split() {
    assert!(split::contiguous(2, 3).is_err());
    assert!(split::contiguous(2, 0).is_err());
    assert!(split::by_fractions(10, &[], 0).is_err());
    assert!(split::by_fractions(10, &[0.5, f64::NAN], 0).is_err());
    assert!(split::by_fractions(10, &[1.0, -0.1], 0).is_err());
    assert!(split::by_fractions(3, &[0.99, 0.01], 0).is_err());
    assert!(split::train_test(10, 1.0, 0).is_err());
    assert!(split::k_fold(10, 1, 0).is_err());
    assert!(split::k_fold(3, 4, 0).is_err());
    assert!(split::by_day(&small(), 100).is_err());
    let days = split::by_day(&small(), 5).unwrap();
    assert_eq!((days.train, days.test), (vec![0], vec![1, 2]));
}

#[test]
fn seeded_splits_are_pinned() {
    let parts = split::by_fractions(10, &[5.0, 3.0, 2.0], 7).unwrap();
    assert_eq!(parts, [vec![1, 3, 6, 7, 9], vec![0, 2, 8], vec![4, 5]]);
    assert_ne!(parts, split::by_fractions(10, &[5.0, 3.0, 2.0], 8).unwrap());
}

proptest! {
    #[test]
    fn every_row_goes_to_exactly_one_part(rows in 20usize..400, seed: u64, k in 2usize..8) {
        let all: Vec<usize> = (0..rows).collect();
        let blocks: Vec<usize> = split::contiguous(rows, k).unwrap().into_iter().flatten().collect();
        prop_assert_eq!(&blocks, &all);
        let mut parts = split::by_fractions(rows, &[0.5, 0.3, 0.2], seed).unwrap().concat();
        parts.sort_unstable();
        prop_assert_eq!(&parts, &all);
        let folds = split::k_fold(rows, k, seed).unwrap();
        let mut tested = folds.iter().flat_map(|f| f.test.clone()).collect::<Vec<_>>();
        tested.sort_unstable();
        prop_assert_eq!(&tested, &all);
        for fold in folds {
            prop_assert_eq!(fold.train.len() + fold.test.len(), rows);
            prop_assert!(fold.train.iter().all(|r| fold.test.binary_search(r).is_err()));
        }
    }

    #[test]
    fn auc_is_the_chance_that_a_positive_scores_higher(pairs in prop::collection::vec((any::<bool>(), 0u8..6), 2..40)) {
        let labels: Vec<f64> = pairs.iter().map(|p| f64::from(u8::from(p.0))).collect();
        let scores: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
        let (mut wins, mut total) = (0.0, 0.0);
        for (&y, &s) in labels.iter().zip(&scores) {
            for (&z, &t) in labels.iter().zip(&scores).filter(|_| y == 1.0).filter(|z| *z.0 == 0.0) {
                total += 1.0 - z;
                wins += if s > t { 1.0 } else if s == t { 0.5 } else { 0.0 };
            }
        }
        match metrics::auc(&labels, &scores) {
            Ok(auc) => prop_assert!((auc - wins / total).abs() < 1e-12),
            Err(e) => prop_assert_eq!(e, metrics::MetricError::OneClass),
        }
    }
}

#[test]
fn metrics_agree_with_scikit_learn() {
    // Expected values: sklearn.metrics accuracy_score, log_loss, roc_auc_score, average_precision_score.
    let labels = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0];
    let scores = [0.9, 0.8, 0.7, 0.5, 0.5, 0.3, 0.2, 0.1];
    let close = |got: Result<f64, metrics::MetricError>, expected: f64| {
        let got = got.unwrap();
        assert!((got - expected).abs() < 1e-12, "{got} for {expected}");
    };
    close(metrics::accuracy(&labels, &scores), 0.625);
    close(metrics::log_loss(&labels, &scores), 0.6911551381476511);
    close(metrics::auc(&labels, &scores), 0.65625);
    close(metrics::average_precision(&labels, &scores), 0.7095238095238094);
    close(metrics::recall_at(&labels, &scores, 0.25), 0.25);
    // Four of eight rows: the fourth is one of two equal scores, of which one is positive.
    close(metrics::recall_at(&labels, &scores, 0.5), 0.625);
}

#[test]
fn metrics_refuse_what_they_cannot_judge() {
    use metrics::MetricError;
    assert_eq!(metrics::accuracy(&[], &[]), Err(MetricError::Length { labels: 0, scores: 0 }));
    assert_eq!(metrics::auc(&[1.0], &[0.5, 0.5]), Err(MetricError::Length { labels: 1, scores: 2 }));
    assert_eq!(metrics::log_loss(&[1.0, 0.0], &[0.5, f64::NAN]), Err(MetricError::NotFinite { index: 1 }));
    assert_eq!(metrics::auc(&[1.0, 2.0], &[0.5, 0.5]), Err(MetricError::Label { index: 1 }));
    assert_eq!(metrics::average_precision(&[1.0, 1.0], &[0.5, 0.5]), Err(MetricError::OneClass));
    assert_eq!(metrics::recall_at(&[1.0, 0.0], &[0.5, 0.5], 0.0), Err(MetricError::Fraction));
}

#[test]
fn breast_cancer_is_whole_and_dealt_to_three_hospitals() {
    let table = breast_cancer::table().unwrap();
    assert_eq!((table.rows(), table.cols()), (569, 30));
    assert_eq!(table.labels().iter().sum::<f64>(), 212.0);
    assert_eq!(table.names()[0], "mean_radius");
    assert_eq!(&table.row(0)[..4], [17.99, 10.38, 122.8, 1001.0]);
    let largest = table.features().iter().copied().fold(0.0, f64::max);
    assert_eq!(largest, 4254.0);
    let hospitals = breast_cancer::hospitals(1).unwrap();
    assert_eq!(hospitals.each_ref().map(Table::rows), [285, 170, 114]);
    assert!(hospitals.iter().all(|h| h.labels().iter().sum::<f64>() > 20.0));
    assert_ne!(hospitals, breast_cancer::hospitals(2).unwrap());
    let malignant_are_larger = metrics::auc(table.labels(), &(0..569).map(|r| table.row(r)[20]).collect::<Vec<_>>());
    assert!(malignant_are_larger.unwrap() > 0.95);
    let fault = privity_data::quantise::quantise::<u64>(&table, Fixed { frac: 16 }, 4000.0);
    assert!(matches!(fault, Err(DataError::Cell { .. })));
}

#[test]
fn files_are_read_by_their_ending() {
    let folder = tempfile::tempdir().unwrap();
    let (table, schema) = (breast_cancer::table().unwrap().select(&[0, 5]), breast_cancer::schema().unwrap());
    let [text, columns, other] = ["a.csv", "b.PARQUET", "c.xlsx"].map(|name| folder.path().join(name));
    csv::save_csv(&text, &schema, &table).unwrap();
    parquet::save_parquet(&columns, &schema, &table).unwrap();
    assert_eq!(load(&text, &schema, &Limits::default()).unwrap(), table);
    assert_eq!(load(&columns, &schema, &Limits::default()).unwrap(), table);
    assert!(matches!(load(&other, &schema, &Limits::default()), Err(DataError::UnknownFormat(_))));
}
