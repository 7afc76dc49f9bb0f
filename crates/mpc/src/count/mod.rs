//! The price of a program: it runs with shapes only, and each operation moves the clocks by its declared messages.

use crate::cost::{Clock, Costs, ProductCost, TermCost};
use crate::garbled::{Garbled, extents, lengths, shape_of};
use crate::ops::fourier::Series;
use crate::protocol::Pending;
use crate::{BitShare, By, Config, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_ring::{Shape, Tensor, Unit};
use std::collections::BTreeSet;

/// The cost counter of the protocol whose costs are `C`.
pub struct Count<C> {
    config: Config,
    costs: C,
    clock: Clock,
    /// The lane that is counted.
    lane: usize,
    /// Lanes that were set up.
    lanes: usize,
    /// Lanes in which anything was done since the last verification.
    owed: BTreeSet<usize>,
}

impl<C: Costs> Count<C> {
    /// A counter at zero.
    pub fn new(config: Config, costs: C, speeds: crate::cost::Speeds) -> Self {
        let mut count = Count {
            config,
            clock: Clock::new(costs.parties(), speeds),
            costs,
            lane: 0,
            lanes: 0,
            owed: BTreeSet::new(),
        };
        count.set_up_lanes(1);
        count
    }
    /// Bytes, rounds and predicted time so far.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What lanes send before their first operation. All are set up before the program starts, so later ones take no time of it.
    fn set_up_lanes(&mut self, lanes: usize) {
        self.clock.enter("transfers set up");
        for lane in self.lanes..lanes {
            let before = self.clock.instant();
            self.costs.set_up(&mut self.clock);
            if lane > 0 {
                self.clock.set(&before);
            }
        }
        self.lanes = self.lanes.max(lanes);
        self.clock.leave();
    }

    /// Truncated results: in exact mode they are rounded at once, else a lift is pending.
    fn truncated(&mut self, shapes: Vec<(Shape, u32)>) -> Vec<Raw<Tensor<Unit>>> {
        let exact = self.config.mode == TruncMode::Exact;
        if exact {
            let jobs: Vec<(usize, u32)> = shapes.iter().map(|(s, shift)| (s.len(), *shift)).collect();
            self.clock.enter("exact rounding");
            self.costs.round_exactly(&mut self.clock, &jobs);
            self.clock.leave();
        }
        let raw = |(shape, shift): (Shape, u32)| {
            let pending = (shift > 0 && !exact).then(|| Pending { shift, bits: Vec::new() });
            Raw { value: Tensor::zeros(&shape), pending }
        };
        shapes.into_iter().map(raw).collect()
    }

    fn booked<T>(&mut self, operation: &'static str, f: impl FnOnce(&C, &mut Clock) -> T) -> T {
        self.owed.insert(self.lane);
        self.clock.enter(operation);
        let result = f(&self.costs, &mut self.clock);
        self.clock.leave();
        result
    }
}

/// Bits without data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountBits {
    len: usize,
    width: usize,
    armed: bool,
    /// Of how many sharings it is the XOR, since it last was an operand.
    terms: usize,
}

impl CountBits {
    fn new(len: usize, width: usize) -> Self {
        CountBits { len, width, armed: false, terms: 1 }
    }
    fn pending(&self) -> (usize, usize) {
        (self.len * self.width, self.terms)
    }
}

impl BitShare for CountBits {
    fn len(&self) -> usize {
        self.len
    }
    fn width(&self) -> usize {
        self.width
    }
    fn xor(&self, o: &Self) -> Self {
        assert_eq!((self.len, self.width), (o.len, o.width), "bit operands must have one length and width");
        CountBits { armed: false, terms: self.terms + o.terms, ..self.clone() }
    }
    fn plane(&self, _: usize) -> Self {
        CountBits { width: 1, armed: false, ..self.clone() }
    }
    fn stack(planes: &[&Self]) -> Self {
        let terms = planes.iter().map(|p| p.terms).max().unwrap_or(1);
        CountBits { terms, ..CountBits::new(planes.first().map_or(0, |p| p.len), planes.len()) }
    }
}

