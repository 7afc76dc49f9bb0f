//! The arithmetic black box: what a protocol must offer. A method is here only if protocols need their own way of doing
//! it; everything else is a free function in [`crate::ops`].

use crate::{BitShare, Error, Garbled, Result, Share};
use privity_circuit::Comparator;
use privity_ring::{Bilinear, Fixed, Ring, Shape, Tensor};

/// How products are brought back to scale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TruncMode {
    /// Unbiased stochastic rounding: floor or floor + 1, the latter with the probability of the discarded fraction.
    /// Nothing is opened; but the rounding bit is correlated with a value one party holds (docs/protocols/rep3.md, Spec 5.4).
    Fast,
    /// Round half up, exactly: every opened value equals that of `plain`, bit for bit, whatever the masks.
    Exact,
}

/// Fan-in of the carry tree in comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Radix {
    /// Two-input gates: least mask material, most rounds.
    Two,
    /// Up to four-input gates: fewer rounds, a little more mask material.
    Four,
}

impl Radix {
    /// The comparator of so many bits with this fan-in.
    pub(crate) fn comparator(self, bits: usize) -> Comparator {
        Comparator::new(bits, if self == Radix::Two { 2 } else { 4 })
    }
}

/// Numeric parameters of a run; part of the job and of the session transcript.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Fixed-point format of all values.
    pub fixed: Fixed,
    /// Truncation.
    pub mode: TruncMode,
    /// Comparisons read this many low bits: operands must be below `2^(width - 1)` in magnitude as integers. At most 48.
    pub width: u32,
    /// Carry-tree fan-in.
    pub radix: Radix,
    /// What is divided by a power of two stays below `2^room` in magnitude, as an integer: [`Config::RING_ROOM`] modulo 2^64, less in a field.
    pub room: u32,
}

impl Config {
    /// Room modulo 2^64.
    pub const RING_ROOM: u32 = 62;
    /// Room modulo 2^61 - 1 (docs/protocols/shamir.md, 5).
    pub const FIELD_ROOM: u32 = 58;

    /// The same with no more room than a field has.
    pub fn in_a_field(self) -> Config {
        Config { room: self.room.min(Self::FIELD_ROOM), ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            fixed: Fixed { frac: 16 },
            mode: TruncMode::Fast,
            width: 32,
            radix: Radix::Four,
            room: Self::RING_ROOM,
        }
    }
}

/// One secret product and how far its result is shifted back.
pub struct Product<'a, A> {
    /// The bilinear operation.
    pub op: Bilinear,
    /// Left operand.
    pub x: &'a A,
    /// Right operand.
    pub y: &'a A,
    /// The result is divided by `2^rescale`. 0: ring product, exact.
    pub rescale: u32,
}

impl<'a, A> Product<'a, A> {
    /// An element-wise product.
    pub fn mul(x: &'a A, y: &'a A, rescale: u32) -> Self {
        Product { op: Bilinear::Mul, x, y, rescale }
    }
    /// A matrix product.
    pub fn matmul(x: &'a A, y: &'a A, rescale: u32) -> Self {
        Product { op: Bilinear::MatMul, x, y, rescale }
    }
}

/// A rescaled value that may still be off by a multiple of `2^(64 - f)`, `f` being the bits it was shifted by.
/// It is right for whatever reads only its low bits (comparisons); [`Protocol::lift`] makes it right altogether.
#[derive(Clone)]
pub struct Raw<A> {
    pub(crate) value: A,
    pub(crate) pending: Option<Pending>,
}

/// What the lift of a [`Raw`] still needs: one bit per element, known locally.
#[derive(Clone)]
pub(crate) struct Pending {
    /// Bits the value was shifted by.
    pub shift: u32,
    /// The bit `am` (parties that know the masked value) or `lm` (the mask owner), packed. Empty in `count`.
    pub bits: Vec<u64>,
}

