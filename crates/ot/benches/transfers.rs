//! Transfers and products a second, one core for both sides.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use privity_ot::extension::{Receiver, SenderSetup};
use privity_ot::products::{PRODUCT_WORDS, WORD, receive_product, send_product};
use std::hint::black_box;

fn extension(c: &mut Criterion) {
    const TRANSFERS: usize = 1 << 17;
    let setup = SenderSetup::new([1; 32]).expect("randomness");
    let (mut receiver, answer) = Receiver::new([1; 32], setup.message()).expect("points");
    let mut sender = Some(setup.finish(&answer).expect("points"));
    let choices: Vec<bool> = (0..TRANSFERS).map(|i| i % 3 == 0).collect();
    let mut group = c.benchmark_group("extension");
    group.throughput(Throughput::Elements(TRANSFERS as u64)).sample_size(10);
    group.bench_function("both sides", |b| {
        b.iter(|| {
            let (message, keys) = receiver.extend(&choices).expect("randomness");
            let (again, pairs) = sender.take().expect("kept").extend(TRANSFERS, &message).expect("honest");
            sender = Some(again);
            black_box((keys, pairs));
        });
    });
    group.finish();
}

/// A word of one side times a vector of the other: transfers, answers, both shares.
fn products(c: &mut Criterion) {
    const WORDS: usize = 1 << 11;
    let setup = SenderSetup::new([1; 32]).expect("randomness");
    let (mut receiver, answer) = Receiver::new([1; 32], setup.message()).expect("points");
    let mut sender = Some(setup.finish(&answer).expect("points"));
    let choices: Vec<u64> = (0..WORDS as u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let mut group = c.benchmark_group("products");
    for width in [1, 128] {
        let vector = vec![7; width];
        group.throughput(Throughput::Elements((WORDS * width) as u64)).sample_size(10);
        group.bench_function(format!("words times vectors of {width}, both sides"), |b| {
            b.iter(|| {
                let (message, keys) = receiver.extend_words(&choices).expect("randomness");
                let (again, pairs) = sender.take().expect("kept").extend(WORD * WORDS, &message).expect("honest");
                sender = Some(again);
                let (mut own, mut other) = (vec![0; width], vec![0; width]);
                let mut answer = vec![0; PRODUCT_WORDS * width];
                for (i, choice) in choices.iter().enumerate() {
                    send_product(&pairs[WORD * i..][..WORD], &vector, &mut answer, &mut own);
                    receive_product(&keys[WORD * i..][..WORD], *choice, &answer, &mut other);
                }
                black_box((own, other));
            });
        });
    }
    group.finish();
}

fn base(c: &mut Criterion) {
    c.bench_function("128 base transfers, both sides", |b| {
        b.iter(|| {
            let setup = SenderSetup::new([1; 32]).expect("randomness");
            let (_, answer) = Receiver::new([1; 32], setup.message()).expect("points");
            black_box(setup.finish(&answer).expect("points"));
        });
    });
}

criterion_group!(benches, extension, products, base);
criterion_main!(benches);
