//! A place in the network: its weights and its taps share a dotted path.

use std::collections::HashMap;
use std::fmt::Display;

use candle_core::Tensor;
use parity_candidate::{Error, Point, Role, Tap};

use crate::Result;
use crate::faults::{Fault, Faults};

/// A place in the network, named by a dotted path as in the reference.
#[derive(Clone)]
pub struct Site<'a> {
    weights: &'a HashMap<String, Tensor>,
    faults: &'a Faults,
    tap: &'a Tap<'a>,
    path: String,
}

impl<'a> Site<'a> {
    /// The place at the root of the network.
    pub fn root(
        weights: &'a HashMap<String, Tensor>,
        faults: &'a Faults,
        tap: &'a Tap<'a>,
    ) -> Self {
        Self { weights, faults, tap, path: String::new() }
    }

    /// The place `name` below this one.
    pub fn at(&self, name: impl Display) -> Self {
        let path =
            if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Self { path, ..self.clone() }
    }

    /// The dotted path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The weight `name` of this place, where it has one.
    pub fn find(&self, name: &str) -> Option<&'a Tensor> {
        self.weights.get(&format!("{}.{name}", self.path))
    }

    /// The weight `name` of this place.
    pub fn weight(&self, name: &str) -> Result<&'a Tensor> {
        self.find(name)
            .ok_or_else(|| Error::bad_input(format!("the weights lack {}.{name}", self.path)))
    }

    /// Say that `tensor` came out here, and go on with it.
    pub fn pass(&self, tensor: Tensor) -> Result<Tensor> {
        self.tap.pass(&self.path, tensor)
    }

    /// Say that `tensor` came out here as one of several, and go on with it.
    pub fn pass_slot(&self, slot: &str, tensor: Tensor) -> Result<Tensor> {
        self.tap.pass(Point::new(&self.path, Role::Output).slot(slot), tensor)
    }

    /// The tap itself.
    pub fn tap(&self) -> &'a Tap<'a> {
        self.tap
    }

    /// Whether a fault is switched on.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.has(fault)
    }
}
