//! Transfers a second, one core for both sides.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use privity_ot::extension::{Receiver, SenderSetup};
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

fn base(c: &mut Criterion) {
    c.bench_function("128 base transfers, both sides", |b| {
        b.iter(|| {
            let setup = SenderSetup::new([1; 32]).expect("randomness");
            let (_, answer) = Receiver::new([1; 32], setup.message()).expect("points");
            black_box(setup.finish(&answer).expect("points"));
        });
    });
}

criterion_group!(benches, extension, base);
criterion_main!(benches);