impl<A: Share> Raw<A> {
    /// A value that needs no lift.
    pub fn exact(value: A) -> Self {
        Raw { value, pending: None }
    }
    /// Adds a value that is right altogether. Local.
    pub fn add(&self, o: &A) -> Self {
        Raw { value: self.value.add(o), pending: self.pending.clone() }
    }
    /// Subtracts a value that is right altogether. Local.
    pub fn sub(&self, o: &A) -> Self {
        Raw { value: self.value.sub(o), pending: self.pending.clone() }
    }
    /// Shape of the value.
    pub fn shape(&self) -> &Shape {
        self.value.shape()
    }
    /// The value where only its low `64 - f` bits matter, or `2^f` times it: both are right without a lift.
    pub fn low_bits(&self) -> &A {
        &self.value
    }
    /// The same elements under another shape. Local.
    pub fn reshape(&self, shape: &Shape) -> Self {
        Raw { value: self.value.reshape(shape), pending: self.pending.clone() }
    }
}

/// What a bit is multiplied by in [`Protocol::inject`].
pub enum By<'a, A> {
    /// A secret tensor with as many elements as the bit sharing.
    Value(&'a Raw<A>),
    /// A public integer.
    Public(u64),
}

/// A sum of bits times values, computed in one round: `sum_j bit_j * by_j`, element-wise.
pub struct Inject<'a, A, B> {
    /// One-bit sharings of one length, each with its factor.
    pub terms: Vec<(&'a B, By<'a, A>)>,
    /// Shape of the result.
    pub shape: Shape,
}

/// Who learns an opened value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Recipients(u32);

impl Recipients {
    /// Every party.
    pub const ALL: Recipients = Recipients(u32::MAX);
    /// One party.
    pub fn only(party: usize) -> Self {
        Recipients(1 << party)
    }
    /// These parties.
    pub fn of(parties: &[usize]) -> Self {
        Recipients(parties.iter().fold(0, |set, p| set | 1 << p))
    }
    /// Whether `party` is one of them.
    pub fn contains(self, party: usize) -> bool {
        self.0 >> party & 1 == 1
    }
}

/// Whether exactly the owner gave its input, in the declared shape.
pub(crate) fn check_input<'a, R: Ring>(
    owner: usize,
    me: usize,
    shape: &Shape,
    x: Option<&'a Tensor<R>>,
) -> Result<Option<&'a Tensor<R>>> {
    match (x, me == owner) {
        (Some(x), true) if x.shape() == shape => Ok(Some(x)),
        (Some(_), true) => Err(Error::Input { owner, problem: "its tensor has not the declared shape" }),
        (None, true) => Err(Error::Input { owner, problem: "it gave no tensor" }),
        (Some(_), false) => Err(Error::Input { owner, problem: "another party gave a tensor in its place" }),
        (None, false) => Ok(None),
    }
}

/// Where shares that are refreshed were kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Under this protocol, by these parties.
    Same,
    /// Under `rep4`, whose party of this number is gone: three go on under `rep3`.
    Without(usize),
    /// Under `rep3`, by the first three of four parties; the fourth joins, and brings sharings of zero: only `rep4` can.
    Joined,
}

/// Why a protocol garbles nothing.
pub(crate) fn not_garbled() -> Error {
    let problem = "garbled circuits are for the two parties of gmw; compute with shares instead".into();
    Error::Parameter { operation: "garbled", problem }
}

/// One party's side of a protocol. The same straight-line program runs at every party.
pub trait Protocol {
    /// The ring of values.
    type R: Ring;
    /// Arithmetic shares.
    type A: Share<R = Self::R> + Send + Sync;
    /// Boolean shares.
    type B: BitShare + Send + Sync;

    /// Numeric parameters.
    fn config(&self) -> &Config;
    /// The parties that may have inputs: all, but a dealer.
    fn owners(&self) -> std::ops::Range<usize>;
    /// This party; 0 for `plain` and `count`.
    fn me(&self) -> usize;