impl<C: Costs> Protocol for Count<C> {
    type R = Unit;
    type A = Tensor<Unit>;
    type B = CountBits;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        self.costs.first_owner()..self.costs.parties()
    }
    fn me(&self) -> usize {
        0
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.owed.insert(self.lane);
        self.clock.enter(operation);
        let result = f(self);
        self.clock.leave();
        result
    }
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        self.set_up_lanes(items.len());
        let start = self.clock.instant();
        let mut end = start.clone();
        let mut results = Vec::with_capacity(items.len());
        for (lane, item) in items.into_iter().enumerate() {
            self.clock.set(&start);
            self.lane = lane;
            self.costs.in_lane(lane);
            results.push(f(self, item));
            end.wait_for(&self.clock.instant());
        }
        self.lane = 0;
        self.costs.in_lane(0);
        self.clock.set(&end);
        results.into_iter().collect()
    }
    fn input(&mut self, owner: usize, shape: &Shape, _: Option<&Tensor<Unit>>) -> Result<Tensor<Unit>> {
        self.booked("input", |c, clock| c.input(clock, owner, shape.len()));
        Ok(Tensor::zeros(shape))
    }
    fn public(&mut self, x: &Tensor<Unit>) -> Tensor<Unit> {
        x.clone()
    }
    fn products(&mut self, jobs: &[Product<'_, Tensor<Unit>>]) -> Result<Vec<Raw<Tensor<Unit>>>> {
        let shapes: Vec<(Shape, u32)> =
            jobs.iter().map(|j| (j.op.out_shape(j.x.shape(), j.y.shape()), j.rescale)).collect();
        let cost = |(j, (shape, shift)): (&Product<'_, Tensor<Unit>>, &(Shape, u32))| ProductCost {
            op: j.op,
            len: shape.len(),
            rows: shape.rows(),
            operands: j.x.len() + j.y.len(),
            macs: j.op.macs(j.x.shape(), j.y.shape()),
            shift: *shift,
        };
        let costs: Vec<ProductCost> = jobs.iter().zip(&shapes).map(cost).collect();
        self.booked("product", |c, clock| c.products(clock, &costs));
        Ok(self.truncated(shapes))
    }
    fn rescale(&mut self, jobs: &[(&Tensor<Unit>, u32)]) -> Result<Vec<Raw<Tensor<Unit>>>> {
        let shapes: Vec<(Shape, u32)> = jobs.iter().map(|(x, shift)| (x.shape().clone(), *shift)).collect();
        let costs: Vec<(usize, u32)> = shapes.iter().map(|(s, shift)| (s.len(), *shift)).collect();
        self.booked("rescale", |c, clock| c.rescale(clock, &costs));
        Ok(self.truncated(shapes))
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<Unit>],
        width: u32,
        lifts: Vec<Raw<Tensor<Unit>>>,
    ) -> Result<(Vec<CountBits>, Vec<Tensor<Unit>>)> {
        let lens: Vec<usize> = xs.iter().map(|x| x.len()).collect();
        let pending: Vec<(usize, u32)> =
            lifts.iter().filter_map(|r| r.pending.as_ref().map(|p| (r.value.len(), p.shift))).collect();
        self.booked("comparison", |c, clock| c.signs(clock, &lens, width, &pending));
        let bits = lens.into_iter().map(|len| CountBits::new(len, 1)).collect();
        Ok((bits, lifts.into_iter().map(|r| r.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<Unit>, width: u32) -> Result<CountBits> {
        self.booked("bits of", |c, clock| c.a2b(clock, x.len(), width));
        Ok(CountBits::new(x.len(), width as usize))
    }
    fn and(&mut self, jobs: &[(&CountBits, &CountBits)]) -> Result<Vec<CountBits>> {
        let sizes: Vec<(usize, usize)> = jobs.iter().map(|(x, _)| (x.len, x.width)).collect();
        let operands: Vec<(usize, usize)> = jobs.iter().flat_map(|(x, y)| [x.pending(), y.pending()]).collect();
        self.booked("and", |c, clock| {
            c.xors(clock, &operands);
            c.and(clock, &sizes);
        });
        Ok(sizes.into_iter().map(|(len, width)| CountBits::new(len, width)).collect())
    }
    fn not(&mut self, x: &CountBits) -> CountBits {
        x.clone()
    }
    fn arm(&mut self, xs: &[&CountBits]) -> Result<Vec<CountBits>> {
        let unarmed: Vec<usize> = xs.iter().filter(|x| !x.armed).map(|x| x.len).collect();
        let operands: Vec<(usize, usize)> = xs.iter().map(|x| x.pending()).collect();
        self.booked("select", |c, clock| {
            c.xors(clock, &operands);
            c.arm(clock, &unarmed);
        });
        Ok(xs.iter().map(|x| CountBits { armed: true, ..CountBits::new(x.len, x.width) }).collect())
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<Unit>, CountBits>]) -> Result<Vec<Tensor<Unit>>> {
        let term = |(b, by): &(&CountBits, By<'_, Tensor<Unit>>)| TermCost {
            armed: b.armed,
            secret: matches!(by, By::Value(_)),
            lift: match by {
                By::Value(x) => x.pending.as_ref().map(|p| p.shift),
                By::Public(_) => None,
            },
        };
        let costs: Vec<(usize, Vec<TermCost>)> =
            jobs.iter().map(|j| (j.shape.len(), j.terms.iter().map(term).collect())).collect();
        let operands: Vec<(usize, usize)> =
            jobs.iter().flat_map(|job| job.terms.iter().map(|(b, _)| b.pending())).collect();
        self.booked("select", |c, clock| {
            c.xors(clock, &operands);
            c.inject(clock, &costs);
        });
        Ok(jobs.iter().map(|j| Tensor::zeros(&j.shape)).collect())
    }
    fn refresh(&mut self, xs: &[&Tensor<Unit>], origin: Origin) -> Result<Vec<Tensor<Unit>>> {
        let lens: Vec<usize> = xs.iter().map(|x| x.len()).collect();
        self.booked("refresh", |c, clock| c.refresh(clock, &lens, origin));
        Ok(xs.iter().map(|x| (*x).clone()).collect())
    }
    fn verifies_late(&self) -> bool {
        self.costs.verifies_late()
    }
    fn settle(&mut self) -> Result<()> {
        let owed = std::mem::take(&mut self.owed);
        self.clock.enter("verification");
        let start = self.clock.instant();
        let mut end = start.clone();
        for lane in owed {
            self.clock.set(&start);
            self.costs.in_lane(lane);
            self.costs.settle(&mut self.clock);
            end.wait_for(&self.clock.instant());
        }
        self.costs.in_lane(self.lane);
        self.clock.set(&end);
        self.clock.leave();
        Ok(())
    }
    fn open(&mut self, x: &Tensor<Unit>, to: Recipients) -> Result<Option<Tensor<Unit>>> {
        match self.costs.settles_in_openings() {
            true => self.owed.clear(),
            false => self.settle()?,
        }
        self.clock.enter("open");
        self.costs.open(&mut self.clock, x.len(), to);
        self.clock.leave();
        Ok(Some(Tensor::zeros(x.shape())))
    }
    fn harmonics(&mut self, x: &Tensor<Unit>, series: &Series) -> Result<Raw<Tensor<Unit>>> {
        self.booked("harmonics", |c, clock| c.harmonics(clock, x.len(), series.harmonics()))?;
        let pending = Some(Pending { shift: series.rescale(), bits: Vec::new() });
        Ok(Raw { value: Tensor::zeros(x.shape()), pending })
    }
    fn garbled(
        &mut self,
        what: &Garbled,
        numbers: &[&Tensor<Unit>],
        words: &[&CountBits],
    ) -> Result<(Vec<Tensor<Unit>>, Vec<CountBits>)> {
        let len = what.elements(&lengths(numbers), &extents(words));
        self.booked("garbled", |c, clock| c.garbled(clock, what, len))?;
        let result = Tensor::zeros(&shape_of(numbers, len));
        let word = |width: &usize| CountBits::new(len, *width);
        Ok((vec![result; what.results], what.outputs.iter().map(word).collect()))
    }
}
