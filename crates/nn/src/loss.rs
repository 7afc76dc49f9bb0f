//! Losses: the gradient by the logits at once, the loss itself deferred to the end of the epoch.

use crate::model::{Head, Model};
use crate::spec::Sigmoid;
use privity_mpc::ops::sigmoid::{self, Wide};
use privity_mpc::{Protocol, Raw, Result, Share};
use privity_ring::{Shape, Tensor};

/// The output of a batch against its labels.
pub struct Output<A, B> {
    /// Logits `[1, rows]` at scale f.
    pub logits: A,
    /// Gradient of the summed loss by the logits `[1, rows]`, at the plan's scale for the output layer.
    pub gradient: A,
    /// Where each logit lies among the sigmoid's pieces; `None` if there was no piecewise sigmoid.
    pub pieces: Option<Wide<A, B>>,
}

/// The output step of training. Cross entropy: one comparison and one injection, with no truncation, so that the
/// gradient `sigmoid(z) - y` is exact at its wider scale; one more round if the plan has no room for that scale. Squared
/// error: the lift of the logits.
///
/// # Errors
/// Protocol failures.
pub fn output<P: Protocol>(p: &mut P, model: &Model<P::A>, logits: Raw<P::A>, y: &P::A) -> Result<Output<P::A, P::B>> {
    match model.head {
        Head::Identity => {
            let logits = p.lift(vec![logits])?.remove(0);
            Ok(Output { gradient: logits.sub(y), logits, pieces: None })
        }
        Head::Logistic(Sigmoid::Piecewise) => {
            let wide = sigmoid::piecewise_wide(p, logits)?;
            let gradient = narrow(p, model, wide.value.sub(&y.scale(1 << sigmoid::SLOPE_BITS)))?;
            Ok(Output { logits: wide.z.clone(), gradient, pieces: Some(wide) })
        }
        Head::Logistic(Sigmoid::Fourier) => {
            let logits = p.lift(vec![logits])?.remove(0);
            let probability = sigmoid::fourier_clipped(p, &logits)?;
            Ok(Output { gradient: probability.sub(y), logits, pieces: None })
        }
    }
}

/// The wide gradient at the scale the plan has room for.
fn narrow<P: Protocol>(p: &mut P, model: &Model<P::A>, wide: P::A) -> Result<P::A> {
    let plan = &model.plan;
    let planned = plan.layers.last().map_or(plan.frac, |l| l.gradient_frac);
    match plan.frac + sigmoid::SLOPE_BITS - planned {
        0 => Ok(wide),
        excess => {
            let narrow = p.rescale(&[(&wide, excess)])?;
            Ok(p.lift(narrow)?.remove(0))
        }
    }
}

/// Predictions from logits, at scale f.
pub(crate) fn probabilities<P: Protocol>(p: &mut P, head: Head, logits: Raw<P::A>) -> Result<P::A> {
    match head {
        Head::Identity => Ok(p.lift(vec![logits])?.remove(0)),
        Head::Logistic(Sigmoid::Piecewise) => sigmoid::piecewise(p, logits),
        Head::Logistic(Sigmoid::Fourier) => {
            let logits = p.lift(vec![logits])?.remove(0);
            sigmoid::fourier_clipped(p, &logits)
        }
    }
}

/// The loss of an epoch, accumulated as shares. The part linear in the labels is summed at once; softplus of the logits
/// waits until `Meter::flush`, which computes it for many batches in one injection.
pub struct Meter<A, B> {
    total: Option<A>,
    waiting: Vec<Output<A, B>>,
    rows: usize,
}

impl<A, B> Default for Meter<A, B> {
    fn default() -> Self {
        Meter { total: None, waiting: Vec::new(), rows: 0 }
    }
}

impl<A: Share, B: Clone> Meter<A, B> {
    /// Batches whose softplus waits at most.
    const WAITING: usize = 64;

    /// Adds the rows of a batch, or some of them: their output step.
    pub fn add(&mut self, head: Head, output: Output<A, B>) {
        self.rows += output.logits.shape().len();
        if let Head::Logistic(_) = head {
            self.waiting.push(output);
        }
    }

    /// Adds the share `[1, 1]` at scale f of the product that [`crate::train::iteration`] let ride along, over all rows of a batch:
    /// `y . z` under cross entropy and the summed squared error under squared error.
    pub fn add_product(&mut self, head: Head, product: &A) {
        let product = product.reshape(&Shape::vector(1));
        self.book(&if head == Head::Identity { product } else { product.neg() });
    }

    /// Whether enough waits for [`Meter::flush`].
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= Self::WAITING
    }

    /// Computes what waits.
    ///
    /// # Errors
    /// Protocol failures.
    pub fn flush<P: Protocol<A = A, B = B, R = A::R>>(&mut self, p: &mut P) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let pieces: Vec<&Wide<A, B>> = waiting.iter().filter_map(|o| o.pieces.as_ref()).collect();
        if !pieces.is_empty() {
            for value in sigmoid::softplus_many(p, &pieces)? {
                self.book(&sum(&value));
            }
        }
        let bare: Vec<A> = waiting.iter().filter(|o| o.pieces.is_none()).map(|o| o.logits.transpose()).collect();
        if !bare.is_empty() {
            let logits = A::concat_rows(&bare.iter().collect::<Vec<_>>());
            let value = sigmoid::softplus(p, Raw::exact(logits))?;
            self.book(&sum(&value));
        }
        Ok(())
    }

    fn book(&mut self, value: &A) {
        self.total = Some(match self.total.take() {
            Some(total) => total.add(value),
            None => value.clone(),
        });
    }

    /// The summed loss `[1]` at scale f (twice the loss under squared error), and the number of rows.
    ///
    /// # Errors
    /// Protocol failures.
    pub fn finish<P: Protocol<A = A, B = B, R = A::R>>(mut self, p: &mut P) -> Result<(A, usize)> {
        self.flush(p)?;
        let total = self.total.take().unwrap_or_else(|| p.public(&Tensor::zeros(&Shape::vector(1))));
        Ok((total, self.rows))
    }
}

fn sum<A: Share>(x: &A) -> A {
    x.map(Tensor::sum)
}