    /// Runs `f` and books its traffic under `operation`.
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _ = operation;
        f(self)
    }

    /// Runs `f` for each item, item `k` in lane `k`: lanes are sessions of the same parties side by side, and shares go in and come out as
    /// they are. What is done in lanes is verified before anything is opened, like all else; nothing is opened in them.
    ///
    /// # Errors
    /// The gravest of the lanes'; [`Error::Parameter`] for more items than there are lanes. `plain` and `count` have as many as asked for.
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>>;
    /// Shares a tensor of `owner`, who alone passes `Some`. (`plain` always needs the value, `count` never.)
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<Self::R>>) -> Result<Self::A>;
    /// The sharing of a public constant. Local.
    fn public(&mut self, x: &Tensor<Self::R>) -> Self::A;
    /// All products in one round.
    fn products(&mut self, jobs: &[Product<'_, Self::A>]) -> Result<Vec<Raw<Self::A>>>;
    /// Divides each value by `2^bits`. Operands stay below `2^room` in magnitude as integers: see [`Config`].
    fn rescale(&mut self, jobs: &[(&Self::A, u32)]) -> Result<Vec<Raw<Self::A>>>;
    /// Makes raw values right altogether; one round if any is pending.
    fn lift(&mut self, xs: Vec<Raw<Self::A>>) -> Result<Vec<Self::A>> {
        Ok(self.signs(&[], 2, xs)?.1)
    }
    /// For each operand the bit "is negative", reading its low `width` bits; lifts ride along in the same rounds.
    fn signs(&mut self, xs: &[&Self::A], width: u32, lifts: Vec<Raw<Self::A>>) -> Result<(Vec<Self::B>, Vec<Self::A>)>;
    /// The low `width` bits of a value, as a Boolean sharing.
    fn a2b(&mut self, x: &Self::A, width: u32) -> Result<Self::B>;
    /// Bitwise AND of sharings of equal length and width, all in one round.
    fn and(&mut self, jobs: &[(&Self::B, &Self::B)]) -> Result<Vec<Self::B>>;
    /// Bitwise NOT. Local.
    fn not(&mut self, x: &Self::B) -> Self::B;
    /// Prepares one-bit sharings for several [`Protocol::inject`]s. In rep3 their mask material is sent once and no round is taken;
    /// in rep4 they are converted to 0 or 1 in the ring, in one round for all.
    fn arm(&mut self, xs: &[&Self::B]) -> Result<Vec<Self::B>>;
    /// Sums of bits times values, all in one round. Raw operands are lifted on the way.
    fn inject(&mut self, jobs: &[Inject<'_, Self::A, Self::B>]) -> Result<Vec<Self::A>>;
    /// Sharings of the same values under this session's keys, of shares that were kept in an earlier one. Where the protocol
    /// verifies, parties that must hold the same compare what they kept. No exchange at the online pair, but when a party joins.
    fn refresh(&mut self, xs: &[&Self::A], origin: Origin) -> Result<Vec<Self::A>>;
    /// Whether products are verified all together in [`Protocol::settle`], and hardly anything is done for it before.
    fn verifies_late(&self) -> bool {
        false
    }
    /// Pays the verification debt. Nothing to pay in passive protocols.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
    /// Opens to the recipients; `None` elsewhere. Settles first. `count` gives a zero of the right shape.
    fn open(&mut self, x: &Self::A, to: Recipients) -> Result<Option<Tensor<Self::R>>>;
    /// One round of the Fourier sigmoid: see [`crate::ops::sigmoid::fourier`]. Refused in exact mode.
    fn harmonics(&mut self, x: &Self::A, series: &crate::ops::fourier::Series) -> Result<Raw<Self::A>>;
    /// A circuit on shared numbers and words (`privity_circuit::shares`) for every element of the operands, in Yao's scheme: a division, a
    /// largest of several, a table. Shares go in and come out: numbers, then words.
    ///
    /// # Errors
    /// [`Error::Parameter`] where there are not two parties who share values between them alone (`gmw`).
    fn garbled(&mut self, _: &Garbled, _: &[&Self::A], _: &[&Self::B]) -> Result<(Vec<Self::A>, Vec<Self::B>)> {
        Err(not_garbled())
    }

    /// Products lifted at once: one round, or two with fast truncation.
    fn products_lifted(&mut self, jobs: &[Product<'_, Self::A>]) -> Result<Vec<Self::A>> {
        let raw = self.products(jobs)?;
        self.lift(raw)
    }
    /// Bits to arithmetic 0/1, one round.
    fn b2a(&mut self, x: &Self::B) -> Result<Self::A> {
        let shape = Shape::vector(x.len());
        let job = Inject { terms: vec![(x, By::Public(1))], shape };
        Ok(self.inject(&[job])?.remove(0))
    }
    /// `bit * x`, one round.
    fn select(&mut self, bit: &Self::B, x: &Raw<Self::A>) -> Result<Self::A> {
        let job = Inject { terms: vec![(bit, By::Value(x))], shape: x.shape().clone() };
        Ok(self.inject(&[job])?.remove(0))
    }
}
