//! A candidate without dependencies: a two-layer perceptron with a residual and noise.
//!
//! ```text
//! cargo build --release --example mlp
//! parity backends check target/release/examples/libmlp.so --array x=x.npy
//! ```
//!
//! x is float32[rows, 4]. The option `do = "panic"` lets it panic after its first tap.

use parity_candidate::{Candidate, Case, Description, Error, Point, Result, Role, Tap, Values};

const WIDTH: usize = 4;
const HIDDEN: usize = 8;
const STEPS: usize = 2;

struct Mlp {
    up: Vec<f32>,
    down: Vec<f32>,
    panics: bool,
}

impl Candidate for Mlp {
    fn open(config: &str) -> Result<Self> {
        if config.contains("refuse") {
            return Err(Error::bad_input("it was told to refuse"));
        }
        let weights = |phase: f32| (0..WIDTH * HIDDEN).map(|i| (phase + i as f32).sin()).collect();
        Ok(Self { up: weights(1.0), down: weights(2.0), panics: config.contains("panic") })
    }

    fn describe(&self) -> Description {
        Description::new("mlp-rust", "rust").fact("precision", "float32").input("x").inject()
    }

    fn run(&mut self, case: &Case<'_>, tap: &Tap<'_>) -> Result<()> {
        let (x, shape) = case.array::<f32>("x")?;
        if shape.len() != 2 || shape[1] != WIDTH {
            return Err(Error::bad_input(format!("x is {shape:?}; needed is [rows, {WIDTH}]")));
        }
        let rows = shape[0];
        let mut noise = Noise::new(case);
        let mut state = Values { values: x.to_vec(), shape: vec![rows, WIDTH] };
        let _phase = tap.phase("steps");
        for _ in 0..STEPS {
            tap.next_step();
            let drawn = noise.draw()?;
            tap.noise("uniform", &Values { values: vec![drawn], shape: vec![1] })?;
            let mut hidden = tap.pass("hidden", linear(&state, &self.up, HIDDEN))?;
            assert!(!self.panics, "told to panic in row {rows}");
            hidden.values.iter_mut().for_each(|value| *value = (*value + drawn).tanh());
            let hidden = tap.pass("activation", hidden)?;
            let update = linear(&hidden, &self.down, WIDTH);
            let added = state.values.iter().zip(&update.values).map(|(a, b)| a + b).collect();
            state = tap.pass("(root)", Values { values: added, shape: state.shape })?;
            let late = Values { values: vec![true, false], shape: vec![2] };
            tap.record(Point::new("(root)", Role::Output).slot("1"), &late)?;
        }
        Ok(())
    }
}

fn linear(x: &Values<f32>, weight: &[f32], out: usize) -> Values<f32> {
    let inner = x.shape[1];
    let dot = |row: &[f32], column: &[f32]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f32>();
    let rows = x.values.chunks_exact(inner);
    let values =
        rows.flat_map(|row| weight.chunks_exact(inner).map(move |column| dot(row, column)));
    Values { values: values.collect(), shape: vec![x.shape[0], out] }
}

/// Draws from the case's tape, or by its seed.
struct Noise<'a> {
    tape: Option<std::slice::Iter<'a, parity_candidate::Input<'a>>>,
    state: u64,
}

impl<'a> Noise<'a> {
    fn new(case: &'a Case<'_>) -> Self {
        // A port reads its JSON with serde_json; one without dependencies looks for what it needs.
        let after = |key| case.json().split(key).nth(1).unwrap_or_default().trim_start();
        let seed = after("\"seed\":").split([',', '}']).next().and_then(|text| text.parse().ok());
        let taped = !after("\"noise\":").starts_with("null");
        Self { tape: taped.then(|| case.noise().iter()), state: seed.unwrap_or(0) }
    }

    fn draw(&mut self) -> Result<f32> {
        if let Some(tape) = &mut self.tape {
            let draw = tape.next().and_then(|draw| draw.values::<f32>()?.first().copied());
            return draw.ok_or_else(|| Error::bad_input("the noise tape is too short"));
        }
        // Knuth's linear congruential generator, MMIX's numbers.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Ok((self.state >> 40) as f32 / (1u64 << 24) as f32)
    }
}

parity_candidate::export_candidate!(Mlp);
